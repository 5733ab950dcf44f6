"""The answers of /health, /ready and /live."""

import pytest

from fastchat.telemetry.health import Health
from fastchat.telemetry.metrics import Metrics
from tests.unit.telemetry.fakes import make_sources


class Server:
    """A health object and the things that a test changes under it."""

    def __init__(self):
        self.sources = make_sources()
        self.draining = False
        self.now = 1.7e9
        metrics = Metrics(self.sources, compiled=True, version="1", wall_clock=lambda: self.now)
        self.health = Health(metrics, max_connections=50, is_draining=lambda: self.draining)


@pytest.fixture
def server():
    return Server()


def test_healthy_server_answers_the_published_body(server):
    server.now += 12.5
    status, body = server.health.health()
    assert status == 200
    assert body.pop("memory")["rss"] > 0
    assert body == {
        "status": "healthy",
        "timestamp": "2023-11-14T22:13:32.500Z",
        "uptime": 12.5,
        "connections": {"active": 7, "peak": 9, "limit": 50},
        "database": {"connected": True, "poolSize": 4, "idleConnections": 3},
        "redis": {"connected": False},
        "workers": {"total": 1, "healthy": 1},
        "metrics": {
            "messagesSent": 200,
            "messagesReceived": 100,
            "errors": 3,
            "averageResponseTime": 100.0,
        },
        "problems": [],
    }


def test_server_without_database_is_unhealthy_and_not_ready_but_live(server):
    server.sources.pool.is_connected = False
    status, body = server.health.health()
    assert (status, body["status"]) == (200, "unhealthy")
    assert body["workers"] == {"total": 1, "healthy": 0}
    assert server.health.ready()[0] == 503
    assert server.health.live()[0] == 200


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [("pool", "waiting", 1), ("lag", "latest", 1.5), ("transport", "connections", 45)],
)
def test_strained_server_is_degraded_and_says_why(server, part, name, value):
    setattr(getattr(server.sources, part), name, value)
    _, body = server.health.health()
    assert body["status"] == "degraded"
    assert len(body["problems"]) == 1
    assert server.health.ready()[0] == 200


def test_draining_server_is_not_ready(server):
    server.draining = True
    status, body = server.health.ready()
    assert (status, body["status"], body["draining"]) == (503, "not ready", True)
    assert server.health.health()[1]["status"] == "degraded"
