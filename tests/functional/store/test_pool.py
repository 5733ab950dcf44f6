"""The pool on a real PostgreSQL that is well."""

import asyncio
import logging
from contextlib import asynccontextmanager

import asyncpg
import pytest

from fastchat.errors import ServiceUnavailable
from fastchat.store.connect import connect_arguments
from fastchat.store.lookups import QUERY_SETTINGS
from fastchat.store.pool import Pool

PATIENCE = 10.0


@asynccontextmanager
async def opened(dsn, **limits):
    pool = Pool(connect_arguments(dsn=dsn, ssl=False), **limits)
    async with asyncio.timeout(PATIENCE):
        await pool.start()
        try:
            yield pool
        finally:
            await pool.stop()


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


WAIT = "SELECT pg_advisory_xact_lock_shared(1)"


@asynccontextmanager
async def held(dsn):
    """Let every WAIT wait until the end of the block."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("SELECT pg_advisory_lock(1)")
    try:
        yield
    finally:
        await connection.close()


async def test_statements_return_rows_one_row_and_a_tag(database):
    async with opened(database) as pool:
        rows = await pool.fetch("SELECT n FROM generate_series(1, $1::int) n", 3)
        assert [row["n"] for row in rows] == [1, 2, 3]
        assert (await pool.fetchrow("SELECT $1::text AS t", "x"))["t"] == "x"
        assert await pool.fetchrow("SELECT 1 WHERE false") is None
        assert await pool.execute("DELETE FROM chat_users") == "DELETE 0"


async def test_keeps_the_least_number_open_and_never_exceeds_the_most(database):
    async with opened(database, min_size=2, max_size=3) as pool:
        assert (pool.size, pool.idle) == (2, 2)
        async with held(database):
            calls = [asyncio.create_task(pool.fetch(WAIT)) for _ in range(12)]
            await until(lambda: pool.in_use == 3 and pool.waiting == 9)
            assert pool.size == 3
        await asyncio.gather(*calls)
        assert (pool.size, pool.idle, pool.in_use, pool.waiting) == (3, 3, 0, 0)


async def test_errors_of_sql_pass_and_leave_the_connection_in_the_pool(database):
    async with opened(database, min_size=1, max_size=1) as pool:
        with pytest.raises(asyncpg.UndefinedTableError):
            await pool.fetch("SELECT * FROM no_such_table")
        with pytest.raises(asyncpg.InterfaceError):
            await pool.fetch("SELECT $1::int", 1, 2)
        with pytest.raises(asyncpg.DataError):
            await pool.fetch("SELECT $1::int", "no number")
        assert (pool.size, pool.idle, pool.errors) == (1, 1, 0)


async def test_a_call_ends_at_its_deadline_and_the_next_one_works(database):
    async with opened(database, min_size=1, max_size=1) as pool:
        began = asyncio.get_running_loop().time()
        with pytest.raises(ServiceUnavailable):
            await pool.fetch("SELECT pg_sleep(5)", timeout=0.2)
        assert asyncio.get_running_loop().time() - began < 1.0
        assert pool.timeouts == 1
        assert (await pool.fetchrow("SELECT 1 AS one"))["one"] == 1


async def test_the_deadline_counts_the_wait_for_a_connection(database):
    async with opened(database, min_size=1, max_size=1) as pool:
        slow = asyncio.create_task(pool.fetch("SELECT pg_sleep(0.5)"))
        await until(lambda: pool.in_use == 1)
        with pytest.raises(ServiceUnavailable):
            await pool.fetch("SELECT 1", timeout=0.1)
        await slow
        assert pool.waiting == 0


async def test_a_query_cancelled_by_the_database_is_unavailable(database):
    arguments = connect_arguments(
        dsn=database, ssl=False, server_settings={"statement_timeout": "50"}
    )
    pool = Pool(arguments, min_size=1, max_size=1)
    await pool.start()
    with pytest.raises(ServiceUnavailable):
        await pool.fetch("SELECT pg_sleep(5)")
    assert pool.idle == 1
    await pool.stop()


async def test_a_read_only_database_is_unavailable(database):
    async with opened(database) as pool:
        await pool.execute("SELECT set_config('default_transaction_read_only', 'on', false)")
        with pytest.raises(ServiceUnavailable):
            await pool.execute("DELETE FROM chat_users")


async def test_calls_beyond_the_bound_are_refused_at_once(database):
    async with opened(database, min_size=1, max_size=1, max_waiting=1) as pool:
        slow = [asyncio.create_task(pool.fetch("SELECT pg_sleep(0.2)")) for _ in range(2)]
        await until(lambda: pool.waiting == 1)
        with pytest.raises(ServiceUnavailable):
            await pool.fetch("SELECT 1")
        assert pool.refused == 1
        await asyncio.gather(*slow)


async def test_a_cancelled_call_neither_leaks_nor_blocks_a_connection(database):
    async with opened(database, min_size=1, max_size=1) as pool:
        running = asyncio.create_task(pool.fetch("SELECT pg_sleep(5)"))
        await until(lambda: pool.in_use == 1)
        waiting = asyncio.create_task(pool.fetch("SELECT 1"))
        behind = asyncio.create_task(pool.fetch("SELECT 2 AS two"))
        await until(lambda: pool.waiting == 2)
        waiting.cancel()
        running.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)
        assert (await behind)[0]["two"] == 2
        assert (pool.in_use, pool.waiting) == (0, 0)


async def test_a_dedicated_connection_has_its_settings_and_counts(database):
    async with opened(database, min_size=1, max_size=2) as pool:
        connection = await pool.connect(plan_cache_mode="force_generic_plan")
        assert await connection.fetchval("SHOW plan_cache_mode") == "force_generic_plan"
        assert await connection.fetchval("SHOW application_name") == "fastchat"
        assert (pool.size, pool.idle, pool.in_use) == (2, 1, 1)
        second = await pool.connect()
        assert (pool.size, pool.idle, pool.in_use) == (2, 0, 2)
        connection.terminate()
        third = await pool.connect()
        assert pool.size == 2
        second.terminate()
        third.terminate()
        await asyncio.sleep(0)
        assert (await pool.fetchrow("SELECT 1 AS one"))["one"] == 1


async def test_a_dedicated_connection_does_not_plan_as_look_ups_do(database):
    settings = QUERY_SETTINGS | {"statement_timeout": "7000"}
    arguments = connect_arguments(dsn=database, ssl=False, server_settings=settings)
    pool = Pool(arguments, min_size=1, max_size=2)
    await pool.start()
    connection = await pool.connect(enable_mergejoin="off")
    for name, own, others in (
        ("enable_hashjoin", "on", "off"),
        ("enable_mergejoin", "off", "off"),
        ("plan_cache_mode", "auto", "force_generic_plan"),
        ("statement_timeout", "7s", "7s"),
        ("application_name", "fastchat", "fastchat"),
    ):
        assert await connection.fetchval(f"SHOW {name}") == own
        assert (await pool.fetchrow(f"SHOW {name}"))[0] == others
    await pool.stop()


async def test_a_dedicated_connection_waits_for_room_no_longer_than_its_deadline(database):
    async with opened(database, min_size=1, max_size=1, connection_timeout=0.3) as pool:
        slow = asyncio.create_task(pool.fetch("SELECT pg_sleep(1)"))
        await until(lambda: pool.in_use == 1)
        with pytest.raises(ServiceUnavailable):
            await pool.connect()
        await slow


async def test_idle_connections_above_the_least_number_are_closed(database):
    async with opened(database, min_size=1, max_size=4, idle_timeout=0.2) as pool:
        await asyncio.gather(*(pool.fetch("SELECT pg_sleep(0.05)") for _ in range(4)))
        assert pool.size == 4
        await until(lambda: pool.size == 1)


async def test_times_are_counted_by_name(database):
    async with opened(database) as pool:
        await pool.fetch("SELECT 1", name="login")
        await pool.fetch("SELECT pg_sleep(0.02)", name="login")
        await pool.fetch("SELECT 1")
        times = pool.query_times["login"]
        assert times.count == sum(times.counts) == 2
        assert 0.02 < times.sum < pool.query_seconds
        assert pool.queries == 3
        assert pool.query_times["other"].count == 1


async def test_warns_once_of_high_use_of_waiting_and_of_no_idle_connection(database, caplog):
    caplog.set_level(logging.WARNING)
    async with opened(database, min_size=0, max_size=2) as pool:
        await asyncio.gather(*(pool.fetch("SELECT pg_sleep(0.01)") for _ in range(20)))
    texts = [record.getMessage() for record in caplog.records]
    assert texts.count("2 of 2 database connections are in use") == 1
    assert texts.count("no database connection is idle") == 1
    assert sum("calls wait" in text for text in texts) == 1
    assert len(texts) == 3


async def test_warns_from_nine_tenths_on(database, caplog):
    caplog.set_level(logging.WARNING)
    async with opened(database, min_size=0, max_size=10) as pool:
        for count, warnings in ((8, []), (9, ["9 of 10 database connections are in use"])):
            async with held(database):
                calls = [asyncio.create_task(pool.fetch(WAIT)) for _ in range(count)]
                await until(lambda count=count: pool.in_use == count)
            await asyncio.gather(*calls)
            assert [record.getMessage() for record in caplog.records] == warnings


async def test_status_is_logged_again_and_again(database, caplog, monkeypatch):
    monkeypatch.setattr("fastchat.store.pool.STATUS_INTERVAL", 0.0)
    monkeypatch.setattr("fastchat.store.pool.CHECK_INTERVAL", 0.01)
    caplog.set_level(logging.INFO)
    async with opened(database, min_size=2):
        await until(lambda: caplog.text.count("2 open, 0 in use, 2 idle, 0 calls waiting") > 1)


async def test_stop_lets_running_calls_end_and_refuses_new_ones(database):
    pool = Pool(connect_arguments(dsn=database, ssl=False), min_size=1, max_size=1)
    await pool.start()
    running = asyncio.create_task(pool.fetch("SELECT pg_sleep(0.1)"))
    waiting = asyncio.create_task(pool.fetch("SELECT 1"))
    await until(lambda: pool.waiting == 1)
    await pool.stop(timeout=PATIENCE)
    await running
    with pytest.raises(ServiceUnavailable):
        await waiting
    with pytest.raises(ServiceUnavailable):
        await pool.fetch("SELECT 1")
    assert pool.size == 0
