import asyncio

import asyncpg
import pytest

from fastchat.errors import ResourceNotFound, ServiceUnavailable
from fastchat.store.backend import BackendTables
from fastchat.store.rooms import Room, Rooms, conversation_id_of
from tests.functional.store.reading import (
    ID_TYPES,
    STRANGERS,
    USERS,
    open_pool,
    retype,
    tables,
)

WORKERS = 4
COUNTS = """
SELECT (SELECT count(*) FROM chat_rooms), (SELECT count(*) FROM dm_conversations),
    (SELECT count(*) FROM room_members)
"""


@pytest.fixture
async def connection(database):
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def pool(database):
    async with open_pool(database, size=2 * WORKERS) as pool:
        yield pool


@pytest.fixture
def rooms(pool):
    return Rooms(pool, tables("bigint"))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("1", "2", "conv_1_2"),
        ("10", "9", "conv_10_9"),
        ("a_b", "c%d", "conv_a%5Fb_c%25d"),
        ("a%5Fb", "a_b", "conv_a%255Fb_a%5Fb"),
        # Sorted before they are rewritten: "_" is greater than "Z", "%5F" is not.
        ("_", "Z", "conv_Z_%5F"),
        ("__proto__", "\U0001f600", "conv_%5F%5Fproto%5F%5F_\U0001f600"),
    ],
)
def test_the_conversation_id_is_the_same_from_both_sides(one, other, expected):
    assert conversation_id_of(one, other) == expected
    assert conversation_id_of(other, one) == expected


def test_no_two_pairs_of_users_share_a_conversation_id():
    ids = ["a", "b", "a_b", "b_", "_b", "a%5Fb", "_", "__", "%", "%25", "%5F", "", "a_"]
    pairs = {tuple(sorted((one, other))) for one in ids for other in ids}
    assert len({conversation_id_of(*pair) for pair in pairs}) == len(pairs)


@pytest.mark.parametrize("id_type", ID_TYPES)
async def test_opens_conversations_between_users_of_every_id_type(connection, pool, id_type):
    await retype(connection, id_type)
    rooms = Rooms(pool, tables(id_type))
    one, other, third = USERS[id_type]
    opened = await asyncio.gather(
        rooms.open_conversation(one, other), rooms.open_conversation(one, third)
    )
    for room, second in zip(opened, (other, third), strict=True):
        assert room.conversation_id == conversation_id_of(one, second)
        assert [room.user1_id, room.user2_id] == sorted((one, second))
        assert room.has_member(one)
        assert room.has_member(second)
        assert room.other(one) == second
        members = await connection.fetch(
            "SELECT user_id FROM room_members WHERE room_id = $1", room.room_id
        )
        assert sorted(row[0] for row in members) == sorted((one, second))
    assert not opened[0].has_member(third)
    assert tuple(await connection.fetchrow(COUNTS)) == (2, 2, 4)


@pytest.mark.parametrize("id_type", ID_TYPES)
async def test_nothing_is_made_for_a_user_whom_nobody_knows(connection, pool, id_type):
    await retype(connection, id_type)
    rooms = Rooms(pool, tables(id_type))
    one, other, _ = USERS[id_type]
    *refused, room = await asyncio.gather(
        *(rooms.open_conversation(one, stranger) for stranger in (*STRANGERS, other)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in refused] == [ResourceNotFound] * len(STRANGERS)
    assert isinstance(room, Room)
    assert tuple(await connection.fetchrow(COUNTS)) == (1, 1, 2)


async def test_fallback_users_have_conversations_too(connection, pool):
    await connection.execute(
        "DROP TABLE users_auth; INSERT INTO chat_users (user_id, username) VALUES ('a_b', 'ab')"
    )
    rooms = Rooms(pool, BackendTables())
    room = await rooms.open_conversation("1", "a_b")
    assert room.conversation_id == "conv_1_a%5Fb"
    with pytest.raises(ResourceNotFound):
        await rooms.open_conversation("1", "2")


async def test_two_fallback_users_have_a_conversation_beside_the_backends_users(connection, rooms):
    await connection.execute(
        "INSERT INTO chat_users (user_id, username) VALUES ('guest', 'g'), ('other', 'o')"
    )
    room = await rooms.open_conversation("guest", "other")
    assert (room.user1_id, room.user2_id) == ("guest", "other")
    assert tuple(await connection.fetchrow(COUNTS)) == (1, 1, 2)


async def test_both_users_open_the_same_conversation_in_the_same_turn(connection, rooms):
    first, second = await asyncio.gather(
        rooms.open_conversation("1", "2"), rooms.open_conversation("2", "1")
    )
    assert first == second
    assert tuple(await connection.fetchrow(COUNTS)) == (1, 1, 2)


async def test_workers_that_open_the_same_conversations_at_once_agree(connection, pool):
    # Each has its own memory, as in another process.
    workers = [Rooms(pool, tables("bigint")) for _ in range(WORKERS)]
    pairs = [(str(one), str(one + other)) for one in range(1, 101) for other in (1, 2, 3)]
    opened = await asyncio.gather(
        *(
            worker.open_conversation(*(pair if number % 2 else pair[::-1]))
            for number, worker in enumerate(workers)
            for pair in (pairs if number < 2 else reversed(pairs))
        )
    )
    by_conversation = {}
    for room in opened:
        by_conversation.setdefault(room.conversation_id, set()).add(room.room_id)
    assert all(len(room_ids) == 1 for room_ids in by_conversation.values())
    assert len(by_conversation) == len(pairs)
    assert tuple(await connection.fetchrow(COUNTS)) == (300, 300, 600)


async def test_a_conversation_made_while_the_statement_waits_is_found(connection, rooms):
    transaction = connection.transaction()
    await transaction.start()
    room_id = await connection.fetchval("INSERT INTO chat_rooms DEFAULT VALUES RETURNING room_id")
    await connection.execute(
        "INSERT INTO dm_conversations (conversation_id, room_id, user1_id, user2_id) "
        "VALUES ('conv_1_2', $1, '1', '2')",
        room_id,
    )
    opening = asyncio.ensure_future(rooms.open_conversation("1", "2"))
    async with asyncio.timeout(5.0):
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
    await transaction.commit()
    assert (await asyncio.wait_for(opening, 5.0)).room_id == room_id


async def test_finds_by_either_id_without_making_anything(connection, pool, rooms):
    made = await rooms.open_conversation("1", "2")
    fresh = Rooms(pool, tables("bigint"))
    assert await fresh.find_by_room_id(made.room_id) == made
    fresh = Rooms(pool, tables("bigint"))
    assert await fresh.find_by_conversation_id("conv_1_2") == made
    assert await fresh.find_by_room_id(made.room_id + 1) is None
    assert await fresh.find_by_room_id((1 << 63) - 1) is None
    assert await fresh.find_by_conversation_id("conv_2_1") is None
    assert await fresh.find_by_conversation_id("__proto__") is None
    assert tuple(await connection.fetchrow(COUNTS)) == (1, 1, 2)


async def test_a_known_conversation_needs_no_database(pool, rooms):
    made = await rooms.open_conversation("1", "2")
    queries = pool.queries
    assert await rooms.open_conversation("2", "1") == made
    assert await rooms.find_by_room_id(made.room_id) == made
    assert await rooms.find_by_conversation_id("conv_1_2") == made
    assert rooms.peek("1", "2") == made
    assert pool.queries == queries


async def test_a_conversation_outlives_the_account_of_one_of_its_users(connection, pool, rooms):
    made = await rooms.open_conversation("1", "2")
    await connection.execute("DELETE FROM users_auth WHERE user_id = 2")
    assert await Rooms(pool, tables("bigint")).open_conversation("1", "2") == made
    assert await Rooms(pool, tables("bigint")).find_by_room_id(made.room_id) == made
    assert await Rooms(pool, tables("bigint")).find_by_conversation_id("conv_1_2") == made


async def test_without_a_database_the_command_may_be_sent_again(pool, rooms):
    await pool.stop()
    with pytest.raises(ServiceUnavailable):
        await rooms.open_conversation("1", "2")
    with pytest.raises(ServiceUnavailable):
        await rooms.find_by_room_id(1)
