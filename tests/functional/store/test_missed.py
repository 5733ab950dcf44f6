"""What other workers stored, as the database tells it."""

import asyncio

import asyncpg
import pytest

from fastchat.store import backend
from fastchat.store.missed import PAGE, Gap, Missed
from tests.functional.store.reading import open_pool

ROOM = """
INSERT INTO chat_rooms (room_id, seq, rev, last_at)
VALUES ($1, $2, $2, clock_timestamp() - $3::float8 * interval '1 second')
"""
MESSAGES = """
INSERT INTO chat_messages (room_id, seq, rev, created_at, sender_id, content, is_encrypted)
SELECT $1, n, n, clock_timestamp() - ($2 - n + $3::float8) * interval '1 second', '1',
    'text ' || n, false
FROM generate_series(1, $2::bigint) n
"""
MEMBER = "INSERT INTO room_members (room_id, user_id) VALUES ($1, $2)"
CHANGE = """
UPDATE chat_messages SET changed_rev = $3,
    updated_at = clock_timestamp() - $4::float8 * interval '1 second',
    edited_at = CASE WHEN $5 THEN clock_timestamp() - $4::float8 * interval '1 second' END
WHERE room_id = $1 AND seq = $2
"""
# The last message of the room has just been stored, and changed.
NOW = """
WITH room AS (UPDATE chat_rooms SET last_at = clock_timestamp())
UPDATE chat_messages SET changed_rev = 21, created_at = clock_timestamp(),
    updated_at = clock_timestamp() WHERE seq = 20
"""


class World:
    def __init__(self, connection, missed):
        self.connection = connection
        self.missed = missed

    async def make_room(self, room_id, count, *, age=0.5, members=("1", "2")):
        """A room with one message each second, the last one ``age`` seconds ago."""
        await self.connection.execute(ROOM, room_id, count, age)
        await self.connection.execute(MESSAGES, room_id, count, age)
        for user_id in members:
            await self.connection.execute(MEMBER, room_id, user_id)


@pytest.fixture
async def world(database):
    connection = await asyncpg.connect(database)
    async with open_pool(database) as pool:
        tables = await backend.detect(connection)
        yield World(connection, Missed(pool, tables))
    await connection.close()


async def test_the_first_message_of_a_range_that_is_recent_is_found(world):
    await world.make_room(1, 20)
    for after, before, age, found in (
        (-1, 21, 100.0, 1),
        (5, 21, 100.0, 6),
        (-1, 21, 3.0, 18),
        (-1, 20, 3.0, 18),
        (18, 20, 3.0, 19),
        (19, 20, 100.0, None),
        (-1, 18, 3.0, None),
        (-1, 21, 0.1, None),
    ):
        assert await world.missed.first(1, after, before, age) == Gap(found, found)
    assert await world.missed.first(2, -1, 5, 100.0) == Gap(None, None)


async def late(world, ask):
    """The answer to a question that PostgreSQL gets to after 1.2 seconds."""
    await world.connection.execute(NOW)
    async with world.connection.transaction():
        await world.connection.execute("LOCK TABLE chat_messages, chat_rooms")
        asked = asyncio.create_task(ask)
        await asyncio.sleep(1.2)
        assert not asked.done()
    return await asked


async def test_an_age_counts_from_the_question_however_late_the_database_gets_to_it(world):
    await world.make_room(1, 20, age=100.0)
    assert await late(world, world.missed.first(1, -1, 21, 0.5)) == Gap(20, 20)
    assert await late(world, world.missed.moved(["1"], 0.5)) == {1: 20}
    (change,) = await late(world, world.missed.changed(0.5))
    assert change.row.seq == 20


async def test_a_change_in_the_range_is_found_too(world):
    await world.make_room(1, 10, age=100.0)
    await world.connection.execute(CHANGE, 1, 3, 11, 0.5, True)
    assert await world.missed.first(1, 10, 12, 3.0) == Gap(11, None)
    assert await world.missed.first(1, 11, 12, 3.0) == Gap(None, None)
    assert await world.missed.first(1, 10, 12, 0.1) == Gap(None, None)


async def test_messages_are_read_in_order_and_in_pages(world):
    await world.make_room(1, PAGE + 10)
    found = await world.missed.messages(1, 1, 10**6)
    assert [one.row.seq for one in found] == list(range(1, PAGE + 1))
    rest = await world.missed.messages(1, PAGE + 1, 10**6)
    assert [one.stored_rev for one in rest] == list(range(PAGE + 1, PAGE + 11))
    assert rest[-1].row.content == f"text {PAGE + 10}"
    assert 0.0 < rest[-1].age < rest[-2].age
    assert [one.row.seq for one in await world.missed.messages(1, 5, 8)] == [5, 6, 7]


async def test_rooms_that_moved_on_are_those_of_the_users(world):
    await world.make_room(1, 3, members=("1", "2"))
    await world.make_room(2, 4, members=("1", "3"))
    await world.make_room(3, 5, members=("1", "2"), age=100.0)
    await world.connection.execute(
        "UPDATE room_members SET left_at = now() WHERE room_id = 2 AND user_id = '3'"
    )
    assert await world.missed.moved(["1", "2"], 10.0) == {1: 3, 2: 4}
    assert await world.missed.moved(["2"], 10.0) == {1: 3}
    assert await world.missed.moved(["3", "4"], 10.0) == {}
    assert await world.missed.moved(["2"], 1000.0) == {1: 3, 3: 5}


async def test_changes_are_found_with_what_was_changed(world):
    await world.make_room(1, 3)
    await world.connection.execute(CHANGE, 1, 2, 4, 0.5, True)
    await world.connection.execute(CHANGE, 1, 3, 5, 0.4, False)
    found = await world.missed.changed(10.0)
    assert [(one.room_id, one.row.seq, one.row.rev, one.is_edited) for one in found] == [
        (1, 2, 4, True),
        (1, 3, 5, False),
    ]
    assert await world.missed.changed(0.1) == []


async def test_users_for_whom_events_wait_are_found(world):
    await world.connection.execute(
        "INSERT INTO event_queue (event_id, user_id, delivered_at) "
        "VALUES (1, '1', NULL), (1, '2', now()), (2, '2', now()), (3, '3', NULL)"
    )
    assert await world.missed.waiting(["1", "2"]) == ["1"]
