"""The server as a process of its own, which a test may hurt."""

import itertools
import subprocess

import asyncpg
import pytest

from fastchat.store.embedded import EmbeddedPostgres
from tests.conftest import BACKEND_TABLES, address
from tests.functional.failure.process import ServerProcess
from tests.functional.store.folders import public_folder

numbers = itertools.count(1)


@pytest.fixture
def folder():
    with public_folder(on_disk=True) as folder:
        yield folder


@pytest.fixture(scope="session")
def prepared_database():
    """The data of an embedded database, new and empty; making it takes longer than a copy."""
    with public_folder(on_disk=True) as folder:
        with EmbeddedPostgres(folder / "data"):
            pass
        yield folder / "data"


def copy(source, target):
    """Copy a folder with the owners of the files, who may be others than we are."""
    subprocess.run(["cp", "-a", source, target], check=True)


@pytest.fixture
async def start(folder, prepared_database):
    """A function that starts a server; whatever still runs is killed at the end."""
    servers = []

    async def start(**settings):
        own = folder / str(next(numbers))
        own.mkdir()
        if settings["NODE_ENV"] == "development":
            copy(prepared_database, own / "data")
        server = ServerProcess(own, **settings)
        servers.append(server)
        await server.start()
        return server

    yield start
    for server in servers:
        await server.close()


@pytest.fixture
async def embedded(start):
    """A server with a database of its own; users 1 to 3 exist."""
    server = await start(NODE_ENV="development")
    yield server
    assert not server.bugs()


@pytest.fixture(scope="module")
def own_folder():
    with public_folder(on_disk=True) as folder:
        yield folder


@pytest.fixture(scope="module")
def own_postgres(own_folder):
    """A PostgreSQL that a test may hurt."""
    with EmbeddedPostgres(own_folder) as server:
        yield server


@pytest.fixture
def own_postgres_log(own_postgres, own_folder):
    """The file that it writes its log into."""
    return own_folder / "postgres.log"


@pytest.fixture
async def own_database(own_postgres):
    """Address of a fresh database in it; users 1 to 200 exist."""
    name = f"test_{next(numbers)}"
    admin = await asyncpg.connect(own_postgres.dsn)
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    connection = await asyncpg.connect(address(own_postgres.dsn, name))
    await connection.execute(BACKEND_TABLES)
    await connection.close()
    return address(own_postgres.dsn, name)
