"""What tests of the look-ups share: backend tables of each id type, and stored messages."""

from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from fastchat.store.backend import BackendTables
from fastchat.store.ids import to_native
from fastchat.store.lookups import QUERY_SETTINGS
from fastchat.store.pool import Pool

ID_TYPES = ("integer", "bigint", "text", "uuid")
# Three users per type, with awkward ones where the type allows them.
USERS = {
    "integer": ("0", "2147483647", "-5"),
    "bigint": ("10", "9223372036854775807", "9"),
    "text": ("__proto__", "a_b%c", "\U0001f600"),
    "uuid": tuple(f"00000000-0000-4000-8000-00000000000{n}" for n in "abc"),
}
# No row of the main backend has one of these.
STRANGERS = (
    "1" + "0" * 30,
    "007",
    "+1",
    " 1",
    "\uff11",
    "__proto__x",
    "x'; --",
    "NULL",
    "{}",
    "a,b",
)


def tables(id_type: str) -> BackendTables:
    return BackendTables(
        id_type=id_type,
        profile_id_type=id_type,
        has_display_name=True,
        has_picture_url=True,
        revocation_id_type="text",
        blocks_id_type=id_type,
        follows_id_type=id_type,
    )


@asynccontextmanager
async def open_pool(dsn: str, size: int = 4):
    pool = Pool({"dsn": dsn, "server_settings": QUERY_SETTINGS}, min_size=1, max_size=size)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.stop(1.0)


async def retype(connection: asyncpg.Connection, id_type: str) -> None:
    """Give the backend's tables ids of another type, and the users of USERS."""
    await connection.execute(
        "DROP TABLE users_auth, user_profile_info, blocked_relationships, user_follows"
    )
    await connection.execute(f"""
        CREATE TABLE users_auth (user_id {id_type} PRIMARY KEY, username text, email text);
        CREATE TABLE user_profile_info (
            user_id {id_type}, first_name text, last_name text, display_name text
        );
        CREATE TABLE blocked_relationships (blocker_id {id_type}, blocked_id {id_type});
        CREATE TABLE user_follows (follower_id {id_type}, followee_id {id_type});
    """)
    for number, user_id in enumerate(USERS[id_type]):
        await connection.execute(
            "INSERT INTO users_auth VALUES ($1, $2, $3)",
            native(user_id, id_type),
            f"name{number}",
            f"{number}@example.org",
        )


def native(user_id: str, id_type: str) -> int | str | UUID:
    value = to_native(user_id, id_type)
    assert value is not None
    return value


async def store_messages(connection: asyncpg.Connection, room_id: int, senders: list[str]) -> None:
    """Store one message by each sender, in this order, in an empty room."""
    await connection.executemany(
        "INSERT INTO chat_messages "
        "(room_id, seq, rev, created_at, sender_id, is_encrypted, content) "
        "VALUES ($1, $2, $2, now(), $3, false, $4)",
        [(room_id, seq, sender, f"text {seq}") for seq, sender in enumerate(senders, 1)],
    )
    await connection.execute(
        "UPDATE chat_rooms SET seq = $2, rev = $2 WHERE room_id = $1", room_id, len(senders)
    )
