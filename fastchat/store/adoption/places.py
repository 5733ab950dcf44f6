"""The change of places: one short transaction, and the way back."""

import time
from typing import TYPE_CHECKING

from fastchat.store.adoption import AFTER, BEFORE, NEXT, WORK, AdoptionError, workplace
from fastchat.store.adoption.adoption import DEPENDENT_KINDS, KINDS, Adoption, Result
from fastchat.store.adoption.comparing import Difference
from fastchat.store.adoption.conflicts import is_there, refuse_used
from fastchat.store.adoption.old_tables import OldTable, OldTables, quoted
from fastchat.store.adoption.state import (
    get_state,
    load_tables,
    own_tables,
    patiently,
    set_state,
    take_lock,
)
from fastchat.store.adoption.views import KEYS

if TYPE_CHECKING:
    from asyncpg import Connection

MOST_LEFT = 10_000  # changes that are copied under the lock

# What is no longer of use; the rest tells what became of the messages.
_REMAINS = ("changes", "names", "places", "uncompared", "unchecked", "events")


async def change_places(adoption: Adoption) -> tuple[Result, float]:
    """Put the copy where the old tables are; they move to ``before_fastchat`` as they are.

    Everything is copied and compared before. What was written since then is copied and compared
    while the old tables are locked.

    Returns:
        What was compared, and for how many seconds the tables were locked.

    Raises:
        AdoptionError: it was not done, and nothing was changed.
    """
    left = await adoption.copy()
    if left > MOST_LEFT:
        raise AdoptionError(
            f"{left:,} changes are still to be copied: the old server writes faster than they "
            "are; stop it first"
        )
    others = await adoption.comparer.others()
    done: list[tuple[Result, float]] = []

    async def change() -> None:
        connection, tables = adoption.connection, adoption.tables
        await connection.execute("SET LOCAL synchronous_commit = on")
        names = [table.name for table in tables.tables.values()]
        await connection.execute(f"LOCK TABLE {', '.join(names)} IN ACCESS EXCLUSIVE MODE")
        locked_at = time.monotonic()
        for _ in range(3):  # what copying notes itself is done in the next one
            await adoption.drain((*KINDS, *DEPENDENT_KINDS), is_told=False)
        result = await adoption.result(others)
        await _move(connection, tables)
        await set_state(connection, "places changed", True)
        done.append((result, time.monotonic() - locked_at))

    try:
        await patiently(adoption.connection, change)
    except Difference as error:
        await adoption.note_again(error.ids)
        raise
    return done[-1]


async def _move(connection: "Connection", tables: OldTables) -> None:
    run = connection.execute
    sources = list(tables.tables.values())
    await workplace.drop_triggers(connection, sources)
    for kind in KEYS:
        await run(f"DROP VIEW IF EXISTS {WORK}.old_{kind}")
        await run(f"DROP FUNCTION IF EXISTS {WORK}.note_{kind}()")
    await run(f"CREATE SCHEMA IF NOT EXISTS {BEFORE}")
    away = [(table.schema, table.table) for table in sources]
    ours = await own_tables(connection, NEXT)
    for name in ours:
        if (tables.target, name) not in away and await is_there(connection, tables.target, name):
            await refuse_used(connection, tables.target, name)
            away.append((tables.target, name))
    for schema, name in away:
        await run(f"ALTER TABLE {quoted(schema)}.{quoted(name)} SET SCHEMA {BEFORE}")
    for name in ours:
        await run(f"ALTER TABLE {NEXT}.{quoted(name)} SET SCHEMA {quoted(tables.target)}")
    await run(f"DROP SCHEMA {NEXT}")
    for name in _REMAINS:
        await run(f"DROP TABLE {WORK}.{name}")
    await set_state(connection, "away", away)
    await set_state(connection, "ours", ours)


async def go_back(connection: "Connection") -> list[str]:
    """Put the old tables where they were; fastchat's move to ``after_fastchat`` as they are.

    Returns:
        The tables that are back.

    Raises:
        AdoptionError: the places were not changed, or ``after_fastchat`` is in use.
    """
    await take_lock(connection)
    if not await is_there(connection, WORK, "state") or not await get_state(
        connection, "places changed"
    ):
        raise AdoptionError("the tables were not taken over: there is nothing to go back from")
    if await own_tables(connection, AFTER):
        raise AdoptionError(f"the schema {AFTER} has tables already: expected none; drop it first")
    tables = await load_tables(connection)
    away = await get_state(connection, "away")
    ours = await get_state(connection, "ours")

    async def change() -> None:
        run = connection.execute
        names = ", ".join(f"{quoted(tables.target)}.{quoted(name)}" for name in ours)
        await run(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")
        await run(f"CREATE SCHEMA IF NOT EXISTS {AFTER}")
        for name in ours:
            await run(f"ALTER TABLE {quoted(tables.target)}.{quoted(name)} SET SCHEMA {AFTER}")
        for schema, name in away:
            await run(f"ALTER TABLE {BEFORE}.{quoted(name)} SET SCHEMA {quoted(schema)}")
        await run(f"DROP SCHEMA {BEFORE}")
        await run(f"DROP SCHEMA {WORK} CASCADE")

    await patiently(connection, change)
    return [f"{schema}.{name}" for schema, name in away]


async def abandon(connection: "Connection") -> bool:
    """Remove the copy and the triggers; the old tables are as if nothing had been.

    Returns:
        Whether there was anything.

    Raises:
        AdoptionError: the places were changed already.
    """
    await take_lock(connection)
    if not await is_there(connection, WORK, "state"):
        return False
    if await get_state(connection, "places changed"):
        raise AdoptionError(
            "the tables were taken over already: `fastchat adopt --back` puts the old ones back"
        )
    tables = await load_tables(connection)
    for table in tables.tables.values():

        async def drop(table: OldTable = table) -> None:
            await workplace.drop_triggers(connection, [table])

        await patiently(connection, drop)
    await connection.execute(f"DROP SCHEMA IF EXISTS {WORK}, {NEXT} CASCADE")
    return True
