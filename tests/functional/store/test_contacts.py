import asyncio

import asyncpg
import pytest

from fastchat.errors import ServiceUnavailable
from fastchat.store import contacts as module
from fastchat.store.backend import BackendTables
from fastchat.store.contacts import Contacts
from fastchat.store.rooms import Rooms
from tests.functional.store.reading import (
    ID_TYPES,
    STRANGERS,
    USERS,
    native,
    open_pool,
    retype,
    tables,
)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
async def connection(database):
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def pool(database):
    async with open_pool(database) as pool:
        yield pool


@pytest.mark.parametrize("id_type", ID_TYPES)
async def test_blocks_hold_either_way_for_ids_of_every_type(connection, pool, id_type):
    await retype(connection, id_type)
    one, other, third = USERS[id_type]
    for source, target in ((one, other), (third, one), (one, one)):
        await connection.execute(
            "INSERT INTO blocked_relationships VALUES ($1, $2)",
            native(source, id_type),
            native(target, id_type),
        )
    await connection.execute(
        "INSERT INTO blocked_relationships VALUES ($1, NULL)", native(one, id_type)
    )
    contacts = Contacts(pool, tables(id_type))
    found = await asyncio.gather(*(contacts.blocked_with(user) for user in (one, other, third)))
    assert found == [{one, other, third}, {one}, {one}]
    strangers = await asyncio.gather(*(contacts.blocked_with(user) for user in STRANGERS))
    assert strangers == [set()] * len(STRANGERS)
    assert contacts.blocks.batches == 2


@pytest.mark.parametrize("id_type", ID_TYPES)
async def test_contacts_share_a_room_or_a_follow_whatever_the_type_of_ids(
    connection, pool, id_type
):
    await retype(connection, id_type)
    one, other, third = USERS[id_type]
    await connection.execute(
        "INSERT INTO user_follows VALUES ($1, $2)", native(third, id_type), native(one, id_type)
    )
    await connection.execute("INSERT INTO chat_users (user_id, username) VALUES ('guest', 'g')")
    rooms = Rooms(pool, tables(id_type))
    await asyncio.gather(
        rooms.open_conversation(one, other),
        rooms.open_conversation(one, "guest"),
        rooms.open_conversation(other, "guest"),
    )
    contacts = Contacts(pool, tables(id_type))
    users = (one, other, third, "guest", "stranger")
    found = await asyncio.gather(*(contacts.contacts_of(user) for user in users))
    assert found == [{other, third, "guest"}, {one, "guest"}, {one}, {one, other}, set()]
    assert contacts.companions.batches == contacts.follows.batches == contacts.blocks.batches == 1


async def test_those_who_block_or_are_blocked_are_no_contacts(connection, pool):
    rooms = Rooms(pool, tables("bigint"))
    await asyncio.gather(*(rooms.open_conversation("1", other) for other in ("2", "3", "4")))
    await connection.execute("INSERT INTO blocked_relationships VALUES (1, 2), (3, 1), (2, 4)")
    await connection.execute("INSERT INTO user_follows VALUES (1, 2), (1, 5), (1, 1)")
    contacts = Contacts(pool, tables("bigint"))
    assert await contacts.contacts_of("1") == {"4", "5"}
    assert await contacts.contacts_of("2") == set()
    await connection.execute("DELETE FROM blocked_relationships")
    assert await contacts.contacts_of("1") == {"2", "3", "4", "5"}


async def test_all_members_of_a_group_are_contacts(connection, pool):
    room_id = await connection.fetchval("INSERT INTO chat_rooms DEFAULT VALUES RETURNING room_id")
    await connection.execute(
        "INSERT INTO room_members (user_id, room_id) "
        "SELECT n::text, $1 FROM generate_series(1, 5) n",
        room_id,
    )
    contacts = Contacts(pool, tables("bigint"))
    assert await contacts.contacts_of("3") == {"1", "2", "4", "5"}


async def test_without_the_backends_tables_only_rooms_make_contacts(connection, pool):
    await connection.execute("DROP TABLE blocked_relationships, user_follows")
    await Rooms(pool, tables("bigint")).open_conversation("1", "2")
    contacts = Contacts(pool, BackendTables())
    assert await contacts.contacts_of("1") == {"2"}
    assert await contacts.blocked_with("1") == set()


async def test_tables_that_vanished_are_passed_over_with_a_warning_now_and_then(
    connection, pool, caplog
):
    clock = Clock()
    contacts = Contacts(pool, tables("bigint"), clock=clock)
    await Rooms(pool, tables("bigint")).open_conversation("1", "2")
    await connection.execute("DROP TABLE blocked_relationships, user_follows")
    for _ in range(3):
        assert await contacts.contacts_of("1") == {"2"}
    assert contacts.fail_open == 3
    assert len(caplog.records) == 2
    clock.now += 60.0
    await contacts.contacts_of("1")
    assert len(caplog.records) == 4


async def test_a_block_table_that_vanished_hides_everybody_where_that_is_wanted(connection, pool):
    contacts = Contacts(pool, tables("bigint"), block_check_fail_open=False)
    await connection.execute("DROP TABLE blocked_relationships")
    with pytest.raises(ServiceUnavailable):
        await contacts.blocked_with("1")
    with pytest.raises(ServiceUnavailable):
        await contacts.contacts_of("1")
    assert contacts.fail_open == 0


async def test_a_database_that_is_away_is_not_an_empty_list(pool):
    contacts = Contacts(pool, tables("bigint"))
    await pool.stop()
    with pytest.raises(ServiceUnavailable):
        await contacts.contacts_of("1")
    with pytest.raises(ServiceUnavailable):
        await contacts.blocked_with("1")


async def test_the_number_of_contacts_is_bounded(connection, pool):
    await connection.execute(
        "INSERT INTO user_follows SELECT 1, n FROM generate_series(2, $1::int + 500) n",
        module.MAX_CONTACTS,
    )
    contacts = Contacts(pool, tables("bigint"))
    assert len(await contacts.contacts_of("1")) == module.MAX_CONTACTS
