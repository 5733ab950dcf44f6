"""Migrations on a real database, alone, at the same time, and in wrong places."""

import asyncio
import itertools
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import pytest

from fastchat.store import migrations
from tests.conftest import PROCESS

names = (f"migrate_{PROCESS}_{number}" for number in itertools.count())


@pytest.fixture
async def fresh(postgres):
    """Address of a database without any table."""
    name = next(names)
    async with connected(postgres.dsn) as admin:
        await admin.execute(f"CREATE DATABASE {name}")
        yield urlsplit(postgres.dsn)._replace(path=f"/{name}").geturl()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@asynccontextmanager
async def connected(dsn):
    async with asyncio.timeout(30):
        connection = await asyncpg.connect(dsn, ssl=False)
        try:
            yield connection
        finally:
            connection.terminate()


async def migrate(dsn):
    async with connected(dsn) as connection:
        return await migrations.migrate(connection)


async def table_names(connection):
    rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row["tablename"] for row in rows}


async def test_everything_is_applied_once_and_then_nothing(fresh):
    applied = await migrate(fresh)
    assert applied == [f"{m.version:04}_{m.name}" for m in migrations.load()]
    assert await migrate(fresh) == []
    async with connected(fresh) as connection:
        assert await migrations.version(connection) == migrations.load()[-1].version


async def test_of_servers_that_start_at_once_one_migrates(fresh):
    results = await asyncio.gather(*(migrate(fresh) for _ in range(8)))
    assert sorted(map(len, results)) == [0] * 7 + [len(migrations.load())]


async def test_the_printed_sql_does_what_migrate_does(fresh):
    async with connected(fresh) as connection:
        script = await migrations.pending_sql(connection)
        assert await table_names(connection) == set()
        await connection.execute(script)
        assert await migrations.migrate(connection) == []
        assert await migrations.pending_sql(connection) == "-- nothing to do\n"


async def test_a_changed_file_is_refused(database):
    async with connected(database) as connection:
        await connection.execute("UPDATE schema_migrations SET checksum = 'other' || checksum")
        with pytest.raises(migrations.MigrationError, match="applied from another text"):
            await migrations.migrate(connection)


async def test_a_database_of_a_later_version_is_refused(database):
    async with connected(database) as connection:
        await connection.execute(
            "INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, 'later', '')"
        )
        with pytest.raises(migrations.MigrationError, match=r"9999 \(later\).*newer fastchat"):
            await migrations.migrate(connection)


async def test_tables_of_the_previous_server_are_named_and_stay_as_they_are(fresh):
    async with connected(fresh) as connection:
        await connection.execute("CREATE TABLE chat_messages (message_id uuid, content text)")
        with pytest.raises(migrations.MigrationError, match="chat_messages"):
            await migrations.migrate(connection)
        with pytest.raises(migrations.MigrationError, match="chat_messages"):
            await migrations.pending_sql(connection)
        assert await table_names(connection) <= {"chat_messages", "schema_migrations"}


async def test_a_migration_that_fails_leaves_nothing_of_itself(fresh, monkeypatch):
    broken = migrations.Migration(9998, "broken", "CREATE TABLE half (n int); SELECT 1/0;")
    known = migrations.load()
    async with connected(fresh) as connection:
        with monkeypatch.context() as patch:
            patch.setattr(migrations, "load", lambda: [*known, broken])
            with pytest.raises(asyncpg.DivisionByZeroError):
                await migrations.migrate(connection)
        assert await migrations.version(connection) == known[-1].version
        assert "half" not in await table_names(connection)
        # The lock was given back: another connection gets through.
        assert await migrate(fresh) == []


async def test_a_migration_killed_half_way_does_not_block_the_next_one(fresh):
    async with connected(fresh) as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", migrations.LOCK_KEY)
        waiting = asyncio.create_task(migrate(fresh))
        await asyncio.sleep(0)
    assert len(await waiting) == len(migrations.load())


async def test_gives_up_when_somebody_else_does_not_get_done(fresh):
    async with connected(fresh) as other, connected(fresh) as connection:
        await other.execute("SELECT pg_advisory_lock($1)", migrations.LOCK_KEY)
        with pytest.raises(migrations.MigrationError, match=r"more than 0\.1 s"):
            await migrations.migrate(connection, lock_timeout=0.1)
        assert await table_names(connection) == set()
        # Nothing is held by the one that gave up.
        await other.execute("SELECT pg_advisory_unlock($1)", migrations.LOCK_KEY)
        assert await migrations.migrate(connection)
