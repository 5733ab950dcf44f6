"""Plain HTTP on the port of the WebSocket."""

import asyncio
import logging
from ipaddress import ip_network

import pytest

from fastchat.transport import http
from fastchat.transport.http import HttpError, HttpResponse, HttpServer
from tests.functional.transport.conftest import until
from tests.functional.transport.raw_client import TEXT, close_frame, frame, upgrade_head


def show(request):
    text = f"{request.method} {request.path} {dict(request.query)} {request.remote_ip} "
    return HttpResponse(body=text.encode() + request.body, content_type="text/plain")


async def show_later(request):
    return show(request)


def fail(request):
    raise RuntimeError("secret " + request.body.decode())


def refuse(request):
    raise HttpError(409, "VALIDATION_ERROR", "Not now", "Try later.")


ROUTES = {
    "/show": {"GET": show, "POST": show_later},
    "/fail": {"POST": fail},
    "/refuse": {"GET": refuse},
}


@pytest.fixture
async def client(server):
    await server.start(routes=ROUTES)
    return await server.connect()


def request(method, path, body=b"", *headers):
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def test_get_is_answered_with_its_length_and_not_to_be_stored(client):
    await client.send(request("GET", "/show?a=1&b=%20"))
    head, body = await client.read_response()
    assert head.startswith("HTTP/1.1 200")
    assert body == b"GET /show {'a': '1', 'b': ' '} 127.0.0.1 "
    assert "content-type: text/plain" in head.lower()
    assert "cache-control: no-store" in head.lower()
    assert "aiohttp" not in head.lower()


async def test_head_is_answered_like_get_without_the_body(client):
    await client.send(request("GET", "/show"))
    _, body = await client.read_response()
    await client.send(request("HEAD", "/show"))
    head = await client.read_head()
    assert f"content-length: {len(body)}" in head.lower()
    await client.send(request("GET", "/refuse"))
    assert (await client.read_head()).startswith("HTTP/1.1 409")


async def test_post_carries_a_body_also_in_chunks_and_in_pieces(client):
    await client.send(request("POST", "/show", b"hello"))
    _, body = await client.read_response()
    assert body.endswith(b"hello")
    chunked = request("POST", "/show", b"", "Transfer-Encoding: chunked")
    await client.send(chunked + b"3\r\nhel\r\n")
    await client.send(b"2\r\nlo\r\n0\r\n\r\n")
    _, body = await client.read_response()
    assert body.endswith(b"hello")


async def test_pipelined_requests_are_answered_in_order_on_one_connection(client):
    await client.send(b"".join(request("GET", f"/show?n={n}") for n in range(20)))
    for number in range(20):
        _, body = await client.read_response()
        assert f"{{'n': '{number}'}}".encode() in body


async def test_connection_is_kept_unless_the_client_wants_it_closed(client):
    await client.send(request("GET", "/show"))
    await client.read_response()
    await client.send(request("GET", "/show", b"", "Connection: close"))
    await client.read_response()
    await client.expect_end()


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (request("GET", "/nothing"), 404, "RESOURCE_NOT_FOUND"),
        (request("DELETE", "/show"), 405, "VALIDATION_ERROR"),
        (request("POST", "/show", b"x" * 65_537), 413, "VALIDATION_ERROR"),
        (request("GET", "/refuse"), 409, "VALIDATION_ERROR"),
    ],
    ids=["404", "405", "413", "refused by the handler"],
)
async def test_refused_request_is_answered_in_the_form_of_the_protocol(client, data, status, code):
    await client.send(data)
    head, body = await client.read_response()
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert f'"status": "error", "code": "{code}"'.encode() in body


async def test_405_names_what_is_allowed(client):
    await client.send(request("PUT", "/show"))
    assert "Allow: GET, HEAD, POST" in await client.read_head()


async def test_body_of_the_limit_passes(client):
    await client.send(request("POST", "/show", b"x" * 65_536))
    _, body = await client.read_response()
    assert body.endswith(b"x" * 65_536)


async def test_endless_chunked_body_is_cut_off_with_413(client):
    await client.send(request("POST", "/show", b"", "Transfer-Encoding: chunked"))
    for _ in range(5):
        await client.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
    assert (await client.read_head()).startswith("HTTP/1.1 413 ")
    await client.drain()


async def test_body_that_does_not_come_is_answered_with_408_and_the_connection_ends(
    client, monkeypatch
):
    monkeypatch.setattr(http, "BODY_TIMEOUT", 0.05)
    await client.send(request("POST", "/show", b"x" * 10)[:-5])
    head, _ = await client.read_response()
    assert head.startswith("HTTP/1.1 408 ")
    await client.expect_end()


async def test_bug_in_a_handler_is_answered_with_an_id_and_nothing_of_the_error(client, caplog):
    with caplog.at_level(logging.ERROR, "fastchat.transport"):
        await client.send(request("POST", "/fail", b"password"))
        head, body = await client.read_response()
    assert head.startswith("HTTP/1.1 500 ")
    assert b"INTERNAL_ERROR" in body
    assert b"RuntimeError" not in body
    assert "RuntimeError" in caplog.text
    assert "password" not in caplog.text + body.decode()


async def test_malformed_request_is_answered_with_400_and_ends(client):
    await client.send(b"nonsense\r\n\r\n")
    head = await client.read_head()
    assert " 400 " in head.splitlines()[0]
    await client.drain()


async def test_idle_connection_is_closed(server, monkeypatch):
    monkeypatch.setattr(http, "IDLE_TIMEOUT", 0.05)
    await server.start(routes=ROUTES)
    client = await server.connect()
    await client.send(request("GET", "/show"))
    await client.read_response()
    await client.expect_end()


async def test_too_many_requests_are_told_when_to_come_again(server):
    seen = []

    def admit(remote_ip, path):
        seen.append((remote_ip, path))
        return 7

    await server.start(http=HttpServer(ROUTES, admit=admit))
    client = await server.connect()
    await client.send(request("GET", "/show"))
    head, body = await client.read_response()
    assert head.startswith("HTTP/1.1 429 ")
    assert "retry-after: 7" in head.lower()
    assert b"RATE_LIMIT_EXCEEDED" in body
    assert seen == [("127.0.0.1", "/show")]


async def test_forwarded_address_and_origin_are_judged_as_for_the_websocket(server):
    page = HttpServer(
        ROUTES, trusted_proxies=[ip_network("127.0.0.1")], allowed_origins=["https://a.example"]
    )
    await server.start(http=page)
    client = await server.connect()
    for header, status in [
        ("X-Forwarded-For: 203.0.113.9", 200),
        ("X-Forwarded-For: nonsense", 400),
        ("Origin: https://A.example", 200),
        ("Origin: https://b.example", 403),
    ]:
        await client.send(request("GET", "/show", b"", header))
        head, body = await client.read_response()
        assert head.startswith(f"HTTP/1.1 {status} "), header
        assert ("203" in header) == (b"203.0.113.9" in body)


async def test_upgrade_to_something_else_is_plain_http(server):
    await server.start(routes=ROUTES)
    client = await server.connect()
    await client.send(request("GET", "/show", b"", "Upgrade: h2c", "Connection: Upgrade"))
    assert (await client.read_head()).startswith("HTTP/1.1 200 ")


async def test_websocket_named_in_another_header_is_plain_http(server):
    await server.start(routes=ROUTES)
    client = await server.connect()
    await client.send(request("GET", "/show", b"", "X-Upgrade: websocket"))
    assert (await client.read_head()).startswith("HTTP/1.1 200 ")


async def test_running_requests_end_before_the_server_stops(server):
    started, release = asyncio.Event(), asyncio.Event()

    async def slow(request):
        started.set()
        await release.wait()
        return HttpResponse(body=b"done")

    await server.start(routes={"/slow": {"GET": slow}})
    client = await server.connect()
    await client.send(request("GET", "/slow"))
    async with asyncio.timeout(5.0):
        await started.wait()
        stopping = asyncio.create_task(server.listener.stop(1001, "", timeout=2.0))
        await asyncio.sleep(0)
        release.set()
        _, body = await client.read_response()
        assert body == b"done"
        await stopping


async def test_both_kinds_share_the_port(server):
    await server.echo().start(routes=ROUTES)
    page = await server.connect()
    chat = await server.connect()
    await page.send(request("GET", "/show"))
    await chat.send(upgrade_head())
    assert "101" in await chat.read_head()
    assert "200" in await page.read_head()
    await until(lambda: server.endpoint.connections == 1)


async def test_a_connection_that_was_used_for_pages_may_become_a_websocket(server):
    await server.echo().start(routes=ROUTES)
    client = await server.connect()
    for _ in range(2):
        await client.send(request("GET", "/show"))
        await client.read_response()
    await client.send(upgrade_head() + frame(TEXT, b"at once"))
    assert "101" in await client.read_head()
    assert await client.read_text() == "at once"
    for text in ("hello", "x" * 100_000):
        await client.send_frame(TEXT, text.encode())
        assert await client.read_text() == text
    assert server.endpoint.connections == 1
    await client.send(close_frame(1000))
    await client.expect_close(1000)
    await until(lambda: server.endpoint.connections == 0)


async def test_a_bad_handshake_on_a_used_connection_is_refused_and_pages_go_on(server):
    await server.echo().start(routes=ROUTES)
    client = await server.connect()
    await client.send(request("GET", "/show"))
    await client.read_response()
    await client.send(upgrade_head(Sec_WebSocket_Key="short"))
    head, body = await client.read_response()
    assert head.startswith("HTTP/1.1 400")
    assert b"Sec-WebSocket-Key" in body
    await client.send(request("GET", "/show"))
    head, _ = await client.read_response()
    assert head.startswith("HTTP/1.1 200")
    assert server.endpoint.connections == 0
