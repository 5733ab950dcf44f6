"""One event of 300 bytes to a room of 50 connections, until it is in their sockets."""

import pytest

from benchmarks.sockets import Sockets
from fastchat._speedups import connection_core, routing
from fastchat._speedups.routing import RoutingTable
from tests.functional.transport.raw_client import DEFLATE

MEMBERS = 50
EVENT = b"x" * 300
LARGE = b'{"content": "grows smaller"}' * 150


@pytest.fixture
def sockets():
    assert connection_core.__file__.endswith(".so")
    assert routing.__file__.endswith(".so")
    opened = Sockets()
    yield opened
    opened.close()


def publish(benchmark, sockets, payload, events):
    """Time some events of one turn; return how many bytes arrived each time."""
    table = RoutingTable()
    users = [str(number) for number in range(MEMBERS)]
    for user, connection in zip(users, sockets.connections, strict=True):
        table.add(user, connection)
    arrived = []

    def run():
        for _ in range(events):
            assert table.publish(users, payload) == MEMBERS
        sockets.turn()

    benchmark.pedantic(
        run, setup=lambda: arrived.append(sockets.drain()), rounds=1000, warmup_rounds=10
    )
    benchmark.extra_info["deliveries"] = MEMBERS * events
    (size,) = set(arrived[1:])
    return size


@pytest.mark.parametrize("events", [1, 8])
def test_fan_out_to_50(benchmark, sockets, events):
    sockets.open(MEMBERS)
    assert publish(benchmark, sockets, EVENT, events) == MEMBERS * events * (len(EVENT) + 4)


def test_fan_out_to_50_compressed_once(benchmark, sockets):
    sockets.open(MEMBERS, Sec_WebSocket_Extensions=DEFLATE)
    assert publish(benchmark, sockets, LARGE, 1) < MEMBERS * len(LARGE) / 10
    assert sockets.endpoint.deflated == 1010
