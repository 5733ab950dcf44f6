import asyncio

import asyncpg
import pytest

from fastchat.errors import ServiceUnavailable
from fastchat.store.backend import BackendTables
from fastchat.store.relations import FOLLOW_AGE, Relations
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
async def test_blocks_and_follows_hold_either_way_for_ids_of_every_type(connection, pool, id_type):
    await retype(connection, id_type)
    one, other, third = USERS[id_type]
    for table in ("blocked_relationships", "user_follows"):
        await connection.execute(
            f"INSERT INTO {table} VALUES ($1, $2)", native(one, id_type), native(other, id_type)
        )
    relations = Relations(pool, tables(id_type))
    pairs = [(one, other), (other, one), (one, third), (third, other)]
    for ask in (relations.blocks_between, relations.follows_between):
        assert await asyncio.gather(*(ask(*pair) for pair in pairs)) == [True, True, False, False]
        strangers = await asyncio.gather(*(ask(one, stranger) for stranger in STRANGERS))
        assert strangers == [False] * len(STRANGERS)
    assert relations.blocks.batches == 2


async def test_a_lifted_block_is_lifted_at_once(connection, pool):
    relations = Relations(pool, tables("bigint"))
    await connection.execute("INSERT INTO blocked_relationships VALUES (1, 2)")
    assert await relations.blocks_between("2", "1")
    await connection.execute("DELETE FROM blocked_relationships")
    assert not await relations.blocks_between("2", "1")


async def test_without_the_tables_nobody_is_blocked_and_follows_are_unknown(pool):
    relations = Relations(pool, BackendTables())
    assert not await relations.blocks_between("1", "2")
    assert await relations.follows_between("1", "2") is None
    assert pool.queries == 0


async def test_a_block_table_that_vanished_lets_traffic_pass_and_is_counted(
    connection, pool, caplog
):
    clock = Clock()
    relations = Relations(pool, tables("bigint"), clock=clock)
    await connection.execute("DROP TABLE blocked_relationships")
    for _ in range(3):
        assert not await relations.blocks_between("1", "2")
    assert relations.fail_open == 3
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    clock.now += 60.0
    await relations.blocks_between("1", "2")
    assert len(caplog.records) == 2


async def test_a_block_table_that_vanished_stops_traffic_where_that_is_wanted(connection, pool):
    relations = Relations(pool, tables("bigint"), block_check_fail_open=False)
    await connection.execute("DROP TABLE blocked_relationships")
    with pytest.raises(ServiceUnavailable):
        await relations.blocks_between("1", "2")
    assert relations.fail_open == 0


async def test_a_database_that_is_away_lets_nothing_pass(pool):
    relations = Relations(pool, tables("bigint"))
    await pool.stop()
    with pytest.raises(ServiceUnavailable):
        await relations.blocks_between("1", "2")
    assert await relations.follows_between("1", "2") is None


async def test_follows_are_remembered_until_they_are_too_old(connection, pool):
    clock = Clock()
    relations = Relations(pool, tables("bigint"), clock=clock)
    assert relations.peek_follows("1", "2") is None
    assert await relations.follows_between("1", "2") is False
    await connection.execute("INSERT INTO user_follows VALUES (2, 1)")
    assert await relations.follows_between("2", "1") is False
    assert relations.peek_follows("1", "2") is False
    clock.now += FOLLOW_AGE
    assert await relations.follows_between("1", "2") is True


async def test_follows_that_cannot_be_read_are_unknown(connection, pool):
    relations = Relations(pool, tables("bigint"))
    await connection.execute("DROP TABLE user_follows")
    assert await relations.follows_between("1", "2") is None
