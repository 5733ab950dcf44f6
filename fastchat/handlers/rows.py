"""Stored messages as the wire shows them. Hot path."""

from collections.abc import Sequence

import orjson

from fastchat.protocol.events import encode_message
from fastchat.store.cipher import Cipher, Undecryptable
from fastchat.store.messages import MessageRow
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
        return [self._encode_row(room, row) for row in rows]

    def _encode_row(self, room: AnyRoom, row: MessageRow) -> bytes:
        reactions = orjson.loads(row.reactions) if row.reactions else ()
        mentions = orjson.loads(row.mentions) if row.mentions else ()
        return encode_message(
            message_id=row.message_id(room.room_id),
            conversation_id=room.conversation_id,
            sender_id=row.sender_id,
            recipient_id=None if room.is_group else room.other(row.sender_id),
            username=row.username or row.sender_id,
            content="" if row.is_deleted else self.open(row, room.conversation_id),
            created_at=row.created_at,
            seq=row.seq,
            rev=row.rev,
            is_read=row.is_read,
            reply_to=row.reply_to,
            client_message_id=row.client_message_id,
            edited_at=row.edited_at,
            reactions=[
                {"userId": user_id, "username": name or user_id, "reaction": reaction}
                for user_id, name, reaction in reactions
            ],
            is_deleted=row.is_deleted,
            is_pinned=row.is_pinned,
            is_announcement=row.is_announcement,
            mentions=describe_mentions(mentions),
        )

    def open(self, row: MessageRow, conversation_id: str) -> str:
        """Return the text of a row, or what is shown for one that no known key opens."""
        try:
            return self._cipher.open(row, conversation_id)
        except Undecryptable:
            return UNREADABLE


def describe_mentions(mentions: Sequence[tuple[str | None, str | None]]) -> list[dict[str, str]]:
    """Return mentions, pairs of user id and name, as the wire shows them; no id: everyone."""
    return [
        {"type": "everyone"}
        if user_id is None
        else {"type": "user", "userId": user_id, "username": name or user_id}
        for user_id, name in mentions
    ]
