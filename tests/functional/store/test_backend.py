"""What is found out about the main backend's tables."""

import asyncpg
import pytest

from fastchat.store.backend import BackendError, BackendTables, detect
from fastchat.store.development import DEMO_USERS, create_development_backend, demo_id

TABLES = (
    "users_auth",
    "user_profile_info",
    "jwt_revocation",
    "blocked_relationships",
    "user_follows",
)
FULL = BackendTables(
    id_type="bigint",
    profile_id_type="bigint",
    has_display_name=True,
    has_picture_url=True,
    revocation_id_type="text",
    blocks_id_type="bigint",
    follows_id_type="bigint",
)


@pytest.fixture
async def connection(database):
    connection = await asyncpg.connect(database, ssl=False)
    yield connection
    connection.terminate()


@pytest.fixture
async def bare(connection):
    """A connection to a database without the backend's tables."""
    await connection.execute(f"DROP TABLE {', '.join(TABLES)}")
    return connection


async def test_all_tables_are_found_with_their_types_and_nothing_is_said(connection, caplog):
    assert await detect(connection) == FULL
    assert caplog.records == []


async def test_missing_tables_are_named_once_each_with_what_follows(bare, caplog):
    assert await detect(bare) == BackendTables()
    texts = [record.getMessage() for record in caplog.records]
    assert [text.split()[1] for text in texts] == list(TABLES)
    assert "table jwt_revocation is missing: nothing is revoked" in texts
    assert "table blocked_relationships is missing: nobody is blocked" in texts


@pytest.mark.parametrize("id_type", ["integer", "bigint", "text", "uuid"])
async def test_every_type_of_id_is_recognised(bare, id_type):
    await create_development_backend(bare, id_type=id_type)
    tables = await detect(bare)
    found = {
        tables.id_type,
        tables.users_id_type,
        tables.profile_id_type,
        tables.blocks_id_type,
        tables.follows_id_type,
    }
    assert found == {id_type}


async def test_varchar_and_domains_are_what_they_are_made_of(bare):
    await bare.execute(
        """
        CREATE DOMAIN number AS bigint;
        CREATE DOMAIN user_number AS number CHECK (VALUE > 0);
        CREATE TABLE users_auth (user_id user_number, username varchar(20), email text);
        CREATE TABLE jwt_revocation (jti varchar(64));
        """
    )
    tables = await detect(bare)
    assert tables.id_type == "bigint"
    assert tables.revocation_id_type == "text"


async def test_the_search_path_decides_which_table_is_meant(connection):
    await connection.execute(
        """
        CREATE SCHEMA main;
        CREATE TABLE main.users_auth (user_id uuid, username text, email text);
        SET search_path = main, public;
        """
    )
    assert (await detect(connection)).id_type == "uuid"
    await connection.execute("SET search_path = nowhere")
    assert await detect(connection) == BackendTables()


async def test_a_table_without_a_column_counts_as_missing(connection, caplog):
    await connection.execute("ALTER TABLE blocked_relationships DROP COLUMN blocked_id")
    assert (await detect(connection)).blocks_id_type is None
    assert "blocked_relationships has no column blocked_id: nobody is blocked" in caplog.text


async def test_optional_columns_may_be_missing(connection):
    await connection.execute("ALTER TABLE user_profile_info DROP COLUMN display_name")
    tables = await detect(connection)
    assert (tables.has_display_name, tables.has_picture_url) == (False, True)


async def test_what_may_not_be_read_counts_as_missing(connection, caplog):
    await connection.execute(
        """
        DROP ROLE IF EXISTS reader;
        CREATE ROLE reader;
        GRANT SELECT ON users_auth, user_follows TO reader;
        GRANT SELECT (user_id, first_name, last_name) ON user_profile_info TO reader;
        SET ROLE reader;
        """
    )
    tables = await detect(connection)
    await connection.execute("RESET ROLE; DROP OWNED BY reader; DROP ROLE reader")
    assert (tables.id_type, tables.follows_id_type) == ("bigint", "bigint")
    assert (tables.profile_id_type, tables.has_display_name) == ("bigint", False)
    assert (tables.revocation_id_type, tables.blocks_id_type) == (None, None)
    assert "jwt_revocation may not be read (jti): nothing is revoked" in caplog.text


@pytest.mark.parametrize("type_name", ["numeric", "char(8)", "bytea"])
async def test_an_unknown_type_of_id_is_refused_by_name(bare, type_name):
    await bare.execute(f"CREATE TABLE users_auth (user_id {type_name}, username text, email text)")
    with pytest.raises(BackendError, match=r"users_auth\.user_id is of type .*: expected"):
        await detect(bare)


async def test_two_types_in_one_table_are_refused(bare):
    await bare.execute("CREATE TABLE user_follows (follower_id bigint, followee_id text)")
    with pytest.raises(BackendError, match="expected one type"):
        await detect(bare)


async def test_development_users_are_made_once_and_other_users_are_left_alone(bare):
    for _ in range(2):
        await create_development_backend(bare)
    rows = await bare.fetch("SELECT user_id, username FROM users_auth ORDER BY user_id")
    assert [tuple(row) for row in rows] == [(n, name) for n, name, *_ in DEMO_USERS]
    assert demo_id(1, "bigint") == "1"


async def test_development_adds_no_users_where_there_are_some(connection):
    before = await connection.fetchval("SELECT count(*) FROM users_auth")
    await create_development_backend(connection)
    assert await connection.fetchval("SELECT count(*) FROM users_auth") == before
