"""The answers of /health, /ready and /live."""

import time

import pytest

from fastchat.telemetry.census import FRESH
from fastchat.telemetry.health import Health
from tests.unit.telemetry.fakes import LIMIT, FakeServer


class Server(FakeServer):
    """The fake server and what its workers say of its health."""

    def __init__(self, workers=1):
        super().__init__(workers)
        self.health = Health(self.metrics, max_connections=LIMIT)


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def pair():
    return Server(workers=2)


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
    server.sources[1].pool.is_connected = False
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
    setattr(getattr(server.sources[1], part), name, value)
    _, body = server.health.health()
    assert body["status"] == "degraded"
    assert len(body["problems"]) == 1
    assert server.health.ready()[0] == 200


def test_draining_server_is_not_ready(server):
    server.draining.add(1)
    status, body = server.health.ready()
    assert (status, body["status"], body["draining"]) == (503, "not ready", True)
    assert server.health.health()[1]["status"] == "degraded"


def test_server_that_was_told_to_stop_is_not_ready_before_a_worker_drains(server):
    server.registrar.stop()
    status, body = server.health.ready()
    assert (status, body["draining"]) == (503, True)


def test_draining_worker_says_that_the_server_is_ready_while_another_serves(pair):
    pair.draining.add(1)
    assert pair.health.ready()[0] == 200
    pair.draining.add(2)
    pair.census[2].publish()
    assert pair.health.ready()[0] == 503


def test_server_is_ready_and_healthy_while_one_process_takes_over_from_another(server):
    server.join(worker=1, seat=2, run=2)
    server.draining.add(1)
    assert server.health.ready()[0] == 200
    assert server.health.health()[1]["status"] == "healthy"


def test_health_adds_up_the_workers_and_names_the_one_with_a_problem(pair):
    pair.sources[2].pool.waiting = 3
    pair.census[2].publish()
    _, body = pair.health.health()
    assert body["status"] == "degraded"
    assert body["connections"] == {"active": 14, "peak": 14, "limit": 100}
    assert body["workers"] == {"total": 2, "healthy": 2}
    assert body["problems"] == ["worker 2: queries wait for a database connection"]


def test_one_worker_without_database_makes_a_server_degraded_but_ready(pair):
    pair.sources[2].pool.is_connected = False
    pair.census[2].publish()
    assert pair.health.health()[1]["status"] == "degraded"
    assert pair.health.health()[1]["workers"] == {"total": 2, "healthy": 1}
    assert pair.health.ready()[0] == 200


def test_worker_that_says_nothing_any_more_is_not_healthy(pair, monkeypatch):
    last = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: last + FRESH + 1.0)
    monkeypatch.setattr("fastchat.telemetry.figures.monotonic", time.monotonic)
    _, body = pair.health.health()
    assert body["workers"] == {"total": 2, "healthy": 1}
    assert body["problems"] == ["worker 2 does not answer"]
    assert pair.health.ready()[0] == 200
