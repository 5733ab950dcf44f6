"""permessage-deflate on the wire."""

import zlib

import pytest
import websockets

from fastchat._speedups.routing import RoutingTable
from tests.functional.transport.raw_client import (
    BINARY,
    CONTINUATION,
    DEFLATE,
    TEXT,
    frame,
    upgrade_head,
)

COMPRESSED = 4  # RSV1
LONG = "grüße " * 500


def deflated(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflated(data, bits=15):
    return zlib.decompressobj(-bits).decompress(data + b"\x00\x00\xff\xff")


async def compressing(server, offer=DEFLATE):
    return await server.open(Sec_WebSocket_Extensions=offer)


async def test_ordinary_client_negotiates_and_exchanges_compressed_messages(server):
    await server.echo().start()
    async with websockets.connect(server.url) as client:
        for text in ("short", LONG, LONG):
            await client.send(text)
            assert await client.recv() == text
    assert (server.endpoint.inflated, server.endpoint.deflated) == (3, 2)
    await server.all_closed()


async def test_answer_names_the_agreement_and_nothing_without_an_offer(server):
    await server.start()
    client = await server.connect()
    await client.send(
        upgrade_head(Sec_WebSocket_Extensions="permessage-deflate; server_max_window_bits=10")
    )
    head = await client.read_head()
    assert (
        "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
        "client_no_context_takeover; server_max_window_bits=10\r\n"
    ) in head
    other = await server.connect()
    await other.send(upgrade_head())
    assert "Extensions" not in await other.read_head()


async def test_no_compression_when_the_listener_does_not_want_it(server):
    await server.start(options={"compress": False})
    client = await server.connect()
    await client.send(upgrade_head(Sec_WebSocket_Extensions=DEFLATE))
    assert "Extensions" not in await client.read_head()


async def test_small_messages_are_not_compressed_and_large_ones_are(server):
    await server.start(deflate_from=1024)
    client = await compressing(server)
    server.connection.send(b"x" * 1023)
    server.connection.send(b"x" * 1024)
    assert (await client.read_frame()).rsv == 0
    got = await client.read_frame()
    assert (got.rsv, inflated(got.payload)) == (COMPRESSED, b"x" * 1024)


async def test_message_that_compression_does_not_shrink_is_sent_as_it_is(server):
    await server.start(deflate_from=16)
    client = await compressing(server)
    payload = bytes(range(33, 97))
    server.connection.send(payload)
    got = await client.read_frame()
    assert (got.rsv, got.payload) == (0, payload)


async def test_each_message_is_compressed_for_itself_within_the_agreed_window(server):
    await server.start()
    client = await compressing(server, "permessage-deflate; server_max_window_bits=9")
    text = bytes(range(32, 127)) * 40
    for _ in range(3):
        server.connection.send(text)
        assert inflated((await client.read_frame()).payload, bits=9) == text


async def test_event_for_many_is_compressed_once(server):
    table = RoutingTable()
    server.on_open = lambda connection: table.add("user", connection)
    await server.start()
    clients = [await compressing(server) for _ in range(5)]
    plain = await server.open()
    assert table.publish(["user"], LONG.encode()) == 6
    for client in clients:
        assert inflated((await client.read_frame()).payload).decode() == LONG
    assert await plain.read_text() == LONG
    assert server.endpoint.deflated == 1


async def test_compressed_fragments_are_one_message(server):
    await server.start()
    client = await compressing(server)
    data = deflated(LONG.encode())
    await client.send_frame(TEXT, data[:5], fin=False, rsv=COMPRESSED)
    await client.send_frame(CONTINUATION, data[5:])
    await client.send_frame(TEXT, "plain")
    await client.send_frame(TEXT, deflated(b""), rsv=COMPRESSED)
    await client.send_frame(TEXT, "last")
    while len(server.messages) < 4:
        server.connection.send(b"tick")
        await client.read_text()
    assert server.messages == [LONG.encode(), b"plain", b"", b"last"]


async def test_bomb_is_closed_with_1009_at_the_limit_without_being_inflated(server):
    await server.start(max_message=64 * 1024)
    client = await compressing(server)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(packer.compress(bytes(1_000_000)) for _ in range(50))
    bomb += packer.flush(zlib.Z_SYNC_FLUSH)[:-4]
    assert len(bomb) < 64 * 1024
    await client.send_frame(TEXT, bomb, rsv=COMPRESSED)
    await client.expect_close(1009)
    assert server.messages == []


async def test_message_of_exactly_the_limit_once_inflated_passes(server):
    await server.echo().start(max_message=5000, deflate_from=10**6)
    client = await compressing(server)
    await client.send_frame(TEXT, deflated(b"x" * 5000), rsv=COMPRESSED)
    assert await client.read_text() == "x" * 5000
    await client.send_frame(TEXT, deflated(b"x" * 5001), rsv=COMPRESSED)
    await client.expect_close(1009)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"\xff\xff\xff", rsv=COMPRESSED), 1007),
        (frame(TEXT, deflated(b"\xff"), rsv=COMPRESSED), 1007),
        (frame(BINARY, deflated(b"x"), rsv=COMPRESSED), 1003),
        (frame(TEXT, b"x", fin=False) + frame(CONTINUATION, b"x", rsv=COMPRESSED), 1002),
    ],
    ids=["no stream", "bad UTF-8 inside", "binary", "marked continuation"],
)
async def test_bad_compressed_message_is_closed(server, data, code):
    await server.start()
    client = await compressing(server)
    await client.send(data)
    await client.expect_close(code)
    assert server.messages == []


async def test_compressed_frame_without_the_agreement_is_a_violation(server):
    await server.start()
    client = await server.open()
    await client.send_frame(TEXT, deflated(b"x"), rsv=COMPRESSED)
    await client.expect_close(1002, "Reserved bit set")
