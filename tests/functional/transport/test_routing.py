"""The routing table and its fan-out to real connections."""

import pytest

from fastchat._speedups.routing import RoutingTable
from tests.functional.transport.raw_client import TEXT


@pytest.fixture
def table():
    return RoutingTable()


async def connections(server, count):
    await server.start()
    clients = [await server.open() for _ in range(count)]
    return clients, server.opened


async def test_user_with_several_connections_is_counted_and_listed(server, table):
    _, (one, two, three) = await connections(server, 3)
    assert table.connections("ann") == []
    assert [table.add("ann", connection) for connection in (one, two, three)] == [1, 2, 3]
    assert table.connections("ann") == [one, two, three]
    assert [table.remove("ann", connection) for connection in (two, one, three)] == [2, 1, 0]
    assert "ann" not in table
    assert len(table) == 0
    assert table.users() == []


async def test_adding_twice_and_removing_a_stranger_change_nothing(server, table):
    _, (one, two, other) = await connections(server, 3)
    assert (table.add("ann", one), table.add("ann", one)) == (1, 1)
    assert table.remove("ann", other) == 1
    assert (table.add("ann", two), table.add("ann", two)) == (2, 2)
    assert table.remove("ann", other) == 2
    assert table.remove("bob", one) == 0


async def test_listed_connections_are_a_copy(server, table):
    _, (one, two) = await connections(server, 2)
    table.add("ann", one)
    table.add("ann", two)
    table.connections("ann").clear()
    assert table.connections("ann") == [one, two]


async def test_event_reaches_every_connection_of_the_named_users_once(server, table):
    clients, opened = await connections(server, 4)
    for user, connection in zip(["ann", "ann", "bob", "eve"], opened, strict=True):
        table.add(user, connection)
    assert table.publish(["ann", "bob", "nobody"], b"event") == 3
    assert table.publish_all(b"end") == 4
    for client in clients[:3]:
        assert await client.read_text() == "event"
    for client in clients:
        assert await client.read_text() == "end"


async def test_skipped_connection_gets_nothing(server, table):
    clients, opened = await connections(server, 2)
    for connection in opened:
        table.add("ann", connection)
    assert table.publish(["ann"], b"event", skip=opened[0]) == 1
    assert table.publish_all(b"all", skip=opened[1]) == 1
    assert await clients[0].read_text() == "all"
    assert await clients[1].read_text() == "event"


async def test_closed_connections_are_passed_over_until_they_are_removed(server, table):
    clients, opened = await connections(server, 2)
    for connection in opened:
        table.add("ann", connection)
    opened[0].abort()
    assert table.publish(["ann"], b"event") == 1
    assert await clients[1].read_text() == "event"


async def test_disconnect_inside_a_callback_changes_the_table_only_after_the_publish(server, table):
    server.on_open = lambda connection: table.add("ann", connection)
    counts = []

    def end_all(connection, payload):
        for other in table.connections("ann"):
            other.abort()
            counts.append((table.publish_all(b"event"), len(table.connections("ann"))))

    server.on_message = end_all
    await server.start()
    clients = [await server.open() for _ in range(3)]
    await clients[0].send_frame(TEXT, "now")
    await server.all_closed()
    assert counts == [(2, 3), (1, 3), (0, 3)]


async def test_peer_that_reset_its_socket_does_not_disturb_a_publish(server, table):
    server.on_open = lambda connection: table.add("ann", connection)
    await server.start()
    clients = [await server.open() for _ in range(3)]
    clients[1].reset()
    for number in range(20):
        table.publish(["ann"], b"x" * 70_000)
        for client in (clients[0], clients[2]):
            assert len(await client.read_text()) == 70_000, number
    assert len(table.connections("ann")) == 3
    clients[0].close()
    clients[2].close()
    await server.all_closed()


async def test_frames_to_one_connection_are_corked_into_one_send_in_their_order(server, table):
    (client,), (connection,) = await connections(server, 1)
    table.add("ann", connection)
    for number in range(100):
        if number % 2:
            table.publish(["ann"], b"%d" % number)
        else:
            connection.send(b"%d" % number)
    assert connection.backlog == sum(2 + len(str(number)) for number in range(100))
    assert [await client.read_text() for _ in range(100)] == [str(n) for n in range(100)]
    assert connection.backlog == 0


async def test_wrong_types_are_refused(server, table):
    with pytest.raises(TypeError):
        table.add("ann", object())
    with pytest.raises(TypeError):
        table.publish(["ann"], None)
    with pytest.raises(TypeError):
        table.publish(["ann"], "text")
