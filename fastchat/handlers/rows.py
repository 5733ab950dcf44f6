"""Stored messages as the wire shows them. Hot path."""

from collections.abc import Mapping, Sequence

import orjson

from fastchat.protocol.events import encode_message
from fastchat.store.cipher import Cipher, Undecryptable
from fastchat.store.messages import MessageRow
from fastchat.store.rooms import AnyRoom
from fastchat.store.users import Users

# Shown for a row that no known key opens.
UNREADABLE = "[This message cannot be decrypted]"


class RowEncoder:
    """Opens and encodes rows of a conversation."""

    def __init__(self, cipher: Cipher, users: Users) -> None:
        """Take what opens the text and who knows the names of senders."""
        self._cipher = cipher
        self._users = users

    async def encode(self, room: AnyRoom, rows: Sequence[MessageRow]) -> list[bytes]:
        """Encode messages of one conversation, in their order.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        reactions = [orjson.loads(row.reactions) if row.reactions else () for row in rows]
        user_ids = {row.sender_id for row in rows}
        user_ids.update(user_id for pairs in reactions for user_id, _ in pairs)
        mentions = [read_mentions(row.mentions) for row in rows]
        user_ids.update(user_id for ids in mentions for user_id in ids if user_id is not None)
        names = {}
        for user_id in user_ids:
            user = await self._users.find(user_id)
            # One whom nobody knows any more is called by his id.
            names[user_id] = user_id if user is None else user.username
        return [
            self._encode_row(room, row, pairs, ids, names)
            for row, pairs, ids in zip(rows, reactions, mentions, strict=True)
        ]

    def _encode_row(
        self,
        room: AnyRoom,
        row: MessageRow,
        reactions: Sequence[tuple[str, str]],
        mentions: Sequence[str | None],
        names: Mapping[str, str],
    ) -> bytes:
        return encode_message(
            message_id=row.message_id(room.room_id),
            conversation_id=room.conversation_id,
            sender_id=row.sender_id,
            recipient_id=None if room.is_group else room.other(row.sender_id),
            username=names[row.sender_id],
            content="" if row.is_deleted else self._open(row, room.conversation_id),
            created_at=row.created_at,
            seq=row.seq,
            rev=row.rev,
            is_read=row.is_read,
            reply_to=row.reply_to,
            client_message_id=row.client_message_id,
            edited_at=row.edited_at,
            reactions=[
                {"userId": user_id, "username": names[user_id], "reaction": reaction}
                for user_id, reaction in reactions
            ],
            is_deleted=row.is_deleted,
            is_pinned=row.is_pinned,
            is_announcement=row.is_announcement,
            mentions=describe_mentions(mentions, names),
        )

    def _open(self, row: MessageRow, conversation_id: str) -> str:
        try:
            return self._cipher.open(row, conversation_id)
        except Undecryptable:
            return UNREADABLE


def read_mentions(mentions: str | None) -> list[str | None]:
    """Return the ids of mentioned members as they are stored; None: everyone."""
    found: list[str | None] = orjson.loads(mentions) if mentions else []
    return found


def describe_mentions(
    user_ids: Sequence[str | None], names: Mapping[str, str]
) -> list[dict[str, str]]:
    """Return mentions as the wire shows them; None among the ids: everyone."""
    return [
        {"type": "everyone"}
        if user_id is None
        else {"type": "user", "userId": user_id, "username": names[user_id]}
        for user_id in user_ids
    ]
