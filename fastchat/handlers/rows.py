"""Stored messages as the wire shows them. Hot path."""

from collections.abc import Sequence

from fastchat.protocol.events import encode_message
from fastchat.store.cipher import Cipher, Undecryptable
from fastchat.store.messages import MessageRow
from fastchat.store.rooms import Room
from fastchat.store.users import Users

# Shown for a row that no known key opens.
UNREADABLE = "[This message cannot be decrypted]"


class RowEncoder:
    """Opens and encodes rows of a conversation."""

    def __init__(self, cipher: Cipher, users: Users) -> None:
        """Take what opens the text and who knows the names of senders."""
        self._cipher = cipher
        self._users = users

    async def encode(self, room: Room, rows: Sequence[MessageRow]) -> list[bytes]:
        """Encode messages of one conversation, in their order.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        names = {}
        for user_id in {row.sender_id for row in rows}:
            user = await self._users.find(user_id)
            # One whom nobody knows any more is called by his id.
            names[user_id] = user_id if user is None else user.username
        return [self.encode_row(room, row, names[row.sender_id]) for row in rows]

    def encode_row(self, room: Room, row: MessageRow, username: str) -> bytes:
        """Encode one message of a sender with this name."""
        return encode_message(
            message_id=row.message_id(room.room_id),
            conversation_id=room.conversation_id,
            sender_id=row.sender_id,
            recipient_id=room.other(row.sender_id),
            username=username,
            content="" if row.is_deleted else self._open(row, room.conversation_id),
            created_at=row.created_at,
            seq=row.seq,
            rev=row.rev,
            is_read=row.is_read,
            reply_to=row.reply_to,
            client_message_id=row.client_message_id,
            edited_at=row.edited_at,
            is_deleted=row.is_deleted,
        )

    def _open(self, row: MessageRow, conversation_id: str) -> str:
        try:
            return self._cipher.open(row, conversation_id)
        except Undecryptable:
            return UNREADABLE
