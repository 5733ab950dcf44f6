"""Groups for tests, made with SQL: who is in and what he may do."""

import asyncpg

GROUP = "group_00000000-0000-4000-8000-000000000001"


async def make_group(dsn: str, members: dict[str, str], group_id: str = GROUP, **options) -> int:
    """Store a group with these users and roles; return its room."""
    connection = await asyncpg.connect(dsn)
    try:
        return await insert_group(connection, members, group_id, **options)
    finally:
        await connection.close()


async def insert_group(
    connection: asyncpg.Connection,
    members: dict[str, str],
    group_id: str,
    *,
    muted: tuple[str, ...] = (),
) -> int:
    """Store a group over a connection that is open."""
    async with connection.transaction():
        room_id: int = await connection.fetchval(
            "INSERT INTO chat_rooms (rev, group_rev) VALUES (1, 1) RETURNING room_id"
        )
        owner = next((user for user, role in members.items() if role == "owner"), "0")
        await connection.execute(
            "INSERT INTO chat_groups (group_id, room_id, group_name, created_by) "
            "VALUES ($1, $2, 'Group', $3)",
            group_id,
            room_id,
            owner,
        )
        for user_id, role in members.items():
            await connection.execute(
                "INSERT INTO group_participants (room_id, user_id, role, can_send_messages) "
                "VALUES ($1, $2, $3, $4)",
                room_id,
                user_id,
                role,
                user_id not in muted,
            )
            await connection.execute(
                "INSERT INTO room_members (room_id, user_id) VALUES ($1, $2)", room_id, user_id
            )
    return room_id


REMOVE = """
WITH locked AS (
    SELECT room_id FROM chat_rooms WHERE room_id = $1 FOR NO KEY UPDATE
), gone AS (
    DELETE FROM group_participants p USING locked
    WHERE p.room_id = locked.room_id AND p.user_id = $2
), left_room AS (
    UPDATE room_members o SET left_at = now(), changed_xid = pg_current_xact_id() FROM locked
    WHERE o.room_id = locked.room_id AND o.user_id = $2
)
UPDATE chat_rooms r SET rev = r.rev + 1, group_rev = r.rev + 1 FROM locked
WHERE r.room_id = locked.room_id
RETURNING r.group_rev
"""


async def remove_member(connection: asyncpg.Connection, room_id: int, user_id: str) -> int:
    """Take a user out of a group, under the lock of its room; return the new ``group_rev``."""
    group_rev: int = await connection.fetchval(REMOVE, room_id, user_id)
    return group_rev
