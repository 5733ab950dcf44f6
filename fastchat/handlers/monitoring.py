"""The pages that monitoring asks for: health, readiness, liveness, figures."""

import orjson

from fastchat.telemetry.health import Answer, Health
from fastchat.telemetry.metrics import Metrics
from fastchat.transport.http import HttpRequest, HttpResponse, Routes

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
PATHS = ("/health", "/ready", "/live", "/metrics", "/metrics/prometheus")


def make_routes(health: Health, metrics: Metrics) -> Routes:
    """Return the table of pages."""

    def answer(found: Answer) -> HttpResponse:
        status, body = found
        return HttpResponse(status=status, body=orjson.dumps(body))

    def figures(request: HttpRequest) -> HttpResponse:
        accepted = request.headers.get("Accept", "")
        if "text/plain" in accepted or "openmetrics" in accepted:
            return prometheus(request)
        return HttpResponse(body=orjson.dumps(metrics.json()))

    def prometheus(request: HttpRequest) -> HttpResponse:
        return HttpResponse(body=metrics.prometheus(), content_type=PROMETHEUS)

    return {
        "/health": {"GET": lambda request: answer(health.health())},
        "/ready": {"GET": lambda request: answer(health.ready())},
        "/live": {"GET": lambda request: answer(health.live())},
        "/metrics": {"GET": figures},
        "/metrics/prometheus": {"GET": prometheus},
    }
