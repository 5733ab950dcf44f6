"""The first request of a connection: its head, the handshake, who is let in, how the port stops."""

import asyncio
import gc
import logging
from ipaddress import ip_network

import pytest

from fastchat.transport.port import Refusal, bind, bind_shared
from tests.functional.transport.conftest import until
from tests.functional.transport.raw_client import ACCEPT, TEXT, RawClient, frame, upgrade_head

PROXY = {"trusted_proxies": [ip_network("127.0.0.0/8")]}


async def answer(server, head):
    """The head of the answer to one request."""
    client = await server.connect()
    await client.send(head)
    return await client.read_head()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Connection": "keep-alive, Upgrade"},
        {"Connection": "upgrade", "Upgrade": "WebSocket"},
        {"Upgrade": "h2c, websocket"},
        {"User_Agent": "x" * 8000},
    ],
    ids=["plain", "as Firefox and proxies write it", "other case", "list", "long head"],
)
async def test_upgrade_is_accepted(server, headers):
    await server.start()
    head = await answer(server, upgrade_head(**headers))
    assert head.startswith("HTTP/1.1 101 Switching Protocols\r\n")
    assert f"Sec-WebSocket-Accept: {ACCEPT}\r\n" in head
    assert "Upgrade: websocket\r\nConnection: Upgrade\r\n" in head
    await until(lambda: len(server.opened) == 1)


@pytest.mark.parametrize(
    ("status", "head"),
    [
        (400, upgrade_head(Connection="keep-alive")),
        (400, upgrade_head(Sec_WebSocket_Key=None)),
        (400, upgrade_head(Sec_WebSocket_Key="c2hvcnQ=")),
        (400, upgrade_head(Sec_WebSocket_Key="not base64 at all!!!!!!!")),
        (426, upgrade_head(Sec_WebSocket_Version=None)),
        (426, upgrade_head(Sec_WebSocket_Version="8")),
        (400, upgrade_head(Content_Length="5")),
        (400, upgrade_head().replace(b"GET", b"POST", 1)),
        (400, upgrade_head().replace(b"HTTP/1.1", b"HTTP/1.0", 1)),
        (400, upgrade_head().replace(b"Host: localhost", b"no header", 1)),
    ],
)
async def test_bad_handshake_is_answered_with_an_http_error_and_ends(server, status, head):
    await server.start()
    client = await server.connect()
    await client.send(head)
    got, body = await client.read_response()
    assert got.startswith(f"HTTP/1.1 {status} ")
    assert b'"VALIDATION_ERROR"' in body
    await client.expect_end()
    assert server.listener.bad_handshakes == 1
    assert server.admitted == []


async def test_head_in_single_bytes_is_put_together(server):
    await server.start()
    client = await server.connect()
    for byte in upgrade_head():
        await client.send(bytes([byte]))
        await asyncio.sleep(0)
    assert "101 Switching" in await client.read_head()


async def test_head_that_is_too_long_is_refused_before_its_end(server):
    await server.start()
    client = await server.connect()
    await client.send(b"GET / HTTP/1.1\r\nX: " + b"x" * 17_000)
    assert (await client.read_head()).startswith("HTTP/1.1 431 ")


async def test_head_that_comes_too_slowly_is_answered_with_408_and_dropped(server):
    await server.start(options={"head_timeout": 0.2})
    client = await server.connect()
    silent = await server.connect()
    async with asyncio.timeout(2.0):
        for byte in upgrade_head():
            try:
                await client.send(bytes([byte]))
            except OSError:
                break
            await asyncio.sleep(0.02)
    assert (await client.read_head()).startswith("HTTP/1.1 408 ")
    assert (await silent.read_head()).startswith("HTTP/1.1 408 ")
    await until(lambda: not server.listener.heads)
    assert server.listener.head_timeouts == 2


async def test_peer_that_vanishes_before_its_head_is_forgotten(server):
    await server.start()
    client = await server.connect()
    await client.send(b"GET /")
    await until(lambda: len(server.listener.heads) == 1)
    client.reset()
    await until(lambda: not server.listener.heads)


async def test_oldest_connection_without_a_head_is_dropped_when_there_are_too_many(server):
    await server.start(options={"max_heads": 3})
    waiting = []
    for number in range(5):
        waiting.append(await server.connect())
        await until(lambda number=number: len(server.listener.heads) == min(number + 1, 3))
    for client in waiting[:2]:
        await client.expect_end()
    await waiting[2].send(upgrade_head())
    assert "101 Switching" in await waiting[2].read_head()
    await until(lambda: server.listener.head_drops == 2)
    assert len(server.listener.heads) == 2


async def test_page_of_another_origin_is_refused_with_403(server):
    await server.start(options={"allowed_origins": ["https://chat.example"]})
    head = await answer(server, upgrade_head(Origin="https://evil.example"))
    assert head.startswith("HTTP/1.1 403 ")
    assert "101" in await answer(server, upgrade_head(Origin="https://CHAT.example"))
    assert "101" in await answer(server, upgrade_head())
    assert server.admitted == [("127.0.0.1", "https://CHAT.example"), ("127.0.0.1", None)]


@pytest.mark.parametrize(
    ("options", "forwarded", "seen"),
    [
        ({}, "203.0.113.9", "127.0.0.1"),
        (PROXY, None, "127.0.0.1"),
        (PROXY, "203.0.113.9", "203.0.113.9"),
        (PROXY, "198.51.100.1, 203.0.113.9, 127.0.0.2", "203.0.113.9"),
        (PROXY, "[2001:DB8::1]:443", "2001:db8::1"),
    ],
)
async def test_address_of_the_client_is_found_behind_trusted_proxies_only(
    server, options, forwarded, seen
):
    await server.start(options=options)
    client = await server.open(X_Forwarded_For=forwarded)
    await until(lambda: len(server.opened) == 1)
    assert server.connection.remote_ip == seen
    assert server.admitted == [(seen, None)]
    client.close()


async def test_invalid_address_closes_with_1008_after_the_handshake(server):
    await server.start(options=PROXY)
    client = await server.open(X_Forwarded_For="not an address")
    await client.expect_close(1008, "Invalid IP address")
    assert (server.admitted, server.opened) == ([], [])


async def test_refused_connection_gets_its_error_frame_then_the_close_and_no_callback(server):
    server.refusal = Refusal(1013, "Server full", b'{"code":"MAX_CONNECTIONS_EXCEEDED"}')
    await server.start()
    client = await server.connect()
    await client.send(upgrade_head() + frame(TEXT, "early"))
    await client.read_head()
    assert await client.read_text() == '{"code":"MAX_CONNECTIONS_EXCEEDED"}'
    await client.expect_close(1013, "Server full")
    assert (server.opened, server.closed, server.messages) == ([], [], [])
    assert server.endpoint.connections == 0
    await server.endpoint.wait_empty()


async def test_refused_connection_that_never_answers_is_dropped(server):
    server.refusal = Refusal(1008, "Rate limit exceeded")
    await server.start(close=0.01)
    client = await server.open()
    assert (await client.read_frame()).reason == "Rate limit exceeded"
    async with asyncio.timeout(5.0):
        await server.endpoint.wait_empty()


async def test_bug_while_admitting_closes_with_1011_and_tells_the_client_nothing(server, caplog):
    def fail(ip, headers, origin):
        raise RuntimeError("secret " + headers["Cookie"])

    await server.start()
    server.listener.admit = fail
    with caplog.at_level(logging.ERROR, "fastchat.transport"):
        client = await server.open(Cookie="password")
        await client.expect_close(1011, "Internal error")
    assert "RuntimeError" in caplog.text
    assert "password" not in caplog.text


async def test_stopped_port_takes_nobody_and_closes_everybody_with_1001(server):
    await server.start()
    open_client = await server.open()
    half = await server.connect()
    await half.send(b"GET /")
    await until(lambda: len(server.listener.heads) == 1)
    stopping = asyncio.create_task(server.listener.stop(1001, "Server shutting down", timeout=2.0))
    await open_client.expect_close(1001, "Server shutting down")
    await half.expect_end()
    async with asyncio.timeout(2.0):
        await stopping
    with pytest.raises(ConnectionRefusedError):
        await RawClient.connect(server.port)
    await server.all_closed()


async def test_port_that_accepts_no_more_keeps_who_is_there(server):
    await server.echo().start()
    client = await server.open()
    server.listener.close_accepting()
    await client.send_frame(TEXT, "still here")
    assert await client.read_text() == "still here"
    with pytest.raises(ConnectionRefusedError):
        await RawClient.connect(server.port)


async def test_head_under_way_when_the_port_closes_is_answered(server):
    await server.start()
    client = await server.connect()
    await client.send(upgrade_head()[:20])
    await until(lambda: server.listener.heads)
    server.listener.close_accepting()
    draining = asyncio.create_task(server.listener.drain_heads(5.0))
    await client.send(upgrade_head()[20:])
    assert "101 Switching" in await client.read_head()
    async with asyncio.timeout(2.0):
        await draining
    assert len(server.opened) == 1


async def test_head_that_never_comes_delays_the_end_by_no_more_than_its_deadline(server):
    await server.start()
    await server.connect()
    await until(lambda: server.listener.heads)
    async with asyncio.timeout(2.0):
        await server.listener.drain_heads(0.05)
    assert server.listener.heads


async def test_shared_sockets_have_one_port_and_each_gets_some_of_those_who_come(server):
    await server.start()
    shared = bind_shared("127.0.0.1", 0, 2)
    port = shared[0].getsockname()[1]
    await server.listener.start(shared)
    assert server.listener.addresses[1:] == [("127.0.0.1", port)] * 2
    for _ in range(20):
        server.clients.append(await RawClient.open(port))
    await until(lambda: server.endpoint.connections == 20)


def test_shared_sockets_are_not_shared_with_another_server():
    first = bind_shared("127.0.0.1", 0, 1)[0]
    with first:
        first.listen()
        with pytest.raises(OSError, match="in use"):
            bind_shared("127.0.0.1", first.getsockname()[1], 1)


async def test_several_sockets_serve_one_endpoint(server):
    await server.start()
    await server.listener.start([bind("127.0.0.1", 0), bind("::1", 0)])
    ports = [port for _, port in server.listener.addresses]
    assert len(set(ports)) == 3
    client = await RawClient.open(ports[1])
    server.clients.append(client)
    await until(lambda: server.endpoint.connections == 1)


async def test_closed_connections_leave_no_garbage_for_the_collector(server):
    await server.echo().start()
    gc.collect()
    gc.disable()
    try:
        kind = None
        for _ in range(20):
            client = await server.open()
            await client.send_frame(TEXT, "hello")
            await client.read_text()
            kind = type(server.connection)
            client.close()
            await until(lambda: len(server.closed) == len(server.opened))
        server.opened.clear()
        server.closed[:] = [None] * 20
        await asyncio.sleep(0)
        assert sum(type(thing) is kind for thing in gc.get_objects()) == 0
    finally:
        gc.enable()
