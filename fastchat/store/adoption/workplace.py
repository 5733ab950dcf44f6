"""Where ``adopt`` works: its schema, the views of the old tables, and the triggers on them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastchat.store.adoption import WORK
from fastchat.store.adoption.old_tables import OldTable, OldTables
from fastchat.store.adoption.views import KEYS, key_type, select

if TYPE_CHECKING:
    from asyncpg import Connection

# The kind under which a change is noted. A group is copied with all its members.
NOTED_AS = {kind: "groups" if kind == "members" else kind for kind in KEYS}

_TABLES = f"""
CREATE TABLE {WORK}.state (name text PRIMARY KEY, value jsonb NOT NULL);
-- Keys of rows that are to be copied, or copied again.
CREATE TABLE {WORK}.changes (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    key text NOT NULL
);
CREATE INDEX ON {WORK}.changes (kind, key);
-- Ids of conversations as the previous server had them.
CREATE TABLE {WORK}.names (id text PRIMARY KEY, room_id bigint NOT NULL);
-- Messages that belong to no room, and why.
CREATE TABLE {WORK}.left_out (id text COLLATE "C" PRIMARY KEY, reason text NOT NULL, group_id text);
CREATE INDEX ON {WORK}.left_out (group_id);
-- Messages whose plaintext is kept, since their ciphertext does not open.
CREATE TABLE {WORK}.kept (id text COLLATE "C" PRIMARY KEY);
-- Messages whose ciphertext does not open, and that have no plaintext.
CREATE TABLE {WORK}.unreadable (id text COLLATE "C" PRIMARY KEY);
-- Messages that were copied again since all of them were compared.
CREATE TABLE {WORK}.uncompared (id text COLLATE "C" PRIMARY KEY);
-- And the rooms that were touched by it.
CREATE TABLE {WORK}.unchecked (room_id bigint PRIMARY KEY);
-- Events by their old ids; null: it is none that could be sent.
CREATE TABLE {WORK}.events (id text PRIMARY KEY, event_id bigint);
-- The ids of messages in the order of their rooms, in their own type.
CREATE TABLE {WORK}.places AS
    SELECT 0::bigint AS room_id, created_at, message_id FROM {WORK}.old_messages LIMIT 0;
"""

# What a slice is about, gone at the end of its transaction.
_TEMPORARY = f"""
CREATE TEMPORARY TABLE IF NOT EXISTS keys (key text) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS touched (room_id bigint PRIMARY KEY, from_seq bigint)
    ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS moves (room_id bigint, seq bigint, new_seq bigint,
    PRIMARY KEY (room_id, seq)) ON COMMIT DELETE ROWS;
-- Messages as they are in the old table, read once: that is what a slice costs.
CREATE TEMPORARY TABLE IF NOT EXISTS slice ON COMMIT DELETE ROWS AS
    SELECT 0::bigint AS room_id, v.* FROM {WORK}.old_messages v LIMIT 0;
"""

# With the rights of the one who adopts: the previous server needs none on our tables.
_NOTE = """
CREATE FUNCTION {work}.note_{source}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO {work}.changes (kind, key) SELECT '{kind}', OLD.{key}::text
        WHERE OLD.{key} IS NOT NULL;
    END IF;
    IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE' AND OLD.{key} IS DISTINCT FROM NEW.{key} THEN
        INSERT INTO {work}.changes (kind, key) SELECT '{kind}', NEW.{key}::text
        WHERE NEW.{key} IS NOT NULL;
    END IF;
    RETURN NULL;
END $$
"""
_TRIGGER = """
CREATE TRIGGER fastchat_adoption AFTER INSERT OR UPDATE OR DELETE ON {table}
FOR EACH ROW EXECUTE FUNCTION {work}.note_{source}()
"""
# One that the main backend fills is noted, too, when its triggers are off for replication.
_ALWAYS = "ALTER TABLE {table} ENABLE ALWAYS TRIGGER fastchat_adoption"


async def make_views(connection: "Connection", tables: OldTables) -> None:
    """Make a view for each kind; one of no rows where the previous server has no such table."""
    for kind in KEYS:
        text = select(tables, kind)
        if text is not None:
            await connection.execute(f"CREATE VIEW {WORK}.old_{kind} AS {text}")


async def make_tables(connection: "Connection") -> None:
    """Make what has to be remembered."""
    await connection.execute(_TABLES)


async def make_temporary_tables(connection: "Connection") -> None:
    """Make what a session needs."""
    await connection.execute(_TEMPORARY)


async def make_trigger(connection: "Connection", table: OldTable) -> None:
    """Let an old table note what is written from now on.

    Waits for the transactions that are writing there; the caller bounds that.
    """
    await connection.execute(f"DROP FUNCTION IF EXISTS {WORK}.note_{table.kind}() CASCADE")
    names = {
        "work": WORK,
        "source": table.kind,
        "kind": NOTED_AS[table.kind],
        "key": table.columns[KEYS[table.kind]],
        "table": table.name,
    }
    for text in (_NOTE, _TRIGGER, _ALWAYS):
        await connection.execute(text.format(**names))


async def drop_triggers(connection: "Connection", tables: Sequence[OldTable]) -> None:
    """Let the old tables be as they were."""
    for table in tables:
        await connection.execute(f"DROP TRIGGER IF EXISTS fastchat_adoption ON {table.name}")


def key_of(tables: OldTables, kind: str, key: str = "k.key") -> str:
    """Return SQL of a noted key in the type of the old table's column."""
    table = tables.get(kind)
    assert table is not None
    return f"{key}::{key_type(table)}"


def ordered(message_id: str, message_id_type: str, *, is_text: bool = False) -> str:
    """Return SQL by which ids of messages are ordered where their times are equal.

    Args:
        message_id: SQL of an id.
        message_id_type: Its type in the old table.
        is_text: It is given as text, as fastchat stores it.
    """
    if message_id_type in ("integer", "bigint", "smallint", "uuid"):
        return f"{message_id}::{message_id_type}" if is_text else message_id
    return f'{message_id} COLLATE "C"'
