"""Removals of what is gone are cleared away."""

import asyncpg
import pytest

from fastchat.store.removals import Removals
from tests.functional.grouping import make_group, remove_member
from tests.functional.store.reading import open_pool


@pytest.fixture
async def connection(database):
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def pool(database):
    async with open_pool(database) as pool:
        yield pool


async def fill(connection, room_id, messages):
    await connection.execute(
        "INSERT INTO chat_messages (room_id, seq, rev, created_at, sender_id, is_deleted) "
        "SELECT $1, n, n, now(), '1', n % 3 = 0 FROM generate_series(1, $2::int) n",
        room_id,
        messages,
    )
    await connection.execute(
        "INSERT INTO message_removals (user_id, room_id, seq) "
        "SELECT u, $1, n FROM unnest('{1,2}'::text[]) u, generate_series(1, $2::int) n",
        room_id,
        messages,
    )


async def removals(connection):
    return await connection.fetch("SELECT user_id, seq FROM message_removals ORDER BY 1, 2")


async def test_removals_of_deleted_messages_go_and_the_others_stay(connection, pool, database):
    room_id = await make_group(database, {"1": "owner", "2": "member"})
    await fill(connection, room_id, 30)
    cleaner = Removals(pool, slice_size=7)
    assert await cleaner.clean(0.0) == 20
    assert [row["seq"] for row in await removals(connection)] == [
        seq for _ in "12" for seq in range(1, 31) if seq % 3
    ]
    assert await cleaner.clean(0.0) == 0


async def test_removals_in_deleted_groups_go_and_those_of_one_who_left_stay(
    connection, pool, database
):
    kept = await make_group(database, {"1": "owner", "2": "member"})
    gone = await make_group(database, {"1": "owner", "2": "member"}, "group_2")
    for room_id in (kept, gone):
        await fill(connection, room_id, 2)
        await connection.execute(
            "INSERT INTO conversation_removals (user_id, room_id, hidden_seq) "
            "SELECT u, $1, 1 FROM unnest('{1,2}'::text[]) u",
            room_id,
        )
    await remove_member(connection, kept, "2")
    await connection.execute("UPDATE chat_groups SET deleted_at = now() WHERE group_id = 'group_2'")
    assert await Removals(pool).clean(0.0) == 6
    for table in ("message_removals", "conversation_removals"):
        left = await connection.fetch(f"SELECT DISTINCT user_id, room_id FROM {table} ORDER BY 1")
        assert [tuple(row) for row in left] == [("1", kept), ("2", kept)]


async def test_a_round_looks_at_a_bounded_part_and_the_next_goes_on(connection, pool, database):
    room_id = await make_group(database, {"1": "owner", "2": "member"})
    await fill(connection, room_id, 30)
    cleaner = Removals(pool, slice_size=2)  # ten slices of two rows in a round
    cleared = [await cleaner.clean(0.0) for _ in range(4)]
    assert cleared == [6, 7, 7, 0]
