"""The answers of ``/health``, ``/ready`` and ``/live``: an HTTP status and a JSON body.

``/live`` says that the event loop runs, ``/ready`` that traffic may come, ``/health`` what is the
matter; the last one is always 200, so that looking never takes a server out of service. Health and
readiness are those of the server: any worker gives the same answer.
"""

from fastchat.telemetry.census import View
from fastchat.telemetry.metrics import Metrics, average_response_ms
from fastchat.telemetry.sources import Sources

LATE_LOOP = 1.0  # seconds of event-loop lag from which the worker counts as degraded
NEARLY_FULL = 0.9  # share of MAX_CONNECTIONS

Answer = tuple[int, dict[str, object]]


def find_problems(sources: Sources, max_connections: int) -> list[str]:
    """Say what makes this worker degraded or unhealthy; nothing when it is healthy."""
    found = []
    if not sources.pool.is_connected:
        found.append("the database does not answer")
    if sources.pool.waiting:
        found.append("queries wait for a database connection")
    if not sources.bus.is_up:
        found.append("another worker cannot be heard")
    if sources.lag.latest >= LATE_LOOP:
        found.append("the event loop is late")
    if sources.transport.connections >= NEARLY_FULL * max_connections:
        found.append("nearly all connections are in use")
    return found


class Health:
    """Judges the figures of all workers."""

    def __init__(self, metrics: Metrics, *, max_connections: int) -> None:
        """Take the figures and the limit of connections of one worker."""
        self._metrics = metrics
        self._max_connections = max_connections

    def health(self) -> Answer:
        """Answer ``/health``: healthy, degraded, or unhealthy without a worker that works."""
        view = self._metrics.view()
        problems = _problems(view)
        status = "degraded" if problems else "healthy"
        if not any(snapshot.is_connected for snapshot in view.workers):
            status = "unhealthy"
        gauges, totals = view.gauges, view.totals
        return 200, {
            "status": status,
            "timestamp": self._metrics.timestamp(),
            "uptime": self._metrics.uptime(view),
            "connections": {
                "active": gauges["connections"],
                "peak": gauges["connections_peak"],
                "limit": self._max_connections * view.record.workers,
            },
            "memory": {"rss": gauges["resident_memory_bytes"]},
            "database": {
                "connected": bool(gauges["pool_connected"]),
                "poolSize": gauges["pool_size"],
                "idleConnections": gauges["pool_idle"],
            },
            "redis": {"connected": bool(gauges["redis_connected"])},
            "workers": {"total": view.record.workers, "healthy": view.healthy},
            "metrics": {
                "messagesSent": totals.counters["messages_out"],
                "messagesReceived": totals.counters["messages_in"],
                "errors": sum(totals.labelled["errors"].values()),
                "averageResponseTime": average_response_ms(totals),
            },
            "problems": problems,
        }

    def ready(self) -> Answer:
        """Answer ``/ready``: 503 without a worker that serves and reaches the database."""
        view = self._metrics.view()
        connected = any(snapshot.is_connected for snapshot in view.workers)
        draining = view.record.is_stopping or not view.serving
        ready = view.healthy > 0 and not draining
        body: dict[str, object] = {
            "status": "ready" if ready else "not ready",
            "timestamp": self._metrics.timestamp(),
            "database": {"connected": connected},
            "draining": draining,
        }
        return (200 if ready else 503), body

    def live(self) -> Answer:
        """Answer ``/live``: that this answer comes is the news."""
        return 200, {"status": "live", "timestamp": self._metrics.timestamp()}


def _problems(view: View) -> list[str]:
    """What the workers say, and which of them say nothing."""
    found = []
    many = view.record.workers > 1
    for snapshot in view.workers:
        prefix = f"worker {snapshot.worker}: " if many else ""
        found += [prefix + problem for problem in snapshot.problems]
    if view.record.is_stopping or not view.serving:
        found.append("the server is shutting down")
        return found
    serving = {snapshot.worker for snapshot in view.serving}
    for worker in range(1, view.record.workers + 1):
        if worker not in serving:
            found.append(f"worker {worker} does not answer")
    return found
