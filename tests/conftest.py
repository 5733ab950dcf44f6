"""A real PostgreSQL for the whole run, and a fresh migrated database for each test that asks.

Each process of a parallel run has a PostgreSQL of its own; one that runs already serves them all,
so the names of databases hold which process they are of.
"""

import asyncio
import itertools
import os
from typing import NamedTuple

import asyncpg
import pytest

from fastchat.store import migrations
from fastchat.store.embedded import EmbeddedPostgres
from tests.functional.store.folders import public_folder

PROCESS = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
TEMPLATE = f"fastchat_template_{PROCESS}"
BACKEND_TABLES = """
CREATE TABLE users_auth (user_id bigint PRIMARY KEY, username text NOT NULL, email text);
CREATE TABLE user_profile_info (
    user_id bigint PRIMARY KEY, first_name text, last_name text,
    display_name text, profile_picture_url text
);
CREATE TABLE jwt_revocation (jti text PRIMARY KEY);
CREATE TABLE blocked_relationships (
    blocker_id bigint, blocked_id bigint, PRIMARY KEY (blocker_id, blocked_id)
);
CREATE TABLE user_follows (
    follower_id bigint, followee_id bigint, PRIMARY KEY (follower_id, followee_id)
);
INSERT INTO users_auth
    SELECT id, 'user' || id, 'user' || id || '@example.org' FROM generate_series(1, 200) id;
"""
TEMPLATE_EXISTS = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
# In memory ten times as fast as the other way, through the log.
COPY = "CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy"
# Tests that kill PostgreSQL start one of their own, as durable as in production.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}
numbers = itertools.count()


def address(dsn: str, database: str) -> str:
    return dsn.rpartition("/")[0] + "/" + database


class OtherPostgres(NamedTuple):
    """A server that runs already."""

    dsn: str


@pytest.fixture(scope="session")
def postgres_settings():
    """What the embedded server has otherwise than in production."""
    return NOT_DURABLE


@pytest.fixture(scope="session")
def postgres(postgres_settings):
    """The embedded server, or the one whose superuser's address is in TEST_DATABASE_URL."""
    other = os.environ.get("TEST_DATABASE_URL")
    if other is not None:
        yield OtherPostgres(other)
        return
    with public_folder() as folder, EmbeddedPostgres(folder) as server:
        asyncio.run(change(server.dsn, postgres_settings))
        yield server


async def change(dsn, settings):
    """Change settings that PostgreSQL takes over while it runs."""
    connection = await asyncpg.connect(dsn)
    for name, value in settings.items():
        await connection.execute(f"ALTER SYSTEM SET {name} = {value}")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()


@pytest.fixture
async def database(postgres):
    """Address of a fresh database with all tables, the backend's too; users 1 to 200 exist."""
    admin = await asyncpg.connect(postgres.dsn)
    try:
        if not await admin.fetchval(TEMPLATE_EXISTS, TEMPLATE):
            await admin.execute(f"CREATE DATABASE {TEMPLATE}")
            template = await asyncpg.connect(address(postgres.dsn, TEMPLATE))
            await template.execute(BACKEND_TABLES)
            await migrations.migrate(template)
            await template.close()
        name = f"test_{PROCESS}_{next(numbers)}"
        await admin.execute(COPY.format(name, TEMPLATE))
        yield address(postgres.dsn, name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()
