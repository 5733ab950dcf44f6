"""What ``fastchat check`` and ``fastchat migrate`` say about a real database."""

import asyncio
from urllib.parse import urlsplit

import asyncpg

from fastchat.cli.check import database_lines
from fastchat.config import load
from fastchat.store.migrations import load as load_migrations
from tests.unit.config.test_config import PRODUCTION


async def lines_of(dsn):
    config = load(PRODUCTION | {"DATABASE_URL": dsn, "DB_SSL": "false"})
    async with asyncio.timeout(10):
        return {line.subject: line for line in await database_lines(config)}


async def execute(dsn, statement):
    connection = await asyncpg.connect(dsn, ssl=False, timeout=5)
    try:
        await connection.execute(statement, timeout=5)
    finally:
        connection.terminate()


async def test_migrated_database_with_the_backends_tables_passes(database):
    lines = await lines_of(database)
    assert {line.level for line in lines.values()} == {"ok"}
    assert lines["schema"].found == f"version {load_migrations()[-1].version}"


async def test_missing_tables_of_the_backend_are_warnings_that_say_what_follows(database):
    await execute(database, "DROP TABLE jwt_revocation")
    line = (await lines_of(database))["jwt_revocation"]
    assert line.level == "warn"
    assert "no token is ever revoked" in line.found


async def test_database_without_tables_is_a_warning_that_names_the_command(database):
    await execute(database, "DROP TABLE schema_migrations")
    line = (await lines_of(database))["schema"]
    assert line.level == "warn"
    assert "fastchat migrate" in line.found


async def test_schema_of_a_later_version_fails(database):
    await execute(database, "UPDATE schema_migrations SET version = version + 1000")
    assert (await lines_of(database))["schema"].level == "FAIL"


async def test_refusal_of_the_database_is_one_failure(database):
    lines = await lines_of(urlsplit(database)._replace(path="/nowhere").geturl())
    assert list(lines) == ["database"]
    assert lines["database"].level == "FAIL"
    assert "nowhere" in lines["database"].found
