"""What ``typing`` means: told at once, never stored, switched off after some silence."""

import asyncio
from collections.abc import Coroutine
from typing import Any, NamedTuple

from fastchat.errors import ServiceUnavailable
from fastchat.handlers.delivery import Delivery
from fastchat.hub.sessions import Hub
from fastchat.hub.typing import SILENCE, TypingStates
from fastchat.interfaces import Session, User
from fastchat.protocol.commands import Typing
from fastchat.protocol.events import encode_user_typing
from fastchat.store.memberships import Memberships
from fastchat.store.relations import Relations
from fastchat.store.rooms import Group, Rooms, conversation_id_of


class Writing(NamedTuple):
    """Who writes where: to another user, or to a group."""

    user_id: str
    other_id: str | None
    group: Group | None = None


class TypingEvents:
    """Tells users who is writing to them."""

    def __init__(
        self,
        relations: Relations,
        rooms: Rooms,
        memberships: Memberships,
        hub: Hub,
        delivery: Delivery,
        *,
        silence: float = SILENCE,
    ) -> None:
        """Take who knows blocks and groups, who is here, and seconds until states switch off."""
        self._relations = relations
        self._rooms = rooms
        self._memberships = memberships
        self._hub = hub
        self._delivery = delivery
        self._loop = asyncio.get_running_loop()
        self._states = TypingStates[Writing](self._switch_off, silence)
        self._users: dict[Writing, User] = {}
        self._timer: asyncio.TimerHandle | None = None

    def type(
        self, session: Session, command: Typing, now: float
    ) -> Coroutine[Any, Any, None] | None:
        """Tell the other user or the group; silently nobody who may not know or is not here."""
        if command.group_id is not None:
            return self._tell_group(session, command.group_id, command.is_typing)
        other_id = command.recipient_id
        if other_id is None or other_id == session.user_id or not self._hub.is_connected(other_id):
            return None
        return self._tell(session, Writing(session.user_id, other_id), command.is_typing)

    def leave(self, user_id: str) -> None:
        """Switch off everything of a user who is gone."""
        for key in [key for key in self._users if key.user_id == user_id]:
            self._states.forget(key)
            self._switch_off(key)

    def stop(self) -> None:
        """Forget everything."""
        if self._timer is not None:
            self._timer.cancel()

    async def _tell(self, session: Session, key: Writing, is_typing: bool) -> None:
        try:
            if await self._relations.blocks_between(key.user_id, key.other_id or ""):
                return
        except ServiceUnavailable:
            return  # it would be old news when the database is back
        self._note(session, key, is_typing)

    async def _tell_group(self, session: Session, group_id: str, is_typing: bool) -> None:
        try:
            group = await self._rooms.find_by_conversation_id(group_id)
            if not isinstance(group, Group):
                return
            if await self._memberships.find(group.room_id, session.user_id) is None:
                return
            if self._memberships.peek(group.room_id) is None:
                await self._memberships.fetch_list(group.room_id)
        except ServiceUnavailable:
            return
        self._note(session, Writing(session.user_id, None, group), is_typing)

    def _note(self, session: Session, key: Writing, is_typing: bool) -> None:
        if not session.connection.is_open:
            return
        if is_typing:
            self._users[key] = session.user
            self._states.switch_on(key, self._loop.time())
            self._arm()
        elif self._states.forget(key):
            del self._users[key]
        self._publish(key, session.user, is_typing)

    def _switch_off(self, key: Writing) -> None:
        self._publish(key, self._users.pop(key), False)

    def _publish(self, key: Writing, user: User, is_typing: bool) -> None:
        if key.group is None:
            other_id = key.other_id or ""
            payload = encode_user_typing(user, is_typing, conversation_id_of(key.user_id, other_id))
            self._delivery.publish_ephemeral((other_id,), payload)
            return
        # A list that is being read again is not there; nobody misses this.
        members = self._memberships.peek(key.group.room_id) or ()
        payload = encode_user_typing(user, is_typing, key.group.conversation_id, is_group=True)
        others = [user_id for user_id in members if user_id != key.user_id]
        self._delivery.publish_ephemeral(others, payload)

    def _arm(self) -> None:
        deadline = self._states.next_deadline
        if self._timer is None and deadline is not None:
            self._timer = self._loop.call_at(deadline, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        self._states.sweep(self._loop.time())
        self._arm()
