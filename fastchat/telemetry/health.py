"""The answers of ``/health``, ``/ready`` and ``/live``: an HTTP status and a JSON body.

``/live`` says that the event loop runs, ``/ready`` that traffic may come, ``/health`` what is the
matter; the last one is always 200, so that looking never takes a server out of service.
"""

from collections.abc import Callable

from fastchat.telemetry.metrics import Metrics, average_response_ms, resident_bytes

LATE_LOOP = 1.0  # seconds of event-loop lag from which the worker counts as degraded
NEARLY_FULL = 0.9  # share of MAX_CONNECTIONS

Answer = tuple[int, dict[str, object]]


class Health:
    """Judges the figures; costs a few microseconds per question."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        max_connections: int,
        is_draining: Callable[[], bool] = lambda: False,
    ) -> None:
        """Take the figures, the limit of connections and whether a shutdown is under way."""
        self._metrics = metrics
        self._max_connections = max_connections
        self._is_draining = is_draining

    def problems(self) -> list[str]:
        """What makes this worker degraded or unhealthy, in words; empty when healthy."""
        sources = self._metrics.sources
        found = []
        if not sources.pool.is_connected:
            found.append("the database does not answer")
        if sources.pool.waiting:
            found.append("queries wait for a database connection")
        if sources.lag.latest >= LATE_LOOP:
            found.append("the event loop is late")
        if sources.transport.connections >= NEARLY_FULL * self._max_connections:
            found.append("nearly all connections are in use")
        if self._is_draining():
            found.append("the server is shutting down")
        return found

    def health(self) -> Answer:
        """Answer ``/health``: healthy, degraded, or unhealthy without the database."""
        sources = self._metrics.sources
        problems = self.problems()
        status = "degraded" if problems else "healthy"
        if not sources.pool.is_connected:
            status = "unhealthy"
        return 200, {
            "status": status,
            "timestamp": self._metrics.timestamp(),
            "uptime": round(self._metrics.uptime(), 3),
            "connections": {
                "active": sources.transport.connections,
                "peak": sources.transport.peak_connections,
                "limit": self._max_connections,
            },
            "memory": {"rss": resident_bytes()},
            "database": {
                "connected": sources.pool.is_connected,
                "poolSize": sources.pool.size,
                "idleConnections": sources.pool.idle,
            },
            "redis": {"connected": False},
            "workers": {"total": 1, "healthy": 0 if status == "unhealthy" else 1},
            "metrics": {
                "messagesSent": sources.transport.messages_out,
                "messagesReceived": sources.transport.messages_in,
                "errors": sum(sources.spine.errors_by_code.values()),
                "averageResponseTime": average_response_ms(sources),
            },
            "problems": problems,
        }

    def ready(self) -> Answer:
        """Answer ``/ready``: 503 without the database and during a shutdown."""
        connected = self._metrics.sources.pool.is_connected
        draining = self._is_draining()
        ready = connected and not draining
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
