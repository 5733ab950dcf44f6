"""Small versions of the main backend's tables, with demo users, for the embedded database."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncpg import Connection

# id, username, first and last name
DEMO_USERS = (
    (1, "alice", "Alice", "Archer"),
    (2, "bob", "Bob", "Baker"),
    (3, "carol", "Carol", "Carter"),
)

_TABLES = """
CREATE TABLE IF NOT EXISTS users_auth (
    user_id {id} PRIMARY KEY,
    username text NOT NULL,
    email text
);
CREATE TABLE IF NOT EXISTS user_profile_info (
    user_id {id} PRIMARY KEY,
    first_name text,
    last_name text,
    display_name text,
    profile_picture_url text
);
CREATE TABLE IF NOT EXISTS jwt_revocation (jti text PRIMARY KEY);
CREATE TABLE IF NOT EXISTS blocked_relationships (
    blocker_id {id} NOT NULL,
    blocked_id {id} NOT NULL,
    PRIMARY KEY (blocker_id, blocked_id)
);
CREATE TABLE IF NOT EXISTS user_follows (
    follower_id {id} NOT NULL,
    followee_id {id} NOT NULL,
    PRIMARY KEY (follower_id, followee_id)
);
"""


def demo_id(number: int, id_type: str) -> str:
    """The text of a demo user's id: the number, or a uuid that ends in it."""
    return f"00000000-0000-4000-8000-{number:012}" if id_type == "uuid" else str(number)


async def create_development_backend(connection: "Connection", *, id_type: str = "bigint") -> None:
    """Create what is missing of the backend's tables, and the demo users if there are no users."""
    async with connection.transaction():
        await connection.execute(_TABLES.format(id=id_type))
        if await connection.fetchval("SELECT EXISTS (SELECT FROM users_auth)"):
            return
        for number, username, first_name, last_name in DEMO_USERS:
            user_id = demo_id(number, id_type)
            await connection.execute(
                f"INSERT INTO users_auth VALUES ($1::text::{id_type}, $2, $3)",
                user_id,
                username,
                f"{username}@example.com",
            )
            await connection.execute(
                "INSERT INTO user_profile_info (user_id, first_name, last_name)"
                f" VALUES ($1::text::{id_type}, $2, $3) ON CONFLICT DO NOTHING",
                user_id,
                first_name,
                last_name,
            )
