"""Ids: text on the wire, the column's own type in the main backend's tables.

Only the canonical text of an id matches, so that one user has one name everywhere.
"""

import re
from uuid import UUID

INTEGER_BITS = {"integer": 32, "bigint": 64}
SHORT = 9  # digits that fit in any of them
CANONICAL_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)
CANONICAL_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)

NativeId = int | str | UUID


def to_native(text: str | None, id_type: str) -> NativeId | None:
    """Return the value of an id in its column's type, or None when no row can have it.

    Args:
        text: The id as on the wire; None, where there is none.
        id_type: ``integer``, ``bigint``, ``text`` or ``uuid``.

    Raises:
        ValueError: another type.
    """
    if text is None:
        return None
    if id_type in INTEGER_BITS:
        if len(text) <= SHORT and text.isdigit() and text.isascii() and text[0] != "0":
            return int(text)  # most of them, in half the time
        if not CANONICAL_INTEGER.fullmatch(text):
            return None
        number = int(text)
        bound = 1 << (INTEGER_BITS[id_type] - 1)
        return number if -bound <= number < bound else None
    if id_type == "uuid":
        return UUID(text) if CANONICAL_UUID.fullmatch(text) else None
    if id_type == "text":
        return text
    raise ValueError(f"id_type={id_type!r}: expected integer, bigint, text or uuid")
