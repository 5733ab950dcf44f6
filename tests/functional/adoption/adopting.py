"""What tests of the adoption share: a database of the previous server, and the command's parts."""

import itertools
from contextlib import asynccontextmanager

import asyncpg

from fastchat.store.adoption.adoption import Adoption
from fastchat.store.adoption.places import change_places
from fastchat.store.cipher import Cipher, KeyRing
from tests.conftest import BACKEND_TABLES, PROCESS, address
from tests.functional.adoption.previous import KEY

numbers = itertools.count()
keys = KeyRing(KEY)

# Everything that is there, besides what belongs to PostgreSQL.
INVENTORY = """
SELECT n.nspname || '.' || c.relname || ' ' || c.relkind::text AS name FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'
UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = to_regnamespace('public')
ORDER BY 1
"""
TABLES = """
SELECT c.oid::regclass::text FROM pg_class c WHERE c.relnamespace = to_regnamespace($1)
AND c.relkind = 'r' AND c.relname <> 'schema_migrations' ORDER BY c.relname
"""


@asynccontextmanager
async def fresh_database(dsn):
    """Make a database with the main backend's tables alone; yield its address."""
    name = f"adoption_{PROCESS}_{next(numbers)}"
    admin = await asyncpg.connect(dsn)
    try:
        await admin.execute(f"CREATE DATABASE {name}")
        connection = await asyncpg.connect(address(dsn, name))
        await connection.execute(BACKEND_TABLES)
        await connection.close()
        yield address(dsn, name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@asynccontextmanager
async def connected(dsn):
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        connection.terminate()


@asynccontextmanager
async def adopting(dsn, *, slice_size=3, tell=lambda *_: None, **options):
    """Yield an adoption with a connection of its own."""
    async with connected(dsn) as connection:
        yield Adoption(connection, Cipher(keys), tell, slice_size=slice_size, **options)


async def copy(dsn, **options):
    async with adopting(dsn, **options) as adoption:
        await adoption.copy()


async def switch(dsn, **options):
    async with adopting(dsn, **options) as adoption:
        result, _ = await change_places(adoption)
        return result


async def inventory(connection):
    return [row[0] for row in await connection.fetch(INVENTORY)]


async def dump(connection, schema="public"):
    """Return all rows of all tables of a schema, by their names."""
    return {
        name.rpartition(".")[2]: [
            row[0] for row in await connection.fetch(f"SELECT t::text FROM {name} t ORDER BY 1")
        ]
        for (name,) in await connection.fetch(TABLES, schema)
    }


async def texts(connection, conversation_id):
    """Return the messages of a room in its order, opened, by their old ids."""
    rows = await connection.fetch(
        "SELECT * FROM chat_messages WHERE conversation_id = $1 ORDER BY seq", conversation_id
    )
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    cipher = Cipher(keys)
    return {
        row["message_id"]: cipher.open(_Sealed(row), row["conversation_id"])
        for row in rows
        if not row["is_deleted"]
    }


class _Sealed:
    """A row as the cipher reads it."""

    def __init__(self, row):
        self.__dict__.update(row)
