"""RFC 6455 on the wire: messages, fragments, control frames, violations."""

import asyncio
import logging

import pytest

from tests.functional.transport.conftest import until
from tests.functional.transport.raw_client import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    close_frame,
    frame,
    upgrade_head,
)


@pytest.fixture
async def echo(server):
    return await server.echo().start()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 1024 * 1024])
async def test_text_of_every_length_form_comes_back(echo, size):
    client = await echo.open()
    await client.send_frame(TEXT, b"x" * size)
    assert await client.read_frame() == Frame(TEXT, b"x" * size)
    assert echo.messages == [b"x" * size]


async def test_frames_that_arrive_byte_by_byte_are_put_together(echo):
    client = await echo.open()
    for byte in frame(TEXT, "grüße"):
        await client.send(bytes([byte]))
        await asyncio.sleep(0)
    assert await client.read_text() == "grüße"


async def test_frames_that_arrive_together_keep_their_order(echo):
    client = await echo.open()
    await client.send(b"".join(frame(TEXT, str(number)) for number in range(500)))
    assert [await client.read_text() for _ in range(500)] == [str(n) for n in range(500)]


async def test_frames_sent_together_with_the_handshake_are_delivered_after_it(echo):
    client = await echo.connect()
    await client.send(upgrade_head() + frame(TEXT, "early"))
    assert "101 Switching" in await client.read_head()
    assert await client.read_text() == "early"


async def test_fragments_are_one_message_with_a_ping_between_them(echo):
    client = await echo.open()
    await client.send_frame(TEXT, "gr", fin=False)
    await client.send_frame(PING, "now")
    await client.send_frame(CONTINUATION, "üß".encode()[:3], fin=False)
    await client.send_frame(CONTINUATION, "üß".encode()[3:] + b"e")
    assert await client.read_frame() == Frame(PONG, b"now")
    assert await client.read_text() == "grüße"
    assert len(echo.messages) == 1


async def test_a_message_of_exactly_the_limit_passes_in_fragments(server):
    await server.echo().start(max_message=1024)
    client = await server.open()
    await client.send_frame(TEXT, b"x" * 1000, fin=False)
    await client.send_frame(CONTINUATION, b"x" * 24)
    assert len(await client.read_text()) == 1024


async def test_fragments_together_above_the_limit_close_with_1009(server):
    await server.start(max_message=1024)
    client = await server.open()
    await client.send_frame(TEXT, b"x" * 1000, fin=False)
    await client.send_frame(CONTINUATION, b"x" * 25, fin=False)
    await client.expect_close(1009)
    await server.all_closed()


async def test_one_frame_above_the_limit_closes_with_1009_before_its_payload_arrives(server):
    await server.start(max_message=1024)
    client = await server.open()
    await client.send(frame(TEXT, b"x" * 100, length=1025))
    await client.expect_close(1009)
    await server.all_closed()


async def test_client_that_sends_a_large_message_to_its_end_still_learns_why_it_is_closed(server):
    await server.start()
    client = await server.open()
    await client.send_frame(TEXT, b"x" * 8_000_000)
    await client.expect_close(1009)
    await server.all_closed()


async def test_flood_of_tiny_fragments_is_closed(server):
    await server.start()
    client = await server.open()
    pieces = frame(TEXT, "", fin=False) + frame(CONTINUATION, "", fin=False) * 70
    await client.send(pieces)
    await client.expect_close(1008, "Too many fragments")


async def test_fragments_of_sixteen_bytes_and_more_are_no_flood(echo):
    client = await echo.open()
    pieces = [frame(CONTINUATION, b"x" * 16, fin=False) for _ in range(2000)]
    await client.send(frame(TEXT, "", fin=False) + b"".join(pieces) + frame(CONTINUATION))
    assert len(await client.read_text()) == 32000


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("unmasked", frame(TEXT, "x", mask=False)),
        ("reserved opcode", frame(3, "x")),
        ("reserved control opcode", frame(11, "x")),
        ("RSV1 without an extension", frame(TEXT, "x", rsv=4)),
        ("RSV2", frame(TEXT, "x", rsv=2)),
        ("RSV3", frame(PING, "x", rsv=1)),
        ("RSV1 on a ping", frame(PING, "x", rsv=4)),
        ("long ping", frame(PING, b"x" * 126)),
        ("fragmented ping", frame(PING, "x", fin=False)),
        ("nothing to continue", frame(CONTINUATION, "x")),
        ("interrupted message", frame(TEXT, "x", fin=False) + frame(TEXT, "y")),
        ("close with one byte", frame(CLOSE, b"\x03")),
        ("length not minimal", b"\x81\xfe\x00\x05" + bytes(4) + b"hello"),
        ("negative length", b"\x81\xff" + b"\xff" * 8),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_violation_closes_with_1002(server, name, data):
    await server.start()
    client = await server.open()
    await client.send(data + frame(TEXT, "after"))
    await client.expect_close(1002)
    await server.all_closed()
    assert server.messages == []


async def test_messages_before_a_violation_in_the_same_read_are_handled_and_answered(echo):
    client = await echo.open()
    await client.send(frame(TEXT, "one") + frame(TEXT, "two") + frame(3) + frame(TEXT, "three"))
    assert await client.read_text() == "one"
    assert await client.read_text() == "two"
    await client.expect_close(1002)
    assert echo.messages == [b"one", b"two"]


async def test_binary_message_closes_with_1003(server):
    await server.start()
    client = await server.open()
    await client.send_frame(BINARY, b"\x00")
    await client.expect_close(1003)


@pytest.mark.parametrize(
    "text",
    [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"0123456789abcdef\xe2\x82"],
    ids=["stray", "overlong", "surrogate", "beyond", "cut off"],
)
@pytest.mark.parametrize("fragmented", [False, True])
async def test_bad_utf8_closes_with_1007(server, text, fragmented):
    await server.start()
    client = await server.open()
    if fragmented:
        await client.send(frame(TEXT, text[:1], fin=False) + frame(CONTINUATION, text[1:]))
    else:
        await client.send_frame(TEXT, text)
    await client.expect_close(1007)
    assert server.messages == []


async def test_bad_utf8_in_a_close_reason_closes_with_1007(server):
    await server.start()
    client = await server.open()
    await client.send_frame(CLOSE, b"\x03\xe8\xff")
    await client.expect_close(1007)


async def test_ping_is_answered_with_its_payload(server):
    await server.start()
    client = await server.open()
    await client.send_frame(PING, b"x" * 125)
    assert await client.read_frame() == Frame(PONG, b"x" * 125)


async def test_unasked_pong_is_ignored(echo):
    client = await echo.open()
    await client.send(frame(PONG, "x") + frame(TEXT, "y"))
    assert await client.read_text() == "y"


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999])
async def test_close_frame_is_answered_with_its_code(server, code):
    await server.start()
    client = await server.open()
    await client.send(close_frame(code, "bye"))
    got = await client.read_frame()
    assert (got.opcode, got.close_code) == (CLOSE, code)
    await client.expect_end()
    await server.all_closed()


async def test_empty_close_frame_is_answered_with_an_empty_one(server):
    await server.start()
    client = await server.open()
    await client.send_frame(CLOSE)
    assert await client.read_frame() == Frame(CLOSE, b"")
    await client.expect_end()


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
async def test_close_frame_with_an_invalid_code_closes_with_1002(server, code):
    await server.start()
    client = await server.open()
    await client.send(close_frame(code))
    await client.expect_close(1002)


async def test_no_frame_is_processed_after_a_close_frame(echo):
    client = await echo.open()
    await client.send(close_frame(1000) + frame(TEXT, "late") + frame(PING))
    assert (await client.read_frame()).close_code == 1000
    await client.expect_end()
    assert echo.messages == []


async def test_second_close_frame_changes_nothing(server):
    await server.start()
    client = await server.open()
    await client.send(close_frame(1000) + close_frame(1000))
    assert (await client.read_frame()).close_code == 1000
    await client.expect_end()


async def test_server_close_comes_after_what_was_queued_and_nothing_comes_after_it(server):
    await server.start()
    client = await server.open()
    server.connection.send(b"before")
    server.connection.close(1001, "Going")
    server.connection.send(b"after")
    server.connection.close(1011, "Again")
    assert not server.connection.is_open
    assert await client.read_text() == "before"
    await client.expect_close(1001, "Going")
    await server.all_closed()


async def test_messages_that_cross_our_close_frame_are_ignored(echo):
    client = await echo.open()
    echo.connection.close(1000, "Done")
    await client.send(frame(TEXT, "crossing"))
    await client.expect_close(1000, "Done")
    assert echo.messages == []


async def test_long_close_reason_is_cut_at_a_character(server):
    await server.start()
    client = await server.open()
    server.connection.close(4000, "ü" * 100)
    await client.expect_close(4000, "ü" * 61)


async def test_invalid_close_code_of_ours_becomes_1011(server):
    await server.start()
    client = await server.open()
    server.connection.close(1005, "")
    await client.expect_close(1011)


async def test_bug_in_a_callback_closes_with_1011_and_is_logged_without_its_text(server, caplog):
    def fail(connection, payload):
        raise RuntimeError("secret " + payload.decode())

    server.on_message = fail
    await server.start()
    client = await server.open()
    with caplog.at_level(logging.ERROR, "fastchat.transport"):
        await client.send_frame(TEXT, "password")
        await client.expect_close(1011, "Internal error")
    assert "RuntimeError" in caplog.text
    assert "in fail" in caplog.text
    assert "password" not in caplog.text
    await server.all_closed()


async def test_bug_in_on_open_closes_with_1011_and_on_close_follows(server, caplog):
    def fail(connection):
        raise RuntimeError

    server.on_open = fail
    await server.start()
    with caplog.at_level(logging.ERROR, "fastchat.transport"):
        client = await server.open()
        await client.expect_close(1011)
    await server.all_closed()


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_vanished_peer_is_reported_once(server, end):
    await server.start()
    client = await server.open()
    getattr(client, end)()
    await server.all_closed()
    assert not server.connection.is_open
    server.connection.send(b"nobody")
    server.connection.close(1000, "")
    server.connection.abort()
    assert server.closed == server.opened


async def test_closing_inside_a_callback_reports_on_a_later_turn(server):
    seen = []

    def stop(connection, payload):
        connection.close(1000, "Enough")
        connection.abort()
        seen.append(len(server.closed))

    server.on_message = stop
    await server.start()
    client = await server.open()
    await client.send(frame(TEXT, "a") + frame(TEXT, "b"))
    await server.all_closed()
    assert seen == [0]
    assert server.messages == [b"a"]


async def test_held_reading_delivers_later(server):
    await server.start()
    client = await server.open()
    server.connection.pause_reading()
    await client.send_frame(TEXT, "wait")
    await asyncio.sleep(0.05)
    assert server.messages == []
    server.connection.resume_reading()
    await until(lambda: server.messages == [b"wait"])


async def test_a_wrong_close_frame_is_the_last_one_that_is_waited_for(server):
    await server.echo().start(close=3600.0)
    client = await server.open()
    await client.send(frame(CLOSE, rsv=7))
    await client.expect_close(1002, "Reserved bit set")
    await server.all_closed()


async def test_counters_count(echo):
    client = await echo.open()
    other = await echo.open()
    await client.send_frame(TEXT, "hello")
    await client.read_text()
    endpoint = echo.endpoint
    assert (endpoint.connections, endpoint.peak_connections, endpoint.opened) == (2, 2, 2)
    assert (endpoint.messages_in, endpoint.messages_out) == (1, 1)
    assert (endpoint.bytes_in, endpoint.bytes_out) == (11, 7)
    other.close()
    await until(lambda: endpoint.connections == 1)
    assert (endpoint.peak_connections, endpoint.closed) == (2, 1)


async def test_every_connection_has_an_id_of_its_own(server):
    await server.start()
    for _ in range(3):
        await server.open()
    assert len({connection.client_id for connection in server.opened}) == 3
    assert {connection.remote_ip for connection in server.opened} == {"127.0.0.1"}
