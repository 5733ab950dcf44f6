"""The tables of the previous server: under which names they are there, and with which columns.

Only the columns of its messages are written down anywhere (docs/protocol.md, "Tables"). Those of
the other tables are looked for under the names that such columns usually have, and others can be
named by the one who runs ``fastchat adopt``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastchat.store.adoption import BEFORE, AdoptionError

if TYPE_CHECKING:
    from asyncpg import Connection

# A column only fastchat's table of that name has.
OWN_MARK = "room_id"
TEXT_TYPES = ("text", "character varying", "character", "citext")
ID_TYPES = (*TEXT_TYPES, "integer", "bigint", "smallint", "uuid")


@dataclass(frozen=True, slots=True)
class Kind:
    """What one of its tables holds.

    Attributes:
        spellings: Names that it may have.
        required: Columns without which it cannot be taken over, each with the names it may have.
        optional: Those that may be missing.
    """

    name: str
    spellings: tuple[str, ...]
    required: Mapping[str, tuple[str, ...]]
    optional: Mapping[str, tuple[str, ...]]


KINDS = (
    Kind(
        "messages",
        ("chat_messages", "private_messages"),
        {
            "message_id": ("message_id", "id"),
            "sender_id": ("sender_id", "from_user_id", "user_id"),
            "created_at": ("created_at", "sent_at", "timestamp"),
        },
        {
            "conversation_id": ("conversation_id",),
            "recipient_id": ("recipient_id", "receiver_id", "to_user_id"),
            "group_id": ("group_id",),
            "reply_to": ("reply_to", "reply_to_message_id", "reply_to_id"),
            "updated_at": ("updated_at",),
            "edited_at": ("edited_at",),
            "is_read": ("is_read",),
            "content": ("content", "message_content", "message"),
            "encrypted_content": ("encrypted_content",),
            "encryption_iv": ("encryption_iv",),
            "encryption_scheme": ("encryption_scheme",),
            "is_encrypted": ("is_encrypted",),
            "is_deleted": ("is_deleted",),
            "deleted_at": ("deleted_at",),
            "is_pinned": ("is_pinned",),
            "pinned_at": ("pinned_at",),
            "is_announcement": ("is_announcement",),
        },
    ),
    Kind(
        "conversations",
        ("dm_conversations", "conversations"),
        {
            "conversation_id": ("conversation_id", "id"),
            "user1_id": ("user1_id", "user_1_id", "participant1_id", "participant_1_id"),
            "user2_id": ("user2_id", "user_2_id", "participant2_id", "participant_2_id"),
        },
        {"created_at": ("created_at",)},
    ),
    Kind(
        "groups",
        ("chat_groups", "group_chats"),
        {
            "group_id": ("group_id", "id"),
            "group_name": ("group_name", "name"),
            "created_by": ("created_by", "creator_id", "owner_id"),
        },
        {
            "group_description": ("group_description", "description"),
            "max_members": ("max_members",),
            "created_at": ("created_at",),
            "deleted_at": ("deleted_at",),
            "is_deleted": ("is_deleted",),
            "is_active": ("is_active",),
        },
    ),
    Kind(
        "members",
        ("group_participants", "group_members"),
        {"group_id": ("group_id",), "user_id": ("user_id", "member_id")},
        {
            "role": ("role",),
            "can_send_messages": ("can_send_messages",),
            "can_add_members": ("can_add_members",),
            "joined_at": ("joined_at", "created_at"),
            "left_at": ("left_at",),
            "is_active": ("is_active",),
            "last_read_at": ("last_read_at",),
        },
    ),
    Kind(
        "reactions",
        ("chat_reactions", "message_reactions"),
        {
            "message_id": ("message_id",),
            "user_id": ("user_id",),
            "reaction": ("reaction", "emoji", "reaction_type"),
        },
        {"created_at": ("created_at", "reacted_at")},
    ),
    Kind(
        "message_removals",
        ("message_removals", "message_deletions"),
        {"message_id": ("message_id",), "user_id": ("user_id", "deleted_by", "removed_by")},
        {"removed_at": ("removed_at", "deleted_at", "created_at")},
    ),
    Kind(
        "conversation_removals",
        ("conversation_removals", "conversation_deletions"),
        {
            "conversation_id": ("conversation_id",),
            "user_id": ("user_id", "deleted_by", "removed_by"),
            "removed_at": ("removed_at", "deleted_at", "created_at"),
        },
        {},
    ),
    Kind(
        "events",
        ("offline_events", "event_queue"),
        {
            "event_id": ("id", "event_id"),
            "user_id": ("user_id",),
            "event_data": ("event_data", "event", "payload"),
            "created_at": ("created_at",),
        },
        {
            "event_type": ("event_type", "type"),
            "delivered_at": ("delivered_at",),
            "is_delivered": ("is_delivered", "delivered"),
        },
    ),
    Kind(
        "users",
        ("chat_users",),
        {"user_id": ("user_id", "id"), "username": ("username",)},
        {
            "email": ("email",),
            "first_name": ("first_name",),
            "last_name": ("last_name",),
            "display_name": ("display_name",),
        },
    ),
)

# Domains are taken as what they are made of.
_TABLE = """
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind::text,
    pg_has_role(c.relowner, 'USAGE'), pg_get_userbyid(c.relowner)::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass(quote_ident($1)) AND n.nspname <> $2
"""
_COLUMNS = """
WITH RECURSIVE bases AS (
    SELECT a.attname::text AS name, a.atttypid AS type_id FROM pg_attribute a
    WHERE a.attrelid = $1::bigint::oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT b.name, t.typbasetype FROM bases b JOIN pg_type t ON t.oid = b.type_id
    WHERE t.typtype = 'd'
)
SELECT b.name, format_type(b.type_id, NULL)
FROM bases b JOIN pg_type t ON t.oid = b.type_id AND t.typtype <> 'd'
"""
_HAS_ROWS = "SELECT EXISTS (SELECT FROM {table})"
_IS_UNIQUE = """
SELECT EXISTS (
    SELECT FROM pg_index i
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = $1::bigint::oid AND i.indisunique AND i.indisvalid AND i.indnkeyatts = 1
      AND i.indpred IS NULL AND a.attname = $2)
"""


@dataclass(frozen=True, slots=True)
class OldTable:
    """One table of the previous server.

    Attributes:
        columns: What fastchat calls a column → its name there, quoted.
        types: What fastchat calls a column → its type.
        owner: Of the table; ``is_ours`` when this role may do what he may.
    """

    kind: str
    oid: int
    schema: str
    table: str
    columns: Mapping[str, str]
    types: Mapping[str, str]
    owner: str
    is_ours: bool

    @property
    def name(self) -> str:
        """The table, as SQL."""
        return f"{quoted(self.schema)}.{quoted(self.table)}"

    def has(self, column: str) -> bool:
        """Whether it has what fastchat calls so."""
        return column in self.columns


@dataclass(frozen=True, slots=True)
class OldTables:
    """What was found; ``problems`` are the reasons why it cannot be taken over."""

    tables: Mapping[str, OldTable]
    problems: Sequence[str]
    target: str  # the schema where fastchat's tables are to be

    def get(self, kind: str) -> OldTable | None:
        """Return the table of this kind, or None."""
        return self.tables.get(kind)

    @property
    def messages(self) -> OldTable:
        """The table of messages.

        Raises:
            AdoptionError: there is none.
        """
        found = self.tables.get("messages")
        if found is None:
            raise AdoptionError(
                "no table of the previous server was found: expected chat_messages or "
                "private_messages, as it made them, on the search path (once they were taken "
                f"over they are in {BEFORE})"
            )
        return found

    @property
    def message_id_type(self) -> str:
        """The type of the ids of messages, as SQL."""
        return self.messages.types["message_id"]


def quoted(name: str) -> str:
    """Return a name as SQL."""
    return '"' + name.replace('"', '""') + '"'


async def find(connection: "Connection", given: Mapping[str, str] | None = None) -> OldTables:
    """Look for the tables along the search path.

    Args:
        connection: Used by nobody else meanwhile; nothing is written.
        given: ``kind.column`` → the name that it has, where that is none of the usual ones.

    Raises:
        AdoptionError: ``given`` names something that there is not.
    """
    names = {f"{k.name}.{column}" for k in KINDS for column in (*k.required, *k.optional)}
    for key in given or {}:
        if key not in names:
            raise AdoptionError(f"--column {key}: expected one of {', '.join(sorted(names))}")
    target = await connection.fetchval("SELECT current_schema()")
    if target is None:
        raise AdoptionError("no schema of the search path exists: expected one for the tables")
    tables: dict[str, OldTable] = {}
    problems: list[str] = []
    for kind in KINDS:
        table = await _choose(connection, kind, given or {}, problems)
        if table is not None:
            tables[kind.name] = table
    if "groups" not in tables:
        tables.pop("members", None)
    messages = tables.get("messages")
    if messages is not None:
        column = messages.columns["message_id"]
        if not await connection.fetchval(_IS_UNIQUE, messages.oid, column[1:-1]):
            problems.append(
                f"{messages.table}.{column} has no unique index: expected one "
                f"(CREATE UNIQUE INDEX CONCURRENTLY ON {messages.name} ({column}))"
            )
        if messages.types["message_id"] not in ID_TYPES:
            problems.append(
                f"{messages.table}.{column} is of type {messages.types['message_id']}: "
                "expected integer, bigint, text, varchar or uuid"
            )
    return OldTables(tables, problems, target)


async def _choose(
    connection: "Connection", kind: Kind, given: Mapping[str, str], problems: list[str]
) -> OldTable | None:
    """Return the table of a kind; of two the one with rows."""
    found = []
    for spelling in kind.spellings:
        row = await connection.fetchrow(_TABLE, spelling, BEFORE)
        if row is None or await _is_own(connection, kind, row[0], spelling):
            continue
        table = await _describe(connection, kind, row, given, problems)
        if table is not None:
            found.append(table)
    if len(found) > 1:
        with_rows = [
            table
            for table in found
            if await connection.fetchval(_HAS_ROWS.format(table=table.name))
        ]
        if len(with_rows) > 1:
            problems.append(
                f"{' and '.join(table.table for table in found)} both hold {kind.name}: expected "
                "one of them, or the other one empty"
            )
        found = with_rows or found
    return found[0] if found else None


async def _is_own(connection: "Connection", kind: Kind, oid: int, spelling: str) -> bool:
    """Whether it is fastchat's own table of that name."""
    columns = {row[0] for row in await connection.fetch(_COLUMNS, oid)}
    if kind.name == "events" and spelling == "event_queue":
        return not columns & {*kind.required["event_data"]}
    return OWN_MARK in columns


async def _describe(
    connection: "Connection",
    kind: Kind,
    row: Sequence[Any],
    given: Mapping[str, str],
    problems: list[str],
) -> OldTable | None:
    oid, schema, table, relkind, is_ours, owner = row
    if relkind != "r":
        problems.append(f"{table} is no plain table: expected one that is not partitioned")
        return None
    there = dict(await connection.fetch(_COLUMNS, oid))
    columns, types = {}, {}
    for column, names in (*kind.required.items(), *kind.optional.items()):
        named = given.get(f"{kind.name}.{column}")
        choice = next((n for n in ((named,) if named else names) if n in there), None)
        if choice is not None:
            columns[column] = quoted(choice)
            types[column] = there[choice]
        elif named or column in kind.required:
            expected = named or " or ".join(names)
            problems.append(
                f"{table} has no column {expected}, where {kind.name} have their {column}: "
                f"found {', '.join(sorted(there))}; "
                f"name it with --column {kind.name}.{column}=NAME"
            )
            return None
    return OldTable(kind.name, oid, schema, table, columns, types, owner, is_ours)
