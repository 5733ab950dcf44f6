"""Rows of ``chat_messages`` as plain values."""

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

from fastchat.store.names import name_expression

if TYPE_CHECKING:
    from fastchat.store.backend import BackendTables

LAST_SEQ = (1 << 63) - 1
_MESSAGE_ID = re.compile(r"([1-9][0-9]{0,18})-([1-9][0-9]{0,18})")


def make_message_id(room_id: int, seq: int) -> str:
    """Return the id of a message on the wire."""
    return f"{room_id}-{seq}"


class MessageRow(NamedTuple):
    """One stored message, still sealed. Times are epoch seconds.

    ``rev`` is that of the last change of the message. ``old_id`` is only in rows of the previous
    server. ``username``: the sender's; here and below None for a user whom nobody knows.
    ``reactions``: JSON, a list of user id, username and reaction each, the oldest first.
    ``mentions``: JSON, a list of pairs of user id and username; a pair of nulls means everyone.
    ``is_read``: the recipient has read it.
    """

    seq: int
    rev: int
    created_at: float
    edited_at: float | None
    old_id: str | None
    sender_id: str
    username: str | None
    reply_to: str | None
    client_message_id: str | None
    is_encrypted: bool
    content: str | None
    encrypted_content: str | None
    encryption_iv: str | None
    encryption_scheme: str | None
    is_deleted: bool
    is_pinned: bool
    reactions: str | None
    mentions: str | None
    is_announcement: bool
    is_read: bool

    def message_id(self, room_id: int) -> str:
        """Return the id of the message on the wire."""
        return self.old_id or make_message_id(room_id, self.seq)


def message_columns(tables: "BackendTables") -> str:
    """Return what a query selects of ``chat_messages m``: ``MessageRow`` without ``is_read``.

    A float costs half of a timestamp to decode, and the wire needs no more. A reaction is a change
    of its message, so most messages need no look at them.
    """
    return f"""m.seq, coalesce(m.changed_rev, m.rev), date_part('epoch', m.created_at),
    date_part('epoch', m.edited_at), m.message_id, m.sender_id,
    {name_expression("m.sender_id", tables)}, m.reply_to, m.client_message_id,
    m.is_encrypted, m.content, m.encrypted_content, m.encryption_iv, m.encryption_scheme,
    m.is_deleted, m.pinned_at IS NOT NULL,
    CASE WHEN m.changed_rev IS NOT NULL THEN (
        SELECT json_agg(
            json_build_array(e.user_id, {name_expression("e.user_id", tables)}, e.reaction)
            ORDER BY e.reacted_at, e.user_id)
        FROM chat_reactions e WHERE e.room_id = m.room_id AND e.seq = m.seq
    )::text END,
    CASE WHEN m.mentions IS NOT NULL THEN (
        SELECT json_agg(json_build_array(e.user_id, {name_expression("e.user_id", tables)}))
        FROM json_array_elements_text(m.mentions::json) AS e (user_id)
    )::text END,
    m.is_announcement"""


class MessageRef(NamedTuple):
    """Where a message id points; ``old_id`` when it is one that the previous server gave."""

    room_id: int
    seq: int
    old_id: str | None = None


def parse_reference(text: str) -> MessageRef | None:
    """Return where an id that fastchat made points, or None; asks nobody whether it exists."""
    match = _MESSAGE_ID.fullmatch(text)
    if match is None:
        return None
    room_id, seq = int(match[1]), int(match[2])
    return MessageRef(room_id, seq) if max(room_id, seq) <= LAST_SEQ else None


class SealedContent(Protocol):
    """Content ready to be stored: either ``content`` or the encrypted columns."""

    @property
    def content(self) -> str | None:
        """Plaintext, where encryption failed and that is allowed."""

    @property
    def encrypted_content(self) -> str | None:
        """Ciphertext in hex."""

    @property
    def encryption_iv(self) -> str | None:
        """Initialisation vector in hex."""

    @property
    def encryption_scheme(self) -> str | None:
        """Format and key."""
