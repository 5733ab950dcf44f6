"""Between the bytes of a socket and payloads, for one connection; 100 at a time."""

import pytest

from benchmarks.sockets import Sockets
from fastchat._speedups import connection_core
from fastchat.protocol.events import encode_new_private_message
from tests.functional.transport.raw_client import TEXT, frame

COUNT = 100
PAYLOAD = b"x" * 300
MESSAGE = b'{"content":"' + b"x" * 200 + b'"}'


@pytest.fixture
def sockets():
    assert connection_core.__file__.endswith(".so")
    opened = Sockets()
    opened.open(1)
    yield opened
    opened.close()


def test_frame_and_append_100(benchmark, sockets):
    """Frame a payload and copy it into the outbox."""
    send = sockets.connections[0].send
    written = sockets.endpoint.bytes_out

    def append():
        for _ in range(COUNT):
            send(PAYLOAD)

    def settle():
        sockets.turn()
        sockets.drain()

    rounds = 2000
    benchmark.pedantic(append, setup=settle, rounds=rounds, warmup_rounds=10)
    assert sockets.endpoint.bytes_out - written == (rounds + 10) * COUNT * (len(PAYLOAD) + 4)


def test_encode_frame_append_and_write_100(benchmark, sockets):
    """Encode an event, frame it, append it, and write all of them with one send(2)."""
    send = sockets.connections[0].send
    size = len(encode_new_private_message(MESSAGE, "7-3", "conv_1001_1002")) + 4
    arrived = []

    def append():
        for _ in range(COUNT):
            send(encode_new_private_message(MESSAGE, "7-3", "conv_1001_1002"))
        sockets.turn()

    benchmark.pedantic(
        append,
        setup=lambda: arrived.append(sockets.drain()),
        rounds=2000,
        warmup_rounds=10,
    )
    assert set(arrived[1:]) == {size * COUNT}


@pytest.mark.parametrize("payload", [PAYLOAD, "ü".encode() * 150], ids=["ascii", "utf8"])
def test_parse_and_deliver_100(benchmark, sockets, payload):
    """Unmask and check frames, and hand their payloads up."""
    connection = sockets.connections[0]
    data = frame(TEXT, payload) * COUNT

    def feed():
        sockets.received = 0
        connection.feed(data)

    benchmark(feed)
    assert sockets.received == COUNT
