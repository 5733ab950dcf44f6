"""The schema, as numbered SQL files that are applied once each.

An advisory lock lets any number of servers start at once. A file is never changed after it was
applied anywhere: its checksum is kept and compared.
"""

import asyncio
import re
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncpg import Connection

LOCK_KEY = 0x66617374  # any number, the same for every fastchat
LOCK_TIMEOUT = 60.0  # seconds that another fastchat may take for its migrations
POLL = 0.2

CREATE_HISTORY = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
"""
RECORD = "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)"

# Tables that the previous server may have left under our names, and a column only ours has.
OWN_COLUMNS = {"chat_messages": "seq", "dm_conversations": "room_id"}
FOREIGN_TABLES = """
SELECT c.relname FROM pg_class c
WHERE c.oid = to_regclass($1)
  AND NOT EXISTS (SELECT FROM pg_attribute a
                  WHERE a.attrelid = c.oid AND a.attname = $2 AND NOT a.attisdropped)
"""


class MigrationError(Exception):
    """The database cannot be brought to this version's schema; says what was found."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One SQL file."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text."""
        return sha256(self.sql.encode()).hexdigest()


def load() -> list[Migration]:
    """Return the files of this version, in order."""
    folder = resources.files("fastchat.store") / "schema"
    found = []
    for entry in folder.iterdir():
        if entry.name.endswith(".sql"):
            number, _, name = entry.name.removesuffix(".sql").partition("_")
            found.append(Migration(int(number), name, entry.read_text("utf-8")))
    return sorted(found, key=lambda migration: migration.version)


def table_names() -> list[str]:
    """Return the tables that this version's schema has."""
    made = [re.findall(r"^CREATE TABLE (\w+)", each.sql, re.MULTILINE) for each in load()]
    return ["schema_migrations", *(name for names in made for name in names)]


async def migrate(connection: "Connection", lock_timeout: float = LOCK_TIMEOUT) -> list[str]:
    """Apply what is missing, each file in a transaction of its own; return their names.

    Args:
        connection: Of a role that may create tables; used by nobody else meanwhile.
        lock_timeout: Seconds to wait while somebody else migrates.

    Raises:
        MigrationError: an applied file was changed, the database is newer than this version,
            tables of another server have our names, or somebody else does not get done. Nothing
            was applied then.
    """
    await _lock(connection, lock_timeout)
    try:
        await connection.execute(CREATE_HISTORY)
        pending = await _pending(connection)
        for migration in pending:
            async with connection.transaction():
                await connection.execute(migration.sql)
                await connection.execute(
                    RECORD, migration.version, migration.name, migration.checksum
                )
        return [f"{migration.version:04}_{migration.name}" for migration in pending]
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", LOCK_KEY)


async def _lock(connection: "Connection", timeout: float) -> None:
    """Take the lock; the session holds it, whatever happens to this process."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + timeout
    # Asked again and again: one call that waits would be subject to other timeouts of the session.
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY):
        if loop.time() >= give_up:
            raise MigrationError(
                f"another session has been migrating this database for more than {timeout:g} s: "
                "wait for it, or end it (pg_locks names it, locktype advisory)"
            )
        await asyncio.sleep(POLL)


async def pending_sql(connection: "Connection") -> str:
    """Return what ``migrate`` would run, as one script for psql; changes nothing."""
    has_history = await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL")
    pending = await _pending(connection) if has_history else load()
    if not has_history:
        await _refuse_foreign_tables(connection)
    if not pending:
        return "-- nothing to do\n"
    parts = [
        "BEGIN;",
        f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT:g}s';",
        f"SELECT pg_advisory_xact_lock({LOCK_KEY});",
        CREATE_HISTORY.strip(),
    ]
    for migration in pending:
        parts.append(f"-- {migration.version:04}_{migration.name}\n{migration.sql.strip()}")
        parts.append(
            "INSERT INTO schema_migrations (version, name, checksum) VALUES "
            f"({migration.version}, '{migration.name}', '{migration.checksum}');"
        )
    return "\n".join([*parts, "COMMIT;", ""])


async def version(connection: "Connection") -> int:
    """Return the newest applied version; 0 when there is none."""
    if not await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL"):
        return 0
    newest: int = await connection.fetchval(
        "SELECT coalesce(max(version), 0) FROM schema_migrations"
    )
    return newest


async def _pending(connection: "Connection") -> list[Migration]:
    rows = await connection.fetch("SELECT version, name, checksum FROM schema_migrations")
    applied = {row["version"]: row for row in rows}
    known = {migration.version: migration for migration in load()}
    for number, row in sorted(applied.items()):
        if number not in known:
            raise MigrationError(
                f"the database has schema version {number} ({row['name']}), "
                f"this fastchat knows up to {max(known)}: install a newer fastchat"
            )
        if row["checksum"] != known[number].checksum:
            raise MigrationError(
                f"schema version {number} ({row['name']}) was applied from another text: "
                f"found checksum {row['checksum'][:12]}, expected {known[number].checksum[:12]}"
            )
    if not applied:
        await _refuse_foreign_tables(connection)
    return [migration for number, migration in sorted(known.items()) if number not in applied]


async def _refuse_foreign_tables(connection: "Connection") -> None:
    found = [
        table
        for table, column in OWN_COLUMNS.items()
        if await connection.fetchval(FOREIGN_TABLES, table, column) is not None
    ]
    if found:
        raise MigrationError(
            f"tables of another server stand in the way: {', '.join(found)}; if it is the "
            "previous chat server, `fastchat adopt` takes them over; else rename them or use "
            "another database or schema (search_path)"
        )
