"""Read positions, on a real PostgreSQL."""

import asyncio

import asyncpg
import pytest

from fastchat.errors import ServiceUnavailable
from fastchat.store.changes import Refusal
from fastchat.store.messages import MessageRef
from fastchat.store.read_marks import Marked, ReadMarks
from fastchat.store.rooms import Group
from tests.functional.grouping import GROUP, make_group, remove_member
from tests.functional.store.changing import at, members, open_rooms
from tests.functional.store.cutting_proxy import CuttingProxy
from tests.functional.store.reading import store_messages
from tests.functional.store.writing import make_message, make_writer, send


@pytest.fixture
async def connection(database):
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def proxy(database):
    async with CuttingProxy(database) as proxy:
        yield proxy


@pytest.fixture
async def writer(proxy):
    writer = make_writer(proxy.dsn)
    yield writer
    proxy.thaw()
    await writer.stop(10.0)


@pytest.fixture
async def marks(writer):
    return ReadMarks(writer)


@pytest.fixture
async def rooms(database, writer):
    """Conversations with five messages each."""
    rooms = await open_rooms(database, 4)
    await send(writer, *(make_message(members(room)) for room in rooms for _ in range(5)))
    return rooms


@pytest.fixture
def room(rooms):
    return rooms[0]


async def position(connection, room, user_id):
    return await connection.fetchval(
        "SELECT read_seq FROM room_members WHERE room_id = $1 AND user_id = $2",
        room.room_id,
        user_id,
    )


async def test_a_position_only_grows(marks, room, connection):
    assert await marks.mark(room, at(room, 3), "2") == Marked(True, 3)
    assert await marks.mark(room, at(room, 3), "2") == Marked(False, 3)
    assert await marks.mark(room, at(room, 1), "2") == Marked(False, 1)
    assert await position(connection, room, "2") == 3
    assert await position(connection, room, "1") == 0
    assert (marks.marks, marks.moved) == (3, 1)


async def stamps(connection):
    """The transactions that changed what each user sees of his rooms, by room and user."""
    rows = await connection.fetch("SELECT room_id, user_id, changed_xid FROM room_members")
    return {(room_id, user_id): xid for room_id, user_id, xid in rows}


async def changed_since(connection, before):
    now = await stamps(connection)
    assert all(now[key] >= before[key] for key in now)
    return {key for key in now if now[key] > before[key]}


async def test_a_mark_stamps_the_rows_of_both_members(marks, rooms, room, connection):
    before = await stamps(connection)
    await marks.mark(room, at(room, 3), "2")
    assert await changed_since(connection, before) == {(room.room_id, "1"), (room.room_id, "2")}
    before = await stamps(connection)
    await marks.mark(room, at(room, 2), "2")
    assert await changed_since(connection, before) == set()


async def test_both_members_may_mark_in_one_statement(marks, room, connection):
    before = await stamps(connection)
    outcomes = await asyncio.gather(
        marks.mark(room, at(room, 3), "2"), marks.mark(room, at(room, 4), "1")
    )
    assert outcomes == [Marked(True, 3), Marked(True, 4)]
    assert [await position(connection, room, user_id) for user_id in "12"] == [4, 3]
    assert await changed_since(connection, before) == {(room.room_id, "1"), (room.room_id, "2")}


async def test_a_mark_in_a_group_stamps_the_row_of_the_reader_alone(
    marks, database, connection, writer
):
    room_id = await make_group(database, {"1": "owner", "2": "member", "3": "member"})
    await store_messages(connection, room_id, ["1", "1"])
    before = await stamps(connection)
    group = Group(room_id, GROUP)
    assert await marks.mark(group, MessageRef(room_id, 2), "2") == Marked(True, 2)
    assert await changed_since(connection, before) == {(room_id, "2")}
    await remove_member(connection, room_id, "3")
    assert await marks.mark(group, MessageRef(room_id, 2), "3") is Refusal.NOT_FOUND


async def test_two_servers_that_mark_in_the_same_rooms_do_not_wait_for_each_other_for_ever(
    marks, rooms, database, connection
):
    writer = make_writer(database)
    others = ReadMarks(writer)
    async with asyncio.timeout(10):
        for seq in range(1, 6):
            outcomes = await asyncio.gather(
                *(marks.mark(room, at(room, seq), room.user2_id) for room in rooms),
                *(others.mark(room, at(room, seq), room.user1_id) for room in reversed(rooms)),
            )
            assert outcomes == [Marked(True, seq)] * 2 * len(rooms)
    await writer.stop(10.0)
    positions = await connection.fetch("SELECT DISTINCT read_seq FROM room_members")
    assert [tuple(row) for row in positions] == [(5,)]


async def test_a_mark_is_no_change_of_the_room(marks, room, connection):
    await marks.mark(room, at(room, 3), "2")
    assert await connection.fetchval(
        "SELECT (seq, rev) = (5, 5) FROM chat_rooms WHERE room_id = $1", room.room_id
    )


async def test_of_marks_that_arrive_together_the_highest_moves_the_position(
    marks, rooms, connection
):
    outcomes = await asyncio.gather(
        *(marks.mark(room, at(room, seq), room.user2_id) for room in rooms for seq in (2, 4, 3, 4))
    )
    expected = [Marked(False, 2), Marked(True, 4), Marked(False, 3), Marked(False, 4)]
    assert outcomes == expected * len(rooms)
    assert marks._queues[0].runs == 1
    for room in rooms:
        assert await position(connection, room, room.user2_id) == 4


async def test_what_is_not_there_is_not_found(marks, rooms, room, connection):
    await connection.execute("UPDATE chat_messages SET is_deleted = true WHERE seq = 4")
    await connection.execute(
        "INSERT INTO message_removals (user_id, room_id, seq) VALUES ('2', $1, 5)", room.room_id
    )
    outcomes = await asyncio.gather(
        *(
            marks.mark(room, ref, "2")
            for ref in (
                at(room, 4),
                at(room, 5),
                at(room, 6),
                at(room, 0),
                at(room, 3, "an old id"),
                at(rooms[1], 1),
                MessageRef(room.room_id + 99, 1),
            )
        ),
        marks.mark(room, at(room, 3), "3"),
        marks.mark(room, at(room, 2), "2"),
        marks.mark(room, at(room, 5), "1"),
    )
    assert outcomes == [Refusal.NOT_FOUND] * 8 + [Marked(True, 2), Marked(True, 5)]
    assert await position(connection, room, "2") == 2


async def test_a_row_of_the_previous_server_answers_to_its_own_id_only(marks, room, connection):
    await connection.execute("UPDATE chat_messages SET message_id = 'old' WHERE seq = 3")
    assert await marks.mark(room, at(room, 3), "2") is Refusal.NOT_FOUND
    assert await marks.mark(room, at(room, 3, "old"), "2") == Marked(True, 3)


async def test_a_mark_does_not_wait_for_the_room(marks, room, connection):
    async with connection.transaction(), asyncio.timeout(1.0):
        await connection.execute("SELECT FROM chat_rooms FOR UPDATE")
        assert await marks.mark(room, at(room, 3), "2") == Marked(True, 3)


async def test_a_lost_answer_to_a_mark_is_found_again(proxy, marks, room, writer):
    await marks.mark(room, at(room, 1), "2")
    proxy.cut_answers = True
    assert await marks.mark(room, at(room, 3), "2") == Marked(True, 3)
    assert writer.unknown_outcomes == 1


async def test_without_a_database_nothing_is_said_to_be_marked(proxy, database):
    (room,) = await open_rooms(database, 1)
    proxy.freeze()
    writer = make_writer(proxy.dsn, deadline=0.3)
    with pytest.raises(ServiceUnavailable):
        await ReadMarks(writer).mark(room, at(room, 1), "2")
    await writer.stop(0.0)
