"""Usernames inside queries, for each type of the backend's ids."""

import asyncpg
import pytest

from fastchat.store.backend import BackendTables
from fastchat.store.ids import to_native
from fastchat.store.names import name_expression, native_expression
from tests.functional.store.reading import ID_TYPES, STRANGERS, USERS, retype

EDGES = (
    *("0", "-0", "-1", "1e3", "1.0", "2147483648", "-2147483648", "-2147483649"),
    *("9223372036854775808", "-9223372036854775808", "-9223372036854775809", "9" * 19, "1" * 40),
    *("00000000-0000-4000-8000-00000000000A", "0" * 32, "1\n", "\n1", "\uff11"),
)


@pytest.fixture
async def connection(database):
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.mark.parametrize("id_type", ID_TYPES)
async def test_sql_takes_the_same_ids_as_python_does(connection, id_type):
    expression = native_expression("k.id", id_type)
    texts = [*STRANGERS, *EDGES, *(text for users in USERS.values() for text in users)]
    rows = await connection.fetch(
        f"SELECT {expression} FROM unnest($1::text[]) WITH ORDINALITY k (id, n) ORDER BY n", texts
    )
    expected = [to_native(text, id_type) for text in texts]
    assert [row[0] for row in rows] == expected
    assert expected.count(None) < len(texts)


@pytest.mark.parametrize("id_type", ID_TYPES)
async def test_names_come_from_the_backend_and_else_from_the_fallback(connection, id_type):
    await retype(connection, id_type)
    await connection.execute(
        "INSERT INTO chat_users (user_id, username) VALUES ('fallback', 'Fay')"
    )
    expression = name_expression("k.id", BackendTables(id_type=id_type))
    query = f"SELECT {expression} FROM (SELECT $1::text) k (id)"
    for user_id in USERS[id_type]:
        known = await connection.fetchval(
            "SELECT username FROM users_auth WHERE user_id::text = $1", user_id
        )
        assert known
        assert await connection.fetchval(query, user_id) == known
    assert await connection.fetchval(query, "fallback") == "Fay"
    for stranger in STRANGERS:
        assert await connection.fetchval(query, stranger) is None


async def test_without_the_backend_only_the_fallback_knows_names(connection):
    await connection.execute("INSERT INTO chat_users (user_id, username) VALUES ('1', 'Fay')")
    expression = name_expression("k.id", BackendTables())
    query = f"SELECT {expression} FROM (SELECT $1::text) k (id)"
    assert await connection.fetchval(query, "1") == "Fay"
