"""``fastchat doctor`` on a real database and a real Redis: it finds what is wrong, and mends it."""

import subprocess
import sys
from contextlib import asynccontextmanager

import asyncpg
import pytest

from fastchat.cli.doctor import examine
from fastchat.cli.doctor_redis import examine_redis
from fastchat.config import load
from fastchat.store import catalog
from tests.functional.broker.redis_process import KINDS, RedisProcess
from tests.functional.store.catalog import HISTORY, PLACE
from tests.unit.config.test_config import PRODUCTION

# What is wrong; the subject it is found under; a part of what is said.
HARM = (
    ("DROP TABLE chat_reactions", "table chat_reactions", "is missing"),
    ("ALTER TABLE chat_messages DROP COLUMN mentions", "column chat_messages.mentions", "missing"),
    (
        "ALTER TABLE message_removals ALTER seq TYPE integer",
        "column message_removals.seq",
        "is integer, expected bigint",
    ),
    (
        "ALTER TABLE chat_users ALTER username DROP NOT NULL",
        "column chat_users.username",
        "may be null",
    ),
    (
        "ALTER TABLE chat_rooms ALTER rev DROP DEFAULT",
        "column chat_rooms.rev",
        "has no default, expected the default 0",
    ),
    (
        "ALTER TABLE event_bodies ALTER event_id DROP IDENTITY",
        "column event_bodies.event_id",
        "identity",
    ),
    ("DROP INDEX room_members_by_room", "index room_members_by_room on room_members", "missing"),
    (
        "DROP INDEX chat_messages_client_id",
        "index chat_messages_client_id on chat_messages",
        "missing",
    ),
    (
        "ALTER TABLE group_participants DROP CONSTRAINT group_participants_role_check",
        "table group_participants",
        "has no CHECK",
    ),
    ("ALTER TABLE event_queue SET UNLOGGED", "table event_queue", "is not logged"),
    (
        "ALTER TABLE conversation_removals ENABLE ROW LEVEL SECURITY",
        "table conversation_removals",
        "hides rows",
    ),
    (
        "ALTER TABLE lane_commits SET (autovacuum_enabled = false)",
        "table lane_commits",
        "never vacuumed",
    ),
    (
        "INSERT INTO chat_messages (room_id, seq, rev, created_at, sender_id, content,"
        " encrypted_content) VALUES (1, 1, 1, now(), '1', 'readable', 'ff')",
        "table chat_messages",
        "beside its encryption",
    ),
    ("DROP TABLE user_follows", "table user_follows", "nobody follows anybody"),
    (
        "ALTER TABLE blocked_relationships ALTER blocker_id TYPE numeric",
        "ids",
        "blocked_relationships.blocker_id is of type numeric",
    ),
    (
        "ALTER TABLE user_profile_info DROP CONSTRAINT user_profile_info_pkey",
        "column user_profile_info.user_id",
        "no index begins with it",
    ),
)


@asynccontextmanager
async def opened(dsn):
    connection = await asyncpg.connect(dsn, ssl=False)
    try:
        yield connection
    finally:
        await connection.close()


async def findings_of(dsn, **settings):
    config = load(PRODUCTION | {"DATABASE_URL": dsn, "DB_SSL": "false"} | settings)
    return [finding async for finding in examine(config)]


def serious(findings):
    return [one for one in findings if one.level in ("FAIL", "warn")]


async def test_the_file_says_what_the_migrations_make(database):
    async with opened(database) as connection:
        found = await catalog.read(connection, "public", list(catalog.expected()))
        made = await catalog.read(connection, "public")
    is_same = PLACE.read_text("utf-8") == catalog.write(found)
    assert is_same, "`make catalog` writes it again"
    backend = {"users_auth", "user_profile_info", "jwt_revocation"}
    backend |= {"blocked_relationships", "user_follows"}
    assert set(made) - set(found) == {HISTORY} | backend


async def test_everything_wrong_is_found_and_its_sql_mends_it(database):
    before = serious(await findings_of(database))
    async with opened(database) as connection:
        for harm, _, _ in HARM:
            await connection.execute(harm)
    found = await findings_of(database)
    for harm, subject, text in HARM:
        assert any(one.subject == subject and text in one.found for one in found), harm
    new = [one for one in found if one.fix and one not in before]
    assert len(new) >= len(HARM)
    async with opened(database) as connection:
        for one in new:
            if "SYSTEM" in one.fix or "ROLE" in one.fix:
                continue  # of the whole server, which other tests use
            for statement in one.fix.split(";\n"):
                await connection.execute(statement)
    again = await findings_of(database)
    known = {one.subject for one in before}
    assert [one for one in serious(again) if one.subject not in known] == []
    async with opened(database) as connection:
        assert await connection.fetchval("SELECT content FROM chat_messages") is None
        assert await catalog.read(connection, "public", ["event_bodies", "chat_reactions"]) == {
            name: catalog.expected()[name] for name in ("event_bodies", "chat_reactions")
        }


async def test_a_role_that_lacks_rights_is_told_which(database):
    async with opened(database) as connection:
        await connection.execute("DROP ROLE IF EXISTS guest_of_doctor")
        await connection.execute("CREATE ROLE guest_of_doctor LOGIN PASSWORD 'x'")
        # Up to PostgreSQL 14 everybody may create tables there.
        await connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        await connection.execute("GRANT SELECT, INSERT ON chat_messages TO guest_of_doctor")
        await connection.execute("GRANT SELECT ON schema_migrations TO guest_of_doctor")
    try:
        host = database.rpartition("@")[2]
        found = await findings_of(f"postgresql://guest_of_doctor:x@{host}")
        grants = {one.subject: one.fix for one in found if one.fix.startswith("GRANT")}
        assert grants["table chat_messages"] == (
            "GRANT UPDATE, DELETE ON chat_messages TO guest_of_doctor;"
        )
        assert grants["column users_auth.user_id"] == (
            "GRANT SELECT ON users_auth TO guest_of_doctor;"
        )
        assert any(one.subject == "role guest_of_doctor" for one in found)
    finally:
        async with opened(database) as connection:
            await connection.execute("DROP OWNED BY guest_of_doctor")
            await connection.execute("DROP ROLE guest_of_doctor")


async def test_a_database_without_tables_and_one_that_is_away_are_said_to_be_so(postgres):
    found = {one.subject: one for one in await findings_of(postgres.dsn)}
    assert found["schema"].level == "FAIL"
    assert "no tables yet" in found["schema"].found
    assert found["table users_auth"].fix.startswith("CREATE TABLE users_auth (user_id bigint")
    (away,) = await findings_of("postgresql://nobody:secret@127.0.0.1:1/none")
    assert away.level == "FAIL"
    assert "secret" not in repr(away)


async def test_few_connections_of_the_database_are_a_failure(database):
    found = await findings_of(database, DB_MAX_CONNECTIONS="5000")
    (one,) = [one for one in found if one.subject == "max_connections"]
    assert one.fix.startswith("ALTER SYSTEM SET max_connections")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_redis_is_looked_at_too(tmp_path, kind):
    server = RedisProcess(tmp_path, kind, password="secret-7714")
    await server.start()
    try:
        found = await examine_redis(server.url)
        assert [one.level for one in found] == ["ok", "note"]
        assert "who may do everything" in found[1].found
        wrong = await examine_redis(server.url.replace("secret-7714", "other-7714"))
        assert [one.level for one in wrong] == ["FAIL"]
        assert "7714" not in repr([*found, *wrong])
    finally:
        server.kill()
    (gone,) = await examine_redis(server.url)
    assert gone.level == "FAIL"


def test_the_command_prints_sql_alone_when_asked_and_fails_when_something_does():
    command = [sys.executable, "-m", "fastchat", "doctor"]
    environment = PRODUCTION | {"DATABASE_URL": "postgresql://u:secret@127.0.0.1:1/none"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stdout.startswith("FAIL  database: ")
    assert "secret" not in done.stdout + done.stderr
    quiet = subprocess.run(
        [*command, "--sql"], env=environment, capture_output=True, timeout=60, check=False
    )
    assert (quiet.returncode, quiet.stdout) == (1, b"")
