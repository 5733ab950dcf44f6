"""A hundred payloads through the spine: decoded, admitted, handled and answered."""

import pytest

from benchmarks.in_process import InProcess

COUNT = 100
PING = b'{"type":"ping","requestId":"q-1"}'


@pytest.fixture
def server():
    opened = InProcess(2)
    yield opened
    opened.close()


@pytest.fixture
def settle(server):
    """Let what was appended be stored and told, and read it."""

    def settle():
        server.run(server.write(server.endpoint.messages_out + 2 * server.server.writer.depth))
        server.drain()

    return settle


@pytest.mark.parametrize("payload", [PING, b'{"type":"pong!"}'], ids=["answered", "refused"])
def test_a_hundred_commands(benchmark, server, settle, payload):
    connection = server.session(0).connection
    on_message = server.server.dispatcher.on_message
    written = server.endpoint.messages_out

    def dispatch():
        for _ in range(COUNT):
            on_message(connection, payload)

    benchmark.pedantic(dispatch, setup=settle, rounds=300, warmup_rounds=3)
    assert server.endpoint.messages_out - written == 303 * COUNT
    errors = server.server.answers.errors_by_code
    assert errors == ({} if payload == PING else {"UNKNOWN_TYPE": 303 * COUNT})


@pytest.mark.parametrize("kind", ["direct", "group"])
def test_a_hundred_sends_until_the_lane_has_them(benchmark, server, settle, kind):
    connection = server.session(0).connection
    on_message = server.server.dispatcher.on_message
    writer = server.server.writer
    payloads = [
        server.direct(0, 1, f"c-{number}") if kind == "direct" else server.to_group(f"c-{number}")
        for number in range(COUNT)
    ]
    # The first one asks the database for the room.
    expected = server.endpoint.messages_out + 2
    on_message(connection, payloads[0])
    server.run(server.write(expected))
    depths = []

    def dispatch():
        for payload in payloads:
            on_message(connection, payload)
        depths.append(writer.depth)

    benchmark.pedantic(dispatch, setup=settle, rounds=300, warmup_rounds=3)
    assert set(depths) == {COUNT}
    assert server.server.answers.errors_by_code == {}
