"""Silence, idleness, late authentication and peers that never finish a close."""

from math import inf
from time import monotonic

import pytest

from tests.functional.transport.conftest import until
from tests.functional.transport.raw_client import PING, PONG, TEXT, Frame, close_frame


@pytest.fixture
async def client(server):
    """A client of a server whose deadlines only the test's own sweeps can reach."""
    await server.echo().start(keep_alive=60.0, inactivity=300.0, authentication=10.0)
    return await server.open()


async def test_silent_connection_is_pinged_and_lives_when_it_answers(server, client):
    server.connection.authenticated()
    now = monotonic()
    server.endpoint.sweep(now + 59)
    server.endpoint.sweep(now + 61)
    assert await client.read_frame() == Frame(PING, b"")
    await client.send_frame(PONG)
    await until(lambda: server.endpoint.bytes_in == 6)
    server.endpoint.sweep(now + 122)
    assert server.connection.is_open
    assert server.endpoint.keep_alive_timeouts == 0


async def test_half_open_connection_is_dropped_when_its_ping_stays_unanswered(server, client):
    server.connection.authenticated()
    now = monotonic()
    server.endpoint.sweep(now + 61)
    assert await client.read_frame() == Frame(PING, b"")
    server.endpoint.sweep(now + 120)
    assert server.connection.is_open
    server.endpoint.sweep(now + 122)
    await client.expect_end()
    await server.all_closed()
    assert server.endpoint.keep_alive_timeouts == 1


async def test_connection_that_is_not_read_is_not_taken_for_silent(server, client):
    server.connection.authenticated()
    server.connection.pause_reading()
    now = monotonic()
    for seconds in (61, 122, 183):
        server.endpoint.sweep(now + seconds)
    assert server.connection.is_open
    assert server.endpoint.bytes_out == 0


async def test_idle_connection_is_closed_with_1000_although_it_answers_pings(server, client):
    server.connection.authenticated()
    now = monotonic()
    for seconds in range(61, 300, 62):
        server.endpoint.sweep(now + seconds)
        assert await client.read_frame() == Frame(PING, b"")
        heard = server.endpoint.bytes_in
        await client.send_frame(PONG)
        await until(lambda heard=heard: server.endpoint.bytes_in > heard)
        server.endpoint.sweep(now + seconds + 1)
    server.endpoint.sweep(now + 301)
    await client.expect_close(1000, "Connection timeout")
    assert server.endpoint.inactivity_timeouts == 1


@pytest.mark.parametrize("opcode", [TEXT, PING])
async def test_messages_and_pings_of_the_client_reset_inactivity(server, client, opcode):
    server.connection.authenticated()
    now = monotonic()
    await client.send_frame(opcode, "hello")
    await client.read_frame()
    server.endpoint.sweep(now + 299)
    server.endpoint.sweep(now + 301)
    assert server.connection.is_open


async def test_connection_that_does_not_authenticate_in_time_is_closed_with_1008(server, client):
    now = monotonic()
    server.endpoint.sweep(now + 9)
    assert server.connection.is_open
    server.endpoint.sweep(now + 11)
    await client.expect_close(1008, "Authentication timeout")
    assert server.endpoint.authentication_timeouts == 1


async def test_traffic_does_not_extend_the_authentication_deadline(server, client):
    await client.send_frame(PING)
    await client.read_frame()
    server.endpoint.sweep(monotonic() + 11)
    await client.expect_close(1008, "Authentication timeout")


async def test_listener_sweeps_by_itself(server):
    await server.start(authentication=0.01)
    client = await server.open()
    await client.expect_close(1008, "Authentication timeout")


async def test_peer_that_never_answers_a_close_frame_is_dropped(server):
    await server.start(close=2.0)
    client = await server.open()
    server.connection.close(1000, "Bye")
    assert (await client.read_frame()).close_code == 1000
    server.endpoint.sweep(monotonic() + 1.9)
    assert not server.closed
    server.endpoint.sweep(monotonic() + 2.1)
    await client.expect_end()
    await server.all_closed()


async def test_close_that_the_peer_never_reads_is_dropped_with_all_it_holds(server):
    await server.start(close=2.0, outbox_limit=2**30)
    await server.open(receive_buffer=4096)
    for _ in range(100):
        server.connection.send(b"x" * 100_000)
    assert server.connection.backlog > 1_000_000
    server.connection.close(1000, "Bye")
    server.endpoint.sweep(monotonic() + 2.1)
    await server.all_closed()
    assert server.connection.backlog == 0


async def test_server_closes_the_socket_first_once_both_close_frames_are_through(server):
    await server.start(close=inf)
    client = await server.open()
    server.connection.close(1000, "Bye")
    await client.read_frame()
    await client.send(close_frame(1000))
    await client.expect_end()
    await server.all_closed()
