"""Who is mentioned in a message to a group.

Source: docs/protocol.md, "Mentions".
"""

import re
from collections.abc import Mapping

import orjson

EVERYONE = frozenset(("everyone", "all"))
MOST_MENTIONS = 500  # in one message; more name nobody

_MENTION = re.compile(r"(?<!\S)@(\S+)")
_WORD_END = re.compile(r"(?=\W|$)")


def find_mentions(content: str, members: Mapping[str, str], sender_id: str) -> list[str | None]:
    """Return the ids of mentioned members, in the order of the text; None: everyone.

    A name ends where its last letter does, so that a full stop behind it is no part of it; of two
    names that would do the longer one is meant.

    Args:
        content: The text.
        members: User id to username.
        sender_id: Who is never mentioned by himself.
    """
    names: dict[str, list[str]] = {}
    for user_id, username in members.items():
        if user_id != sender_id:
            names.setdefault(username.casefold(), []).append(user_id)
    found: dict[str | None, None] = {}
    for mention in _MENTION.finditer(content):
        found.update(dict.fromkeys(_named(mention[1].casefold(), names)))
        if len(found) >= MOST_MENTIONS:
            break
    return list(found)[:MOST_MENTIONS]


def encode_mentions(user_ids: list[str | None]) -> str | None:
    """Return mentions as they are stored, None when there are none."""
    return orjson.dumps(user_ids).decode() if user_ids else None


def _named(text: str, names: Mapping[str, list[str]]) -> list[str] | list[None]:
    longest = max(map(len, names), default=0)
    text = text[: max(longest, *map(len, EVERYONE)) + 1]
    ends = sorted({end.start() for end in _WORD_END.finditer(text)}, reverse=True)
    for end in ends:
        name = text[:end]
        if name in names:
            return names[name]
        if name in EVERYONE:
            return [None]
    return []
