"""What ``send_private_message`` means. Hot path."""

import logging

from fastchat.errors import ResourceNotFound, ValidationError
from fastchat.handlers.delivery import Delivery
from fastchat.handlers.sending import Neighbours, Send, Sending
from fastchat.interfaces import Session
from fastchat.protocol.commands import SendPrivateMessage
from fastchat.protocol.events import (
    encode_message,
    encode_message_sent,
    encode_new_private_message,
)
from fastchat.store.batch import NewMessage, Stored
from fastchat.store.cache import LruCache
from fastchat.store.messages import MessageRef, MessageRow, make_message_id, parse_reference
from fastchat.store.relations import FOLLOW_AGE, Relations
from fastchat.store.rooms import Room, Rooms, conversation_id_of

PAIRS_KEPT = 50_000

log = logging.getLogger(__name__)

Pair = tuple[str, str]  # who sends, to whom
DirectSend = Send[SendPrivateMessage, Room]


class Messages(Sending[SendPrivateMessage, Room]):
    """Stores messages of one user to another and tells both sides."""

    def __init__(
        self,
        neighbours: Neighbours,
        rooms: Rooms,
        relations: Relations | None,
        delivery: Delivery,
    ) -> None:
        """Take the neighbours; without ``relations`` nobody is warned about missing follows."""
        super().__init__(neighbours)
        self._rooms = rooms
        self._relations = relations
        self._delivery = delivery
        self._looked_at: LruCache[Pair, bool] = LruCache(PAIRS_KEPT, FOLLOW_AGE)

    def send(self, session: Session, command: SendPrivateMessage, now: float) -> None:
        """Store one message; ``message_sent`` follows once it is durable."""
        recipient_id = command.recipient_id
        if recipient_id == session.user_id:
            raise ValidationError("You cannot send messages to yourself.", field="recipientId")
        pair = (session.user_id, recipient_id)
        room = self._rooms.peek(*pair)
        conversation_id = room.conversation_id if room else conversation_id_of(*pair)
        if command.conversation_id not in (None, conversation_id):
            raise ValidationError(
                "The field 'conversationId' is not the conversation with this recipient.",
                field="conversationId",
            )
        reply = command.reply_to_message_id
        ref = None if reply is None else parse_reference(reply)
        send = Send(self, session, command, command.content, command.request_id, now)
        if room is None or self._is_queued(pair) or (reply is not None and ref is None):
            self._wait(pair, send)
        else:
            self._store(room, ref, send)
        if self._relations is not None and self._looked_at.get(pair, now) is None:
            self._looked_at.put(pair, True, now)
            self._start(self._warn_of_strangers(pair, self._relations))

    async def _look_up(self, send: DirectSend) -> None:
        command = send.command
        room = await self._rooms.open_conversation(send.session.user_id, command.recipient_id)
        reply = await self._find_reply(command.reply_to_message_id)
        # One that was given up meanwhile is not stored.
        if not send.is_answered:
            self._store(room, reply, send)

    def _store(self, room: Room, reply: MessageRef | None, send: DirectSend) -> None:
        command = send.command
        if reply is not None and reply.room_id != room.room_id:
            raise ResourceNotFound
        sealed = self._seal(send, room, command.client_message_id)
        self._append(
            send,
            room,
            NewMessage(
                room.room_id,
                room.conversation_id,
                room.user1_id,
                room.user2_id,
                send.session.user_id,
                command.recipient_id,
                sealed.content,
                sealed.encrypted_content,
                sealed.encryption_iv,
                sealed.encryption_scheme,
                command.client_message_id,
                command.reply_to_message_id,
                None if reply is None else reply.seq,
            ),
        )

    async def _warn_of_strangers(self, pair: Pair, relations: Relations) -> None:
        if await relations.follows_between(*pair) is False:
            log.warning("neither user follows the other", extra={"users": pair})

    def _publish(self, send: DirectSend, stored: Stored) -> None:
        room, session, command = send.room, send.session, send.command
        assert room is not None
        message_id = make_message_id(room.room_id, stored.seq)
        message = encode_message(
            message_id=message_id,
            conversation_id=room.conversation_id,
            sender_id=session.user_id,
            recipient_id=command.recipient_id,
            username=session.user.username,
            content=command.content,
            created_at=stored.created_at,
            seq=stored.seq,
            rev=stored.rev,
            reply_to=command.reply_to_message_id,
            client_message_id=command.client_message_id,
        )
        acknowledgement = encode_message_sent(message, message_id, command.client_message_id)
        told = self._tell_backend(send, message_id, message)
        skip = self._acknowledge(send, stored, acknowledgement, told)
        event = encode_new_private_message(message, message_id, room.conversation_id)
        delivered = self._delivery.publish_message(room, event, skip, stored.rev)
        if delivered:
            self._answers.send_to_delivery.observe(self._clock() - send.started)

    def _receivers(self, room: Room, group_rev: int) -> tuple[str, str]:
        return room.user1_id, room.user2_id

    async def _fetch_receivers(self, room: Room) -> tuple[str, str]:
        return self._receivers(room, 0)

    def _encode_repeat(self, send: DirectSend, message: bytes, row: MessageRow) -> bytes:
        assert send.room is not None
        return encode_message_sent(
            message,
            row.message_id(send.room.room_id),
            send.command.client_message_id,
            is_duplicate=True,
        )
