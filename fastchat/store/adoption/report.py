"""What there is to take over, and what stands in the way. Reads only."""

from typing import TYPE_CHECKING, NamedTuple

from fastchat.store.adoption import AFTER, BEFORE, NEXT, WORK, AdoptionError
from fastchat.store.adoption.conflicts import is_there, refuse_conflicts
from fastchat.store.adoption.messages import Double, opens
from fastchat.store.adoption.old_tables import KINDS, OldTable, OldTables
from fastchat.store.adoption.views import messages as messages_view
from fastchat.store.cipher import Cipher

if TYPE_CHECKING:
    from asyncpg import Connection

SAMPLE = 500  # messages from each end whose ciphertext is tried

_COUNTS = """
SELECT count(*) FILTER (WHERE has_cipher AND coalesce(content, '') <> '' AND NOT is_deleted),
    count(*) FILTER (WHERE has_cipher AND coalesce(content, '') = '' AND NOT is_deleted),
    count(*) FILTER (WHERE NOT has_cipher AND NOT is_deleted),
    count(*) FILTER (WHERE is_deleted),
    count(*) FILTER (WHERE conversation_id IS NULL),
    count(*) FILTER (WHERE group_id IS NOT NULL{unknown_group}),
    count(*) FILTER (WHERE group_id IS NULL AND old_conversation_id <> conversation_id)
FROM ({view}) v
"""
_SAMPLE = """
SELECT v.id, v.sender_id, NULL::text, true, v.content, v.encrypted_content, v.encryption_iv,
    v.encryption_scheme, v.conversation_id, v.says_encrypted
FROM ({view}) v WHERE has_cipher AND NOT is_deleted AND conversation_id IS NOT NULL
ORDER BY v.message_id {direction} LIMIT {limit}
"""
_DEPENDENTS = """
SELECT 'foreign key ' || conname || ' of ' || conrelid::regclass FROM pg_constraint
WHERE contype = 'f' AND confrelid = $1::bigint::oid AND conrelid <> ALL ($2::bigint[]::oid[])
UNION ALL
SELECT 'view ' || c.oid::regclass FROM pg_depend d
JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class c ON c.oid = r.ev_class
WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = $1::bigint::oid
    AND c.relnamespace <> coalesce(to_regnamespace($3), 0)
UNION ALL
SELECT 'trigger ' || tgname FROM pg_trigger
WHERE tgrelid = $1::bigint::oid AND NOT tgisinternal AND tgname <> 'fastchat_adoption'
ORDER BY 1
"""
_RIGHTS = """
SELECT has_database_privilege(current_database(), 'CREATE'),
    has_schema_privilege($1, 'CREATE'), current_user::text, current_database()::text
"""


class Line(NamedTuple):
    """A line of the report: ``ok``, ``note`` or ``FAIL``, what it is about, what was found."""

    level: str
    subject: str
    found: str


async def report(connection: "Connection", tables: OldTables, cipher: Cipher) -> list[Line]:
    """Return what would be taken over; nothing is written.

    Raises:
        AdoptionError: there are no messages of the previous server.
    """
    lines = [Line("FAIL", "columns", problem) for problem in tables.problems]
    for kind in KINDS:
        table = tables.get(kind.name)
        if table is None:
            missing = f"none: expected {' or '.join(kind.spellings)}"
            lines.append(Line("note", kind.name.replace("_", " "), missing))
            continue
        rows = await connection.fetchval(f"SELECT count(*) FROM {table.name}")
        found = f"{rows:,} rows in {table.schema}.{table.table}"
        lines.append(Line("ok", kind.name.replace("_", " "), found))
        lines += await _table_lines(connection, tables, table)
    tables.messages  # noqa: B018  it says when there are none
    if not tables.problems:
        lines += await _message_lines(connection, tables, cipher)
    lines += await _place_lines(connection, tables)
    return lines


async def _table_lines(connection: "Connection", tables: OldTables, table: OldTable) -> list[Line]:
    oids = [each.oid for each in tables.tables.values()]
    lines = [
        Line("note", table.table, f"{row[0]} stays with the old table")
        for row in await connection.fetch(_DEPENDENTS, table.oid, oids, WORK)
    ]
    if not table.is_ours:
        lines.append(
            Line(
                "FAIL",
                table.table,
                f"belongs to {table.owner}: expected a role that may do what its owner may",
            )
        )
    kind = next(kind for kind in KINDS if kind.name == table.kind)
    missing = [column for column in kind.optional if not table.has(column)]
    if missing and table.kind in ("messages", "members"):
        lines.append(Line("note", table.table, f"has no {', '.join(missing)}"))
    return lines


async def _message_lines(connection: "Connection", tables: OldTables, cipher: Cipher) -> list[Line]:
    view = messages_view(tables)
    groups = tables.get("groups")
    unknown = " AND false"
    if groups is not None:
        id_ = groups.columns["group_id"]
        unknown = f" AND group_id NOT IN (SELECT g.{id_}::text FROM {groups.name} g)"
    elif tables.messages.has("group_id"):
        unknown = ""
    double, sealed, plain, deleted, homeless, groupless, renamed = await connection.fetchrow(
        _COUNTS.format(view=view, unknown_group=unknown)
    )
    lines = [
        Line("ok", "texts", f"{double:,} with plaintext beside the ciphertext: it is emptied"),
        Line("ok", "texts", f"{sealed:,} with a ciphertext alone"),
        Line("note" if plain else "ok", "texts", f"{plain:,} with plaintext alone: it stays"),
    ]
    if deleted:
        lines.append(Line("ok", "texts", f"{deleted:,} deleted for everyone: erased"))
    if homeless:
        lines.append(Line("note", "left out", f"{homeless:,} messages without sender or recipient"))
    if groupless:
        lines.append(Line("note", "left out", f"{groupless:,} messages of groups that are gone"))
    if renamed:
        lines.append(
            Line(
                "note",
                "conversations",
                f"{renamed:,} messages name it otherwise than fastchat, which makes the id of both "
                "users",
            )
        )
    return [*lines, await _key_line(connection, view, cipher)]


async def _key_line(connection: "Connection", view: str, cipher: Cipher) -> Line:
    sample: dict[str, Double] = {}
    for direction in ("", "DESC"):
        query = _SAMPLE.format(view=view, direction=direction, limit=SAMPLE)
        sample |= {row[0]: Double._make(row) for row in await connection.fetch(query)}
    if not sample:
        return Line("ok", "key", "no ciphertext to try it with")
    opened = sum(opens(cipher, row) for row in sample.values())
    differing = sum(
        bool(row.content) and opens(cipher, row) and not opens(cipher, row, strictly=True)
        for row in sample.values()
    )
    found = f"opens {opened:,} of {len(sample):,} ciphertexts that were tried"
    if differing:
        found += f"; {differing:,} say something else than their plaintext, and are what counts"
    if not opened:
        return Line("FAIL", "key", f"{found}: expected CHAT_ENCRYPTION_KEY of the previous server")
    return Line("ok" if opened == len(sample) else "note", "key", found)


async def _place_lines(connection: "Connection", tables: OldTables) -> list[Line]:
    lines = []
    in_database, in_schema, role, database = await connection.fetchrow(_RIGHTS, tables.target)
    if not in_database:
        sentence = f"{role} may not make schemas: expected GRANT CREATE ON DATABASE {database}"
        lines.append(Line("FAIL", "rights", sentence))
    if not in_schema:
        sentence = f"{role} may not make tables there: expected GRANT CREATE ON SCHEMA"
        lines.append(Line("FAIL", f"schema {tables.target}", sentence))
    lines += [
        Line("note", f"schema {schema}", "is there already")
        for schema in (BEFORE, AFTER)
        if await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", schema)
    ]
    try:
        await refuse_conflicts(connection, tables)
    except AdoptionError as error:
        lines.append(Line("FAIL", f"schema {tables.target}", str(error)))
    if await is_there(connection, WORK, "state"):
        lines.append(Line("note", "progress", f"a copy is under way in {NEXT}; it goes on there"))
    return lines
