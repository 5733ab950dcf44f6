"""Stored messages as the wire shows them. Hot path."""

from collections.abc import Sequence

import orjson

from fastchat.protocol.events import encode_message
from fastchat.store.cipher import Cipher, Undecryptable
from fastchat.store.messages import MessageRow, make_message_id
from fastchat.store.rooms import AnyRoom

# Shown for a row that no known key opens.
UNREADABLE = "[This message cannot be decrypted]"


class RowEncoder:
    """Opens and encodes rows of a conversation."""

    def __init__(self, cipher: Cipher) -> None:
        """Take what opens the text."""
        self._cipher = cipher

    def encode(self, room: AnyRoom, rows: Sequence[MessageRow]) -> list[bytes]:
        """Encode messages of one conversation, in their order.

        A user whom nobody knows any more is called by his id.
        """
        room_id, conversation_id = room.room_id, room.conversation_id
        other = None if room.is_group else room.other
        kept = [row for row in rows if not row.is_deleted]
        opened = self._cipher.open_many(kept, conversation_id)
        texts = iter([UNREADABLE if text is None else text for text in opened])
        return [
            encode_message(
                row.old_id or make_message_id(room_id, row.seq),
                conversation_id,
                row.sender_id,
                None if other is None else other(row.sender_id),
                row.username or row.sender_id,
                "" if row.is_deleted else next(texts),
                row.created_at,
                row.seq,
                row.rev,
                row.is_read,
                row.reply_to,
                row.client_message_id,
                row.edited_at,
                row.is_deleted,
                row.is_pinned,
                row.is_announcement,
                _describe_reactions(row.reactions) if row.reactions else (),
                describe_mentions(orjson.loads(row.mentions)) if row.mentions else (),
            )
            for row in rows
        ]

    def open(self, row: MessageRow, conversation_id: str) -> str:
        """Return the text of a row, or what is shown for one that no known key opens."""
        try:
            return self._cipher.open(row, conversation_id)
        except Undecryptable:
            return UNREADABLE


def _describe_reactions(reactions: str) -> list[dict[str, str]]:
    return [
        {"userId": user_id, "username": name or user_id, "reaction": reaction}
        for user_id, name, reaction in orjson.loads(reactions)
    ]


def describe_mentions(mentions: Sequence[tuple[str | None, str | None]]) -> list[dict[str, str]]:
    """Return mentions, pairs of user id and name, as the wire shows them; no id: everyone."""
    return [
        {"type": "everyone"}
        if user_id is None
        else {"type": "user", "userId": user_id, "username": name or user_id}
        for user_id, name in mentions
    ]
