"""The old tables seen as fastchat would have them: SQL that hides their spellings and types.

Each function returns a SELECT. ``adopt`` makes views of them, so that all other statements are the
same for every old table; the report, which may write nothing, has them as subqueries. Ids are text,
as on the wire; the key of a table is there once more in its own type, for its index.
"""

from fastchat.store.adoption.old_tables import TEXT_TYPES, OldTable, OldTables

_NOTHING = "NULL::{type}"


def messages(tables: OldTables) -> str:
    """Return the messages, whatever room they belong to.

    ``conversation_id`` is the one that fastchat gives, null where the row tells neither a group nor
    two users. ``has_cipher``: there is a ciphertext; ``says_encrypted``: it is what counts, as the
    row says. Whoever has no ``recipient_id`` is looked for in the table of conversations.
    """
    table = tables.messages
    group = f"nullif({_text(table, 'group_id')}, '')"
    sender = _text(table, "sender_id")
    recipient = f"coalesce(nullif({_text(table, 'recipient_id')}, ''), {_other(tables, sender)})"
    cipher = (
        f"(coalesce({_text(table, 'encrypted_content')}, '') <> ''"
        f" AND coalesce({_text(table, 'encryption_iv')}, '') <> '')"
    )
    gone = " OR ".join(
        [
            f"coalesce({_flag(table, 'is_deleted')}, false)",
            f"{_raw(table, 'deleted_at', 'timestamptz')} IS NOT NULL",
        ]
    )
    pinned = (
        f"coalesce({_time(table, 'pinned_at')}, CASE WHEN "
        f"coalesce({_flag(table, 'is_pinned')}, false) THEN {_created(table)} END)"
    )
    return f"""SELECT o.*, CASE
        WHEN o.group_id IS NOT NULL AND o.sender_id IS NOT NULL THEN o.group_id
        WHEN o.user1_id IS NOT NULL THEN 'conv_' || {_escaped("o.user1_id")} || '_'
            || {_escaped("o.user2_id")} END COLLATE "C" AS conversation_id
FROM (
    SELECT p.*,
        CASE WHEN p.sender_id IS NOT NULL AND p.recipient_id IS NOT NULL
            THEN least(p.sender_id, p.recipient_id) END AS user1_id,
        CASE WHEN p.sender_id IS NOT NULL AND p.recipient_id IS NOT NULL
            THEN greatest(p.sender_id, p.recipient_id) END AS user2_id
    FROM (
        SELECT {_key(table, "message_id")} AS message_id,
            ({_text(table, "message_id")}) COLLATE "C" AS id,
            ({sender}) COLLATE "C" AS sender_id,
            ({group}) COLLATE "C" AS group_id,
            (CASE WHEN {group} IS NULL THEN {recipient} END) COLLATE "C" AS recipient_id,
            nullif({_text(table, "conversation_id")}, '') AS old_conversation_id,
            nullif({_text(table, "reply_to")}, '') AS reply_to,
            {_created(table)} AS created_at,
            {_time(table, "updated_at")} AS updated_at,
            {_time(table, "edited_at")} AS edited_at,
            {_is_read(table)} AS is_read,
            ({gone}) AS is_deleted,
            {pinned} AS pinned_at,
            coalesce({_flag(table, "is_announcement")}, false) AS is_announcement,
            {_text(table, "content")} AS content,
            {_text(table, "encrypted_content")} AS encrypted_content,
            {_text(table, "encryption_iv")} AS encryption_iv,
            {_text(table, "encryption_scheme")} AS encryption_scheme,
            {cipher} AS has_cipher,
            coalesce({_flag(table, "is_encrypted")}, {cipher}) AS says_encrypted
        FROM {table.name} t
    ) p
) o"""


def conversations(table: OldTable) -> str:
    """Return conversations of two, by fastchat's id and by the old one."""
    first, second = (f'({_text(table, f"user{n}_id")}) COLLATE "C"' for n in (1, 2))
    return f"""SELECT o.*, ('conv_' || {_escaped("o.user1_id")} || '_' || {_escaped("o.user2_id")})
    COLLATE "C" AS conversation_id
FROM (
    SELECT {_ids(table)},
        least({first}, {second}) AS user1_id, greatest({first}, {second}) AS user2_id,
        {_time(table, "created_at", "now()")} AS created_at
    FROM {table.name} t
    WHERE {_text(table, "user1_id")} IS NOT NULL AND {_text(table, "user2_id")} IS NOT NULL
) o"""


def groups(table: OldTable) -> str:
    """Return groups; one that was deleted has a ``deleted_at``."""
    gone = (
        f"coalesce({_flag(table, 'is_deleted')}, false)"
        f" OR NOT coalesce({_flag(table, 'is_active')}, true)"
    )
    return f"""SELECT {_ids(table)},
    coalesce(nullif({_text(table, "group_name")}, ''), 'Group') AS group_name,
    coalesce({_text(table, "group_description")}, '') AS group_description,
    coalesce({_text(table, "created_by")}, '') COLLATE "C" AS created_by,
    greatest(coalesce({_raw(table, "max_members", "integer")}, 50)::integer, 2) AS max_members,
    {_time(table, "created_at", "now()")} AS created_at,
    coalesce({_time(table, "deleted_at")}, CASE WHEN {gone} THEN now() END) AS deleted_at
FROM {table.name} t"""


def members(table: OldTable) -> str:
    """Return who is in a group now; roles that fastchat does not know are those of members."""
    role = f"lower(coalesce({_text(table, 'role')}, 'member'))"
    return f"""SELECT {_ids(table)},
    ({_text(table, "user_id")}) COLLATE "C" AS user_id,
    CASE WHEN {role} IN ('owner', 'admin') THEN {role} ELSE 'member' END AS role,
    coalesce({_flag(table, "can_send_messages")}, true) AS can_send_messages,
    coalesce({_flag(table, "can_add_members")}, false) AS can_add_members,
    {_time(table, "joined_at", "now()")} AS joined_at,
    {_time(table, "last_read_at")} AS last_read_at
FROM {table.name} t
WHERE {_text(table, "user_id")} IS NOT NULL
  AND coalesce({_flag(table, "is_active")}, true)
  AND {_raw(table, "left_at", "timestamptz")} IS NULL"""


def reactions(table: OldTable) -> str:
    """Return reactions; a user may have several to one message."""
    return f"""SELECT {_ids(table)},
    ({_text(table, "user_id")}) COLLATE "C" AS user_id, {_text(table, "reaction")} AS reaction,
    {_time(table, "created_at", "'epoch'::timestamptz")} AS reacted_at
FROM {table.name} t
WHERE {_text(table, "user_id")} IS NOT NULL AND {_text(table, "reaction")} <> ''"""


def message_removals(table: OldTable) -> str:
    """Return messages that users removed for themselves."""
    return f"""SELECT {_ids(table)},
    ({_text(table, "user_id")}) COLLATE "C" AS user_id,
    {_time(table, "removed_at", "now()")} AS removed_at
FROM {table.name} t WHERE {_text(table, "user_id")} IS NOT NULL"""


def conversation_removals(table: OldTable) -> str:
    """Return conversations that users deleted for themselves, and when."""
    return f"""SELECT {_ids(table)},
    ({_text(table, "user_id")}) COLLATE "C" AS user_id, {_time(table, "removed_at")} AS removed_at
FROM {table.name} t
WHERE {_text(table, "user_id")} IS NOT NULL
  AND {_raw(table, "removed_at", "timestamptz")} IS NOT NULL"""


def events(table: OldTable) -> str:
    """Return events that wait for users, as JSON text."""
    told = (
        f"{_raw(table, 'delivered_at', 'timestamptz')} IS NOT NULL"
        f" OR coalesce({_flag(table, 'is_delivered')}, false)"
    )
    return f"""SELECT {_ids(table)},
    ({_text(table, "user_id")}) COLLATE "C" AS user_id,
    {_text(table, "event_type")} AS event_type, {_text(table, "event_data")} AS event_data,
    {_time(table, "created_at", "now()")} AS created_at
FROM {table.name} t
WHERE {_text(table, "user_id")} IS NOT NULL AND {_text(table, "event_data")} IS NOT NULL
  AND NOT ({told})"""


def users(table: OldTable) -> str:
    """Return users whom the main backend does not know."""
    names = ("email", "first_name", "last_name", "display_name")
    columns = ", ".join(f"{_text(table, name)} AS {name}" for name in names)
    return f"""SELECT {_ids(table)},
    coalesce({_text(table, "username")}, '') AS username, {columns}
FROM {table.name} t WHERE {_text(table, "user_id")} IS NOT NULL"""


SELECTS = {
    "conversations": conversations,
    "groups": groups,
    "members": members,
    "reactions": reactions,
    "message_removals": message_removals,
    "conversation_removals": conversation_removals,
    "events": events,
    "users": users,
}
# What each kind is found by, in its own table.
KEYS = {
    "messages": "message_id",
    "conversations": "conversation_id",
    "groups": "group_id",
    "members": "group_id",
    "reactions": "message_id",
    "message_removals": "message_id",
    "conversation_removals": "conversation_id",
    "events": "event_id",
    "users": "user_id",
}


def select(tables: OldTables, kind: str) -> str | None:
    """Return what there is of a kind, or None."""
    table = tables.get(kind)
    if table is None:
        return None
    return messages(tables) if kind == "messages" else SELECTS[kind](table)


def key_type(table: OldTable) -> str:
    """Return the type of a table's key, as SQL."""
    found = table.types[KEYS[table.kind]]
    return "text" if found in TEXT_TYPES else found


def _ids(table: OldTable) -> str:
    """Return a table's key, and its text."""
    column = KEYS[table.kind]
    return f'{_key(table, column)} AS key, ({_text(table, column)}) COLLATE "C" AS id'


def _escaped(user_id: str) -> str:
    # As rooms.conversation_id_of does it.
    return f"replace(replace({user_id}, '%', '%25'), '_', '%5F')"


def _raw(table: OldTable, column: str, type_: str) -> str:
    return f"t.{table.columns[column]}" if table.has(column) else _NOTHING.format(type=type_)


def _flag(table: OldTable, column: str) -> str:
    # Some have numbers.
    return f"{_raw(table, column, 'boolean')}::boolean"


def _text(table: OldTable, column: str) -> str:
    return f"{_raw(table, column, 'text')}::text"


def _key(table: OldTable, column: str) -> str:
    # A padded or folded type would compare in its own way; the cast keeps the index of varchar.
    cast = "::text" if table.types[column] in TEXT_TYPES else ""
    return f"t.{table.columns[column]}{cast}"


def _time(table: OldTable, column: str, default: str = "") -> str:
    """Return a time; without a zone it is one of the session's, whole numbers are milliseconds."""
    if not table.has(column):
        return default or _NOTHING.format(type="timestamptz")
    found = f"t.{table.columns[column]}"
    if table.types[column] in ("bigint", "integer", "numeric", "double precision"):
        found = f"to_timestamp({found} / 1000.0)"
    else:
        found += "::timestamptz"
    return f"coalesce({found}, {default})" if default else found


def _created(table: OldTable) -> str:
    return f"coalesce({_time(table, 'created_at')}, 'epoch'::timestamptz)"


def _is_read(table: OldTable) -> str:
    # Where nothing tells what was read, all of it was.
    default = "false" if table.has("is_read") else "true"
    return f"coalesce({_flag(table, 'is_read')}, {default})"


def _other(tables: OldTables, sender: str) -> str:
    """Return the other user of the conversation that a message names."""
    table, named = tables.messages, tables.get("conversations")
    if named is None or not table.has("conversation_id"):
        return "NULL::text"
    first, second, id_ = (named.columns[c] for c in ("user1_id", "user2_id", "conversation_id"))
    return f"""(SELECT CASE WHEN c.{first}::text = {sender} THEN c.{second}::text
            WHEN c.{second}::text = {sender} THEN c.{first}::text END
        FROM {named.name} c WHERE c.{id_}{_cast(named, "conversation_id")}
            = t.{table.columns["conversation_id"]}{_cast(named, "conversation_id")} LIMIT 1)"""


def _cast(table: OldTable, column: str) -> str:
    """Return the cast to a column's own type: text where it is any."""
    found = table.types[column]
    return "::text" if found in TEXT_TYPES else f"::{found}"
