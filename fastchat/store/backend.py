"""The main backend's tables: which of them are there, and of what type their ids are.

They belong to the main backend and are only read. Looked up once at start; queries are written
from what was found.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncpg import Connection

log = logging.getLogger(__name__)

ID_TYPES = ("integer", "bigint", "text", "uuid")  # that ids.to_native knows

# The columns each table must have.
REQUIRED = {
    "users_auth": ("user_id", "username", "email"),
    "user_profile_info": ("user_id", "first_name", "last_name"),
    "jwt_revocation": ("jti",),
    "blocked_relationships": ("blocker_id", "blocked_id"),
    "user_follows": ("follower_id", "followee_id"),
}
IDS = {"user_id", "jti", "blocker_id", "blocked_id", "follower_id", "followee_id"}
_CONSEQUENCES = {
    "users_auth": "only users of chat_users are known",
    "user_profile_info": "users have no names but their usernames",
    "jwt_revocation": "nothing is revoked",
    "blocked_relationships": "nobody is blocked",
    "user_follows": "nobody is followed",
}
# Domains are taken as what they are made of; to_regclass follows the search path.
_COLUMNS = """
WITH RECURSIVE wanted AS (
    SELECT name, to_regclass(quote_ident(name)) AS oid FROM unnest($1::text[]) AS name
), attributes AS (
    SELECT w.name AS table_name, a.attname::text AS column_name, a.atttypid AS type_id,
           has_column_privilege(w.oid, a.attnum, 'SELECT') AS readable
    FROM wanted w JOIN pg_attribute a ON a.attrelid = w.oid
    WHERE a.attnum > 0 AND NOT a.attisdropped
), bases AS (
    SELECT DISTINCT type_id, type_id AS base_id FROM attributes
    UNION
    SELECT b.type_id, t.typbasetype FROM bases b JOIN pg_type t ON t.oid = b.base_id
    WHERE t.typtype = 'd'
)
SELECT a.table_name, a.column_name, a.readable, format_type(b.base_id, NULL) AS type_name
FROM attributes a
JOIN bases b USING (type_id)
JOIN pg_type t ON t.oid = b.base_id AND t.typtype <> 'd'
"""


class BackendError(Exception):
    """A table of the main backend cannot be used as it is; the text says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendTables:
    """What is there: the type of each table's ids, None when the table is missing or unreadable.

    The types are names that PostgreSQL knows: ``integer``, ``bigint``, ``text`` (``varchar`` too)
    and ``uuid``; ``ids.to_native`` takes them.
    """

    id_type: str | None = None  # users_auth.user_id
    profile_id_type: str | None = None  # user_profile_info.user_id
    has_display_name: bool = False
    has_picture_url: bool = False
    revocation_id_type: str | None = None  # jwt_revocation.jti
    blocks_id_type: str | None = None  # both columns of blocked_relationships
    follows_id_type: str | None = None  # both columns of user_follows

    @property
    def users_id_type(self) -> str | None:
        """Of ``users_auth.user_id``, by the name that the writer has for it."""
        return self.id_type


async def detect(connection: "Connection") -> BackendTables:
    """Look at the backend's tables as this connection sees them; say once what is missing.

    Raises:
        BackendError: an id has a type that fastchat does not know.
    """
    found: dict[str, dict[str, str]] = {}
    unreadable: dict[str, set[str]] = {}
    for row in await connection.fetch(_COLUMNS, list(REQUIRED)):
        table, column = row["table_name"], row["column_name"]
        if row["readable"]:
            found.setdefault(table, {})[column] = row["type_name"]
        else:
            unreadable.setdefault(table, set()).add(column)
    types: dict[str, str | None] = {}
    for table, required in REQUIRED.items():
        columns = found.get(table, {})
        missing = [column for column in required if column not in columns]
        types[table] = None if missing else _id_type(table, columns)
        if not missing:
            continue
        if table not in found and table not in unreadable:
            problem = "is missing"
        elif hidden := [column for column in missing if column in unreadable.get(table, ())]:
            problem = f"may not be read ({', '.join(hidden)})"
        else:
            problem = f"has no column {', '.join(missing)}"
        log.warning("table %s %s: %s", table, problem, _CONSEQUENCES[table])
    profile = found.get("user_profile_info", {}) if types["user_profile_info"] else {}
    return BackendTables(
        id_type=types["users_auth"],
        profile_id_type=types["user_profile_info"],
        has_display_name="display_name" in profile,
        has_picture_url="profile_picture_url" in profile,
        revocation_id_type=types["jwt_revocation"],
        blocks_id_type=types["blocked_relationships"],
        follows_id_type=types["user_follows"],
    )


def _id_type(table: str, columns: Mapping[str, str]) -> str:
    names = [name for name in REQUIRED[table] if name in IDS]
    types = {"text" if t == "character varying" else t for t in (columns[name] for name in names)}
    shown = ", ".join(f"{table}.{name} is of type {columns[name]}" for name in names)
    if len(types) > 1:
        raise BackendError(f"{shown}: expected one type")
    (found,) = types
    if found not in ID_TYPES:
        raise BackendError(f"{shown}: expected integer, bigint, text, varchar or uuid")
    return found
