"""What is already where fastchat's tables are to be."""

from typing import TYPE_CHECKING

from fastchat.store import migrations
from fastchat.store.adoption import AdoptionError
from fastchat.store.adoption.old_tables import OldTables, quoted

if TYPE_CHECKING:
    from asyncpg import Connection

# Of fastchat's own tables: there is a row when somebody has used them.
_USED = "chat_rooms"
_IS_OWN = """
SELECT EXISTS (SELECT FROM pg_attribute
    WHERE attrelid = to_regclass($1) AND attname = $2 AND NOT attisdropped)
"""


async def is_there(connection: "Connection", schema: str, name: str) -> bool:
    """Whether there is a table, or something else, of this name."""
    found: bool = await connection.fetchval(
        "SELECT to_regclass($1) IS NOT NULL", f"{quoted(schema)}.{quoted(name)}"
    )
    return found


async def refuse_used(connection: "Connection", schema: str, name: str) -> None:
    """Let fastchat's own tables make room if nobody has chatted in them.

    Raises:
        AdoptionError: somebody has, or the table is not fastchat's.
    """
    table = f"{quoted(schema)}.{quoted(name)}"
    mark = "checksum" if name == "schema_migrations" else "room_id"
    rooms = f"{quoted(schema)}.{_USED}"
    if not await connection.fetchval(_IS_OWN, rooms, "group_rev") and not (
        name == "schema_migrations" and await connection.fetchval(_IS_OWN, table, mark)
    ):
        raise AdoptionError(
            f"{schema}.{name} is neither the previous server's nor fastchat's: expected no such "
            "table; rename it, or put the chat into a schema of its own (search_path)"
        )
    if await is_there(connection, schema, _USED) and await connection.fetchval(
        f"SELECT EXISTS (SELECT FROM {rooms})"
    ):
        raise AdoptionError(
            f"fastchat's tables in {schema} are in use ({_USED} has rows): expected none, or empty"
        )


async def refuse_conflicts(connection: "Connection", tables: OldTables) -> None:
    """Look whether all of fastchat's tables will find room.

    Raises:
        AdoptionError: one of them will not.
    """
    away = {(table.schema, table.table) for table in tables.tables.values()}
    for name in migrations.table_names():
        if (tables.target, name) not in away and await is_there(connection, tables.target, name):
            await refuse_used(connection, tables.target, name)
