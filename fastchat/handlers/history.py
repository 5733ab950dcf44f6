"""What starting, listing, reading and deleting conversations means."""

from collections.abc import Sequence
from typing import Any

from fastchat.errors import ResourceNotFound, ServiceUnavailable, UserBlocked, ValidationError
from fastchat.handlers.delivery import Delivery
from fastchat.handlers.finding import Finder
from fastchat.handlers.recent import MOST_KEPT, RecentPage, RecentPages
from fastchat.handlers.rows import RowEncoder
from fastchat.hub.sessions import Hub
from fastchat.interfaces import Session
from fastchat.protocol.commands import (
    DeleteConversation,
    GetConversations,
    GetPrivateMessages,
    StartConversation,
)
from fastchat.protocol.conversation_events import (
    describe_listed_group,
    describe_participant,
    encode_conversation,
    encode_conversation_deleted,
    encode_conversations,
)
from fastchat.protocol.events import encode_conversation_started, encode_messages_page
from fastchat.protocol.group_commands import GetGroupMessages
from fastchat.store.conversation_list import ConversationEntry, ConversationList
from fastchat.store.history import History
from fastchat.store.relations import Relations
from fastchat.store.rooms import AnyRoom, Rooms, conversation_id_of
from fastchat.store.users import Users

NEWEST = 50  # messages that come with a conversation


class Conversations:
    """Shows users their conversations."""

    def __init__(
        self,
        rooms: Rooms,
        history: History,
        users: Users,
        relations: Relations,
        conversation_list: ConversationList,
        finder: Finder,
        encoder: RowEncoder,
        recent: RecentPages,
        delivery: Delivery,
        hub: Hub,
    ) -> None:
        """Take the neighbours."""
        self._rooms = rooms
        self._list = conversation_list
        self._finder = finder
        self._history = history
        self._users = users
        self._relations = relations
        self._encoder = encoder
        self._recent = recent
        self._delivery = delivery
        self._hub = hub

    async def start(self, session: Session, command: StartConversation, now: float) -> bytes:
        """Open the conversation with another user, online or not, and show its end."""
        other_id = command.recipient_id
        if other_id == session.user_id:
            raise ValidationError(
                "You cannot start a conversation with yourself.", field="recipientId"
            )
        other = await self._users.find(other_id)
        if other is None:
            raise ResourceNotFound("There is no such user.")
        if await self._relations.blocks_between(session.user_id, other_id):
            raise UserBlocked
        room = await self._rooms.open_conversation(session.user_id, other_id)
        page = await self._newest(room, session.user_id, NEWEST, now)
        return encode_conversation_started(
            room.conversation_id, other, self._hub.is_online(other_id), page.messages
        )

    async def page(self, session: Session, command: GetPrivateMessages, now: float) -> bytes:
        """Show one page of a conversation."""
        room = await self._find(session, command)
        if room is None:
            # Nobody has written yet, but somebody might.
            return encode_messages_page(
                conversation_id_of(session.user_id, command.recipient_id or ""),
                [],
                limit=command.limit,
                offset=command.offset,
                has_more=False,
            )
        return await self._page(room, session, command, now)

    async def group_page(self, session: Session, command: GetGroupMessages, now: float) -> bytes:
        """Show one page of a group."""
        room, _ = await self._finder.find_group(session, command.group_id)
        return await self._page(room, session, command, now)

    async def _page(
        self,
        room: AnyRoom,
        session: Session,
        command: GetPrivateMessages | GetGroupMessages,
        now: float,
    ) -> bytes:
        is_newest = not command.offset and command.before is None and command.after is None
        if is_newest and command.limit <= MOST_KEPT:
            page = await self._newest(room, session.user_id, command.limit, now)
        else:
            found = await self._history.page(
                room.room_id,
                session.user_id,
                command.limit,
                command.offset,
                command.before,
                command.after,
            )
            page = RecentPage(self._encoder.encode(room, found.messages), found.has_more)
        return encode_messages_page(
            room.conversation_id,
            page.messages,
            limit=command.limit,
            offset=command.offset,
            has_more=page.has_more,
            is_forward=command.after is not None,
            is_group=isinstance(command, GetGroupMessages),
        )

    async def _newest(self, room: AnyRoom, user_id: str, limit: int, now: float) -> RecentPage:
        """Return the newest messages of a room, from memory where nothing has happened since."""
        page = self._recent.get(room.room_id, user_id, limit, now)
        if page is None:
            ticket = self._recent.begin(room.room_id)
            try:
                found = await self._history.last(room.room_id, user_id, limit)
                page = RecentPage(self._encoder.encode(room, found.messages), found.has_more)
            finally:
                self._recent.put(ticket, room.room_id, user_id, page, now)
        return page

    async def list(self, session: Session, command: GetConversations, now: float) -> bytes:
        """List the user's conversations, the newest first."""
        before = None
        if command.before is not None:
            before = (await self._finder.find_room(session, command.before)).room_id
        page = await self._list.page(session.user_id, command.limit, before)
        partners = await describe_partners(page.entries, session.user_id, self._users)
        entries = []
        for entry, partner in zip(page.entries, partners, strict=True):
            (last_message,) = self._encoder.encode(entry.room, [entry.last_message])
            entries.append(
                encode_conversation(
                    entry.room.conversation_id,
                    partner,
                    last_message,
                    entry.unread_count,
                    entry.seq,
                    entry.rev,
                )
            )
        return encode_conversations(entries, limit=command.limit, has_more=page.has_more)

    async def delete(self, session: Session, command: DeleteConversation, now: float) -> bytes:
        """Hide what the conversation holds now from the user; a new message brings it back."""
        room = await self._finder.find_room(session, command.conversation_id)
        try:
            await self._list.hide(room, session.user_id)
        except ServiceUnavailable:
            self._delivery.touch(room)  # it may be done all the same
            raise
        payload = encode_conversation_deleted(room.conversation_id)
        self._delivery.publish_own(room, session, payload)
        return payload

    async def _find(self, session: Session, command: GetPrivateMessages) -> AnyRoom | None:
        """Return the conversation that is asked for, None when it has not begun."""
        conversation_id = command.conversation_id
        other_id = command.recipient_id
        if other_id is not None:
            expected = conversation_id_of(session.user_id, other_id)
            if conversation_id not in (None, expected):
                raise ValidationError(
                    "The field 'conversationId' is not the conversation with this recipient.",
                    field="conversationId",
                )
            conversation_id = expected
        room = await self._rooms.find_by_conversation_id(conversation_id or "")
        if room is not None and (room.is_group or room.has_member(session.user_id)):
            return await self._finder.find_room(session, room.conversation_id)
        is_user = other_id not in (None, session.user_id) and await self._users.find(other_id or "")
        if room is None and is_user:
            return None
        raise ResourceNotFound


async def describe_partners(
    entries: Sequence[ConversationEntry], user_id: str, users: Users
) -> list[dict[str, Any]]:
    """Return who the other one is, or which group it is, for each conversation of a list.

    Raises:
        ServiceUnavailable: the database did not answer.
    """
    rooms = [entry.room for entry in entries]
    known = await users.find_many(room.other(user_id) for room in rooms if not room.is_group)
    partners = []
    for entry in entries:
        if entry.room.is_group:
            assert entry.group is not None
            partners.append(describe_listed_group(entry.room.conversation_id, *entry.group))
        else:
            other_id = entry.room.other(user_id)
            partners.append(describe_participant(other_id, known.get(other_id)))
    return partners
