"""The settings ``DB_*`` hold for the connections of a running server."""

import asyncio

import pytest

from fastchat.errors import ServiceUnavailable
from tests.functional.chat.talking import say_id

PATIENCE = 10.0


async def sleep(pool, seconds):
    """Keep a connection busy; return how many there are at the end."""
    await pool.fetch("SELECT pg_sleep($1)", seconds)
    return pool.size


async def until(condition):
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


async def test_there_are_never_more_connections_than_the_setting_and_idle_ones_end(start_chat):
    chat = await start_chat(DB_MIN_CONNECTIONS="2", DB_MAX_CONNECTIONS="5", DB_IDLE_TIMEOUT="50")
    alice = await chat.join(1)
    await say_id(alice, "2")  # the writer has its connection, too
    pool = chat.server.pool
    sizes = await asyncio.gather(*(sleep(pool, 0.05) for _ in range(10)))
    assert max(sizes) == 5
    await until(lambda: pool.idle == 2)


async def test_a_statement_ends_at_its_deadline_in_the_database(start_chat):
    chat = await start_chat(DB_STATEMENT_TIMEOUT="1234")
    (row,) = await chat.server.pool.fetch("SHOW statement_timeout")
    assert row["statement_timeout"] == "1234ms"


async def test_a_query_ends_at_its_deadline(start_chat):
    chat = await start_chat(DB_QUERY_TIMEOUT="50")
    with pytest.raises(ServiceUnavailable):
        async with asyncio.timeout(PATIENCE):
            await sleep(chat.server.pool, 2 * PATIENCE)
    assert chat.server.pool.timeouts
