"""Marked events: who could not be reached is told, and what a connection did not get in the end."""

from time import monotonic

import pytest

from fastchat._speedups.routing import RoutingTable
from tests.functional.transport.conftest import until
from tests.functional.transport.raw_client import CLOSE, TEXT

SMALL = 4096  # receive buffer of a client that does not read
SIZE = 50_000  # bytes of an event
FRAME = SIZE + 4


@pytest.fixture
def table():
    return RoutingTable()


async def open_all(server, table, *users, **options):
    await server.start(**options)
    clients = [await server.open(receive_buffer=SMALL) for _ in users]
    for user, connection in zip(users, server.opened, strict=True):
        table.add(user, connection)
    return clients, list(server.opened)


def publish(table, number, users=("ann",)):
    return table.publish_marked(users, b"%06d" % number + b"x" * (SIZE - 6), number)


def fill(table, connection, count=100):
    for number in range(count):
        publish(table, number)
    assert connection.backlog


async def test_users_without_an_open_connection_are_named(server, table):
    clients, opened = await open_all(server, table, "ann", "bob", "bob", "eve")
    opened[1].abort()
    opened[3].close(1000, "Bye")
    assert publish(table, 0, ["ann", "bob", "eve", "nobody"]) == ["eve", "nobody"]
    opened[2].abort()
    assert publish(table, 1, ["ann", "bob"]) == ["bob"]
    assert [(await clients[0].read_text())[:6] for _ in range(2)] == ["000000", "000001"]


async def test_the_connection_that_knows_counts_as_reached_while_it_is_open(server, table):
    _, (connection,) = await open_all(server, table, "ann")
    assert table.publish_marked(["ann"], b"event", "token", connection) == []
    assert connection.queued == 0
    connection.close(1000, "Bye")
    assert table.publish_marked(["ann"], b"event", "token", connection) == ["ann"]


async def test_an_event_that_the_socket_took_is_not_unsent(server, table):
    (client,), (connection,) = await open_all(server, table, "ann")
    for number in range(3):
        table.publish_marked(["ann"], b"event", number)
    await client.read_text()
    client.reset()
    await server.all_closed()
    assert list(connection.unsent) == []
    assert connection.taken == connection.queued == 3 * 7


async def test_what_left_the_outbox_of_a_slow_reader_is_forgotten(server, table):
    (client,), (connection,) = await open_all(server, table, "ann", outbox_limit=100_000_000)
    fill(table, connection)
    for _ in range(100):
        await client.read_text()
    await until(lambda: not connection.backlog)
    assert list(connection.unsent) == []
    publish(table, 100)
    assert list(connection.unsent) == [100]


async def test_a_slow_consumer_gets_some_events_and_the_others_are_unsent(server, table):
    (client,), (connection,) = await open_all(server, table, "ann", outbox_limit=1_000_000)
    count = 0
    while not publish(table, count):
        count += 1
    got = []
    while (frame := await client.read_frame()).opcode == TEXT:
        got.append(int(frame.payload[:6]))
    assert (frame.opcode, frame.close_code) == (CLOSE, 1013)
    client.close()
    await server.all_closed()
    assert [*got, *connection.unsent] == list(range(count))
    assert got
    assert len(connection.unsent) > 15


async def test_a_slow_consumer_that_never_reads_again_has_lost_its_whole_backlog(server, table):
    _, (connection,) = await open_all(server, table, "ann", outbox_limit=1_000_000)
    count = 0
    while not publish(table, count):
        count += 1
    taken = connection.taken
    server.endpoint.sweep(monotonic() + 3)
    await server.all_closed()
    assert connection.unsent == list(range(taken // FRAME, count))
    assert len(connection.unsent) > 15


@pytest.mark.parametrize("how", ["abort", "reset", "close"])
async def test_what_a_connection_that_ends_had_not_taken_is_unsent(server, table, how):
    (client,), (connection,) = await open_all(server, table, "ann", outbox_limit=100_000_000)
    fill(table, connection)
    backlog = connection.backlog
    taken = connection.queued - backlog
    assert connection.taken == taken
    unsent = [number for number in range(100) if (number + 1) * FRAME > taken]
    assert len(unsent) > 10
    if how == "abort":
        connection.abort()
    else:
        getattr(client, how)()
    await server.all_closed()
    assert connection.unsent == unsent
    assert connection.taken == taken


async def test_what_the_event_loop_held_is_known_after_a_sweep(server, table):
    (client,), (connection,) = await open_all(server, table, "ann", outbox_limit=100_000_000)
    fill(table, connection, 200)
    backlog = connection.backlog
    for _ in range(100):
        await client.read_text()
    await until(lambda: connection.backlog < backlog - 50 * FRAME)
    server.endpoint.sweep(monotonic())
    taken = connection.taken
    client.reset()
    await server.all_closed()
    assert connection.unsent == [n for n in range(200) if (n + 1) * FRAME > taken]
