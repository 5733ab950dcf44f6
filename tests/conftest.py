"""A real PostgreSQL for the whole run, and a fresh migrated database for each test that asks.

Each process of a parallel run has a PostgreSQL of its own; one that runs already serves them all,
so the names of databases hold which process they are of. Tests that kill PostgreSQL start one of
their own, as it is in production.
"""

import asyncio
import itertools
import os
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

import asyncpg
import pytest
from hypothesis import settings

from fastchat.bench.private_server import TABLES
from fastchat.store import migrations
from fastchat.store.embedded import EmbeddedPostgres
from tests.functional.store.folders import public_folder

# How long an example takes says how busy the machine is.
settings.register_profile("fastchat", deadline=None)
settings.load_profile("fastchat")

PROCESS = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
TEMPLATE = f"fastchat_template_{PROCESS}"
BACKEND_TABLES = f"""{TABLES}
INSERT INTO users_auth
    SELECT id, 'user' || id, 'user' || id || '@example.org' FROM generate_series(1, 200) id;
"""
TEMPLATE_EXISTS = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
# In memory ten times as fast as through the log, which is the way of other servers.
STRATEGY = "STRATEGY file_copy"
numbers = itertools.count()


def address(dsn: str, database: str) -> str:
    return dsn.rpartition("/")[0] + "/" + database


class OtherPostgres(NamedTuple):
    """A server that runs already."""

    dsn: str


@pytest.fixture(scope="session")
def is_durable():
    """Whether what is committed has to outlive the machine; no test lets that die."""
    return False


@pytest.fixture(scope="session")
def postgres(is_durable):
    """The embedded server, or the one whose superuser's address is in TEST_DATABASE_URL."""
    other = os.environ.get("TEST_DATABASE_URL")
    if other is not None:
        yield OtherPostgres(other)
        return
    with public_folder(on_disk=is_durable) as folder, EmbeddedPostgres(folder) as server:
        if not is_durable:
            asyncio.run(hurry(server.dsn))
        yield server


async def hurry(dsn):
    """Change what costs PostgreSQL time and makes no difference to tests."""
    connection = await asyncpg.connect(dsn)
    for name in ("fsync", "full_page_writes"):
        await connection.execute(f"ALTER SYSTEM SET {name} = off")
    await connection.execute("SELECT pg_reload_conf()")
    # Half the time of a log-in are the 4096 rounds over the password, which stays the same.
    await connection.execute("SET scram_iterations = 1")
    password = urlsplit(dsn).password
    await connection.execute(f"ALTER ROLE CURRENT_USER PASSWORD '{password}'")
    await connection.close()


@asynccontextmanager
async def new_database(postgres):
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
        strategy = STRATEGY if isinstance(postgres, EmbeddedPostgres) else ""
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} {strategy}")
        yield address(postgres.dsn, name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture
async def database(postgres):
    """The same, for one test."""
    async with new_database(postgres) as dsn:
        yield dsn
