"""Usernames inside a query: from the text of an id, as messages hold it, to the name of its user.

What a look-up of ids in Python does with ``ids.to_native`` a query has to do for itself where the
ids come out of the tables that it reads.
"""

from fastchat.store.backend import BackendTables
from fastchat.store.ids import INTEGER_BITS


def native_expression(text: str, id_type: str) -> str:
    """Return SQL that turns the text of an id into a column's type, null when no row can have it.

    Args:
        text: SQL of the text.
        id_type: ``integer``, ``bigint``, ``text`` or ``uuid``.
    """
    if id_type == "text":
        return text
    if id_type == "uuid":
        pattern = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
        return f"CASE WHEN {text} ~ '{pattern}' THEN {text}::uuid END"
    largest = (1 << (INTEGER_BITS[id_type] - 1)) - 1
    return (
        f"CASE WHEN {text} ~ '^(0|-?[1-9][0-9]{{0,18}})$' "
        f"THEN CASE WHEN {text}::numeric BETWEEN {-largest - 1} AND {largest} "
        f"THEN {text}::{id_type} END END"
    )


def name_expression(text: str, tables: BackendTables) -> str:
    """Return SQL of the username of the user with this id, null when nobody knows him.

    Each is one step in an index; scalar subqueries with a limit keep it so in every plan.
    """
    name = f"(SELECT c.username FROM chat_users c WHERE c.user_id = {text} LIMIT 1)"
    if tables.id_type is not None:
        own = native_expression(text, tables.id_type)
        registered = f"(SELECT u.username FROM users_auth u WHERE u.user_id = {own} LIMIT 1)"
        name = f"coalesce({registered}, {name})"
    return name
