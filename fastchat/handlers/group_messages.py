"""What ``send_group_message`` and ``send_announcement`` mean. Hot path.

Who may send, the statement that stores the message decides. The members in memory only serve to
find whom the text mentions, and to tell everybody.
"""

from fastchat.broker.messages import EventKind
from fastchat.errors import ResourceNotFound
from fastchat.handlers.delivery import Delivery
from fastchat.handlers.mentions import encode_mentions, find_mentions
from fastchat.handlers.rows import describe_mentions
from fastchat.handlers.sending import Neighbours, Send, Sending
from fastchat.interfaces import Session
from fastchat.protocol.events import encode_message
from fastchat.protocol.group_commands import SendAnnouncement, SendGroupMessage
from fastchat.protocol.group_message_events import (
    encode_group_message_sent,
    encode_mentioned_in_group,
    encode_new_group_message,
)
from fastchat.store.batch import NewMessage, Stored
from fastchat.store.memberships import Memberships
from fastchat.store.messages import MessageRef, MessageRow, make_message_id, parse_reference
from fastchat.store.rooms import Group, Rooms
from fastchat.store.users import Users

GroupCommand = SendGroupMessage | SendAnnouncement
GroupSend = Send[GroupCommand, Group]


class GroupMessages(Sending[GroupCommand, Group]):
    """Stores messages to groups and tells the members."""

    def __init__(
        self,
        neighbours: Neighbours,
        rooms: Rooms,
        memberships: Memberships,
        users: Users,
        delivery: Delivery,
    ) -> None:
        """Take the neighbours."""
        super().__init__(neighbours)
        self._rooms = rooms
        self._memberships = memberships
        self._users = users
        self._delivery = delivery

    def send(self, session: Session, command: GroupCommand, now: float) -> None:
        """Store one message; the acknowledgement follows once it is durable."""
        key = (session.user_id, command.group_id)
        room = self._rooms.peek_group(command.group_id)
        reply = _reply_of(command)
        ref = None if reply is None else parse_reference(reply)
        send = Send(self, session, command, command.content, command.request_id, now)
        must_ask = room is None or "@" in command.content or (reply is not None and ref is None)
        if room is None or must_ask or self._is_queued(key):
            self._wait(key, send)
        else:
            self._store(room, ref, send)

    async def _look_up(self, send: GroupSend) -> None:
        command = send.command
        room = await self._rooms.find_by_conversation_id(command.group_id)
        if not isinstance(room, Group):
            raise ResourceNotFound("There is no such group.")
        reply = await self._find_reply(_reply_of(command))
        if "@" in command.content:
            send.mentions = await self._find_mentions(room, send)
        # One that was given up meanwhile is not stored.
        if not send.is_answered:
            self._store(room, reply, send)

    async def _find_mentions(self, room: Group, send: GroupSend) -> list[str | None]:
        members = self._memberships.peek(room.room_id)
        if members is None:
            members = (await self._memberships.fetch_list(room.room_id)).user_ids
        known = await self._users.find_many(members)
        names = {user_id: user.username for user_id, user in known.items()}
        return find_mentions(send.content, names, send.session.user_id)

    def _store(self, room: Group, reply: MessageRef | None, send: GroupSend) -> None:
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
                None,
                None,
                send.session.user_id,
                None,
                sealed.content,
                sealed.encrypted_content,
                sealed.encryption_iv,
                sealed.encryption_scheme,
                command.client_message_id,
                _reply_of(command),
                None if reply is None else reply.seq,
                encode_mentions(send.mentions),
                isinstance(command, SendAnnouncement),
                send.session.is_system,
            ),
        )

    def _publish(self, send: GroupSend, stored: Stored) -> None:
        room, session, command = send.room, send.session, send.command
        assert room is not None
        message_id = make_message_id(room.room_id, stored.seq)
        is_announcement = isinstance(command, SendAnnouncement)
        message = encode_message(
            message_id=message_id,
            conversation_id=room.conversation_id,
            sender_id=session.user_id,
            recipient_id=None,
            username=session.user.username,
            content=command.content,
            created_at=stored.created_at,
            seq=stored.seq,
            rev=stored.rev,
            reply_to=_reply_of(command),
            client_message_id=command.client_message_id,
            is_announcement=is_announcement,
            is_pinned=is_announcement,
            mentions=self._describe(send.mentions),
        )
        acknowledgement = encode_group_message_sent(
            message, message_id, command.client_message_id, is_announcement=is_announcement
        )
        told = self._tell_backend(send, message_id, message, stored.group_rev)
        skip = self._acknowledge(send, stored, acknowledgement, told)
        delivered = self._delivery.publish(
            room,
            encode_new_group_message(message, message_id, room.conversation_id),
            skip,
            rev=stored.rev,
            group_rev=stored.group_rev,
            kind=EventKind.MESSAGE,
        )
        if delivered:
            self._answers.send_to_delivery.observe(self._clock() - send.started)
        if send.mentions:
            mentioned = {user_id for user_id in send.mentions if user_id is not None}
            self._delivery.publish(
                room,
                encode_mentioned_in_group(message, message_id, room.conversation_id, session.user),
                rev=stored.rev,
                group_rev=stored.group_rev,
                kind=EventKind.MENTION,
                only=None if None in send.mentions else mentioned,
                without=session.user_id,
            )

    def _describe(self, mentions: list[str | None]) -> list[dict[str, str]]:
        known = [None if user_id is None else self._users.peek(user_id) for user_id in mentions]
        names = [None if user is None else user.username for user in known]
        return describe_mentions(list(zip(mentions, names, strict=True)))

    def _receivers(self, room: Group, group_rev: int) -> tuple[str, ...] | None:
        return self._memberships.peek(room.room_id, group_rev)

    async def _fetch_receivers(self, room: Group) -> tuple[str, ...]:
        return (await self._memberships.fetch_list(room.room_id)).user_ids

    def _encode_repeat(self, send: GroupSend, message: bytes, row: MessageRow) -> bytes:
        assert send.room is not None
        return encode_group_message_sent(
            message,
            row.message_id(send.room.room_id),
            send.command.client_message_id,
            is_duplicate=True,
            is_announcement=isinstance(send.command, SendAnnouncement),
        )


def _reply_of(command: GroupCommand) -> str | None:
    return command.reply_to_message_id if isinstance(command, SendGroupMessage) else None
