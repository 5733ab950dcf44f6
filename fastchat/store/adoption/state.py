"""What an adoption remembers, and the locks that it takes."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import asyncpg

from fastchat.store.adoption import WORK, AdoptionError
from fastchat.store.adoption.old_tables import OldTable, OldTables

if TYPE_CHECKING:
    from asyncpg import Connection

LOCK_KEY = 0x61646F70  # any number, the same for every adopt
LOCK_PATIENCE = 30.0  # seconds for another adopt, or what is left of a killed one, to end
TABLE_PATIENCE = 3  # seconds to wait for a lock that the previous server would notice
TABLE_TRIES = 20
POLL = 0.2


async def take_lock(connection: "Connection") -> None:
    """Take the lock of the one who adopts; the session holds it, whatever happens to this process.

    Raises:
        AdoptionError: somebody else holds it.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + LOCK_PATIENCE
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY):
        if loop.time() >= give_up:
            raise AdoptionError(
                f"another `fastchat adopt` has been at work for more than {LOCK_PATIENCE:g} s: "
                "wait for it, or end it (pg_locks names it, locktype advisory)"
            )
        await asyncio.sleep(POLL)


async def patiently(connection: "Connection", work: Callable[[], Awaitable[None]]) -> None:
    """Do what needs a lock on an old table, in a transaction, again and again until it is there.

    While it waits for a lock, the previous server waits behind it: so each try is short.

    Raises:
        AdoptionError: no try got the lock.
    """
    for _ in range(TABLE_TRIES):
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{TABLE_PATIENCE}s'")
                await work()
                return
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            await asyncio.sleep(POLL)
    raise AdoptionError(
        f"no lock on the old tables in {TABLE_TRIES} tries of {TABLE_PATIENCE} s: a long "
        "transaction holds them (pg_stat_activity, pg_blocking_pids)"
    )


async def get_state(connection: "Connection", name: str) -> Any:
    """Return what was remembered under a name, or None."""
    text = await connection.fetchval(f"SELECT value::text FROM {WORK}.state WHERE name = $1", name)
    return None if text is None else json.loads(text)


async def set_state(connection: "Connection", name: str, value: Any) -> None:
    """Remember something, as a part of the transaction under way."""
    await connection.execute(
        f"INSERT INTO {WORK}.state (name, value) VALUES ($1, $2::text::jsonb) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        name,
        json.dumps(value),
    )


async def load_tables(connection: "Connection") -> OldTables:
    """Return the old tables as they were found at the start."""
    found = await get_state(connection, "tables")
    tables = {kind: OldTable(**fields) for kind, fields in found["tables"].items()}
    return OldTables(tables, [], found["target"])


def tables_as_json(tables: OldTables) -> dict[str, Any]:
    """Return the old tables as they are remembered."""
    return {
        "tables": {kind: asdict(table) for kind, table in tables.tables.items()},
        "target": tables.target,
    }


async def own_tables(connection: "Connection", schema: str) -> list[str]:
    """Return the names of the tables in a schema."""
    rows = await connection.fetch(
        "SELECT relname::text FROM pg_class "
        "WHERE relnamespace = to_regnamespace($1) AND relkind = 'r' ORDER BY relname",
        schema,
    )
    return [row[0] for row in rows]
