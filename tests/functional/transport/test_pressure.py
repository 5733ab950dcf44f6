"""Peers that do not read, or send more than they should: everything stays within its bound."""

import asyncio
import socket
from pathlib import Path
from time import monotonic

import pytest

from fastchat._speedups.routing import RoutingTable
from fastchat.transport.port import UNSENT_LIMIT
from tests.functional.transport.conftest import until
from tests.functional.transport.raw_client import (
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    frame,
)

MIB = 1024 * 1024
SMALL = 4096  # receive buffer of a client that does not read


def fill(connection, *, most=400):
    """Send events until the connection is closed for it."""
    sent = 0
    while connection.is_open and sent < most:
        connection.send(b"%06d" % sent + b"x" * 50_000)
        sent += 1
    assert not connection.is_open
    return sent


async def test_slow_reader_is_closed_with_1013_and_what_it_got_is_in_order(server):
    await server.start()
    client = await server.open(receive_buffer=SMALL)
    fill(server.connection)
    assert server.endpoint.slow_consumers == 1
    number = 0
    while (got := await client.read_frame()).opcode == TEXT:
        assert got.payload[:6] == b"%06d" % number
        number += 1
    assert (got.opcode, got.close_code, got.reason) == (CLOSE, 1013, "Slow consumer")


async def test_backlog_of_a_slow_reader_is_bounded_and_freed_although_it_never_reads(server):
    await server.start()
    await server.open(receive_buffer=SMALL)
    fill(server.connection)
    assert server.connection.backlog <= server.endpoint.limits.outbox_limit + 64
    server.endpoint.sweep(monotonic() + 3)
    await server.all_closed()
    assert server.connection.backlog == 0


def send_queue(client):
    """Bytes that the kernel holds for a client and that he has not acknowledged."""
    _, port = client.sock.getsockname()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, _, remote, _, queues, *_ = line.split()
        if remote.endswith(f":{port:04X}"):
            return int(queues.partition(":")[0], 16)
    raise AssertionError(f"no connection from port {port}")


async def test_a_burst_is_not_taken_for_a_slow_reader(server):
    await server.start(burst=30.0)
    client = await server.open(receive_buffer=SMALL)
    for number in range(15):  # more than outbox_limit, less than burst_limit
        server.connection.send(b"%06d" % number + b"x" * 50_000)
    assert server.connection.is_open
    for number in range(15):
        assert (await client.read_text())[:6] == f"{number:06d}"


async def test_a_burst_has_a_limit(server):
    await server.start(burst=30.0)
    await server.open(receive_buffer=SMALL)
    fill(server.connection)
    assert server.connection.backlog <= server.endpoint.limits.burst_limit + 64


async def test_a_burst_has_an_end(server):
    await server.start(burst=0.01)
    await server.open(receive_buffer=SMALL)
    connection, limits = server.connection, server.endpoint.limits
    while connection.backlog < limits.outbox_limit // 2:
        connection.send(b"x" * 50_000)
    await asyncio.sleep(0.02)  # the backlog is older than a burst now
    while connection.is_open:
        connection.send(b"x" * 50_000)
        assert connection.backlog <= limits.outbox_limit + 64


async def test_what_the_kernel_keeps_for_a_slow_reader_is_bounded_too(server):
    await server.start(outbox_limit=64 * MIB)
    client = await server.open(receive_buffer=SMALL)
    most = 0
    for number in range(100):
        server.connection.send(b"%06d" % number + b"x" * 50_000)
        await asyncio.sleep(0)
        most = max(most, send_queue(client))
    # What it says it can take, and one segment more than the bound.
    assert 0 < most <= UNSENT_LIMIT + 2 * 64 * 1024
    for number in range(100):
        assert (await client.read_text())[:6] == f"{number:06d}"


async def test_slow_reader_does_not_delay_the_others_and_leaves_the_table_in_peace(server):
    table = RoutingTable()
    server.on_open = lambda connection: table.add("user", connection)
    await server.start()
    await server.open(receive_buffer=SMALL)
    fast = await server.open()
    slow_connection, fast_connection = server.opened
    sent = 0
    while slow_connection.is_open:
        payload = b"%06d" % sent + b"x" * 50_000
        sent += 1
        published = table.publish(["user"], payload)
        assert published == (2 if slow_connection.is_open else 1)
        assert len(table.connections("user")) == 2
        assert (await fast.read_text(1.0))[:6] == f"{sent - 1:06d}"
    assert fast_connection.is_open
    assert server.closed == []


async def test_ephemeral_events_are_shed_above_the_mark_and_messages_are_not(server):
    await server.start(outbox_mark=100_000, outbox_limit=10 * MIB)
    client = await server.open(receive_buffer=SMALL)
    connection = server.connection
    kept = 0
    while connection.backlog < 200_000:
        connection.send(b"message" + b"x" * 50_000)
        kept += 1
    before = connection.backlog
    connection.send_ephemeral(b"typing")
    assert (connection.backlog, server.endpoint.ephemeral_sheds) == (before, 1)
    connection.send(b"last")
    for _ in range(kept):
        assert (await client.read_text()).startswith("message")
    assert await client.read_text() == "last"
    connection.send_ephemeral(b"typing")
    assert await client.read_text() == "typing"


async def flood(client, data):
    """Send until the server reads no more; return how many bytes it took."""
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    taken = 0
    try:
        while taken < 100 * MIB:
            async with asyncio.timeout(0.5):
                await client.loop.sock_sendall(client.sock, data)
            taken += len(data)
    except TimeoutError:
        return taken
    raise AssertionError("the server never stopped reading")


async def test_ping_flood_of_a_peer_that_does_not_read_costs_no_memory(server):
    await server.start()
    client = await server.open(receive_buffer=SMALL)
    await flood(client, frame(PING, b"x" * 125) * 500)
    assert server.connection.is_open
    limits = server.endpoint.limits
    assert server.connection.backlog <= limits.outbox_limit + limits.outbox_mark


async def test_peer_that_asks_and_does_not_read_is_not_read_until_it_does(server):
    await server.echo().start()
    client = await server.open(receive_buffer=SMALL)
    taken = await flood(client, frame(TEXT, b"x" * 2000) * 10)
    assert server.connection.is_open
    assert server.connection.backlog < MIB
    handled = len(server.messages)
    assert handled * 2000 < taken
    for _ in range(handled + 1):
        assert len(await client.read_text()) == 2000


async def test_connection_with_a_large_reply_is_not_read_until_it_has_gone_out(server):
    await server.start()
    client = await server.open(receive_buffer=SMALL)
    server.connection.send_reply(b"x" * (16 * MIB))
    await asyncio.sleep(0)
    await client.send_frame(TEXT, "next")
    server.connection.send(b"event")
    assert server.connection.is_open
    assert server.connection.backlog > MIB
    assert server.messages == []
    assert len(await client.read_text()) == 16 * MIB
    assert await client.read_text() == "event"
    await until(lambda: server.messages == [b"next"])


async def test_replies_wait_for_each_other_and_keep_their_order(server):
    await server.start(replies_limit=4 * MIB)
    client = await server.open(receive_buffer=SMALL)
    server.connection.send_reply(b"a" * (8 * MIB))
    server.connection.send_reply(b"b" * MIB)
    server.connection.send_reply(b"c" * MIB)
    server.connection.send(b"event")
    got = [(await client.read_text())[:5] for _ in range(4)]
    assert [text for text in got if text != "event"] == ["aaaaa", "bbbbb", "ccccc"]
    assert got[-1] != "event"
    assert server.connection.backlog == 0


async def test_more_waiting_replies_than_allowed_close_with_1013(server):
    await server.start(replies_limit=4 * MIB)
    client = await server.open(receive_buffer=SMALL)
    server.connection.send_reply(b"a" * (8 * MIB))
    for _ in range(4):
        server.connection.send_reply(b"b" * MIB)
    assert server.connection.is_open
    server.connection.send_reply(b"b")
    assert not server.connection.is_open
    assert len(await client.read_text()) == 8 * MIB
    await client.expect_close(1013, "Slow consumer")


async def test_what_is_queued_can_be_written_before_the_turn_ends(server):
    await server.start()
    client = await server.open()
    server.connection.send(b"one")
    server.connection.send(b"two")
    assert server.connection.backlog
    server.endpoint.flush()
    assert not server.connection.backlog
    assert [await client.read_text(), await client.read_text()] == ["one", "two"]


async def test_many_events_of_one_turn_do_not_make_a_reader_slow(server):
    await server.start()
    client = await server.open()
    for number in range(20_000):
        server.connection.send(b"%06d" % number + b"x" * 40)
        if number % 500 == 499:
            await asyncio.sleep(0)
            while len(client.received) < number * 48:
                await client._receive(5.0)
    assert server.connection.is_open


async def test_read_buffer_that_a_large_message_left_is_replaced_when_the_connection_is_idle(
    server,
):
    await server.echo().start(pinned_limit=2 * MIB)
    client = await server.open()
    await client.send_frame(TEXT, b"x" * MIB)
    await client.read_text()
    assert server.endpoint.pinned_bytes > MIB
    server.endpoint.sweep(monotonic())
    assert server.endpoint.pinned_bytes > MIB
    server.endpoint.sweep(monotonic() + 6)
    assert server.endpoint.pinned_bytes == 0
    await client.send_frame(TEXT, b"y" * 5000)
    assert await client.read_text() == "y" * 5000
    assert server.endpoint.pinned_closes == 0


@pytest.mark.parametrize("sizes", [[10] * 300, [1500, 1700], [4000, 100, 9000], [70_000, 1], [MIB]])
async def test_pinned_memory_is_what_the_parser_really_holds(server, sizes):
    await server.echo().start()
    client = await server.open()
    await client.send(b"".join(frame(TEXT, b"x" * size) for size in sizes))
    for size in sizes:
        assert len(await client.read_text()) == size
    assert server.endpoint.pinned_bytes == len(server.connection.get_buffer(-1)) - 1792


async def test_read_buffer_with_part_of_a_frame_is_not_replaced(server):
    await server.echo().start(pinned_limit=16 * 1024)
    client = await server.open()
    whole = frame(TEXT, b"x" * 12_000)
    for part in (whole[:3584], whole[3584:10_000]):
        heard = server.endpoint.bytes_in + len(part)
        await client.send(part)
        await until(lambda heard=heard: server.endpoint.bytes_in == heard)
        server.endpoint.sweep(monotonic())
        server.endpoint.sweep(monotonic() + 6)
    await client.send(whole[10_000:])
    assert await client.read_text() == "x" * 12_000


async def test_idlest_of_those_with_large_unfinished_input_is_closed_with_1012(server):
    await server.start(pinned_limit=MIB)
    idle = await server.open()
    busy = await server.open()
    small = await server.open()
    await idle.send(frame(TEXT, b"x" * 400_000, length=500_000))
    await until(lambda: server.endpoint.bytes_in == 400_014)
    server.endpoint.sweep(monotonic() - 1)
    server.endpoint.sweep(monotonic())
    whole = frame(TEXT, b"x" * 700_000)
    await busy.send(whole[:600_000])
    await idle.expect_close(1012, "Please reconnect")
    assert server.endpoint.pinned_closes == 1
    assert server.endpoint.pinned_bytes <= MIB
    await busy.send(whole[600_000:])
    await until(lambda: len(server.messages) == 1)
    await small.send_frame(TEXT, "small")
    await until(lambda: server.messages[-1] == b"small")


async def test_unfinished_fragments_count_as_pinned_memory(server):
    await server.start()
    client = await server.open()
    for number in range(10):
        await client.send_frame(CONTINUATION if number else TEXT, b"x" * 1000, fin=False)
    await until(lambda: server.endpoint.pinned_bytes >= 10_000)
    await client.send_frame(CONTINUATION, b"end")
    await until(lambda: len(server.messages) == 1)
    assert server.endpoint.pinned_bytes < 10_000


@pytest.mark.parametrize("size", [10, 100_000])
async def test_closing_everything_does_not_wait_for_slow_readers(server, size):
    await server.start()
    for _ in range(3):
        await server.open(receive_buffer=SMALL)
        server.connection.send(b"x" * size)
    async with asyncio.timeout(2.0):
        await server.listener.stop(1001, "Server shutting down", timeout=0.1)
    await server.all_closed()
