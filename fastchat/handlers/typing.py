"""What ``typing`` means: told at once, never stored, switched off after some silence."""

import asyncio
from collections.abc import Coroutine
from typing import Any, NamedTuple

from fastchat.errors import ServiceUnavailable
from fastchat.hub.sessions import Hub
from fastchat.hub.typing import SILENCE, TypingStates
from fastchat.interfaces import Session, User
from fastchat.protocol.commands import Typing
from fastchat.protocol.events import encode_user_typing
from fastchat.store.relations import Relations
from fastchat.store.rooms import conversation_id_of


class Writing(NamedTuple):
    """Who writes to whom."""

    user_id: str
    other_id: str


class TypingEvents:
    """Tells users who is writing to them."""

    def __init__(self, relations: Relations, hub: Hub, *, silence: float = SILENCE) -> None:
        """Take who knows blocks, who is here, and seconds after which a state is switched off."""
        self._relations = relations
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self._states = TypingStates[Writing](self._switch_off, silence)
        self._users: dict[Writing, User] = {}
        self._timer: asyncio.TimerHandle | None = None

    def type(
        self, session: Session, command: Typing, now: float
    ) -> Coroutine[Any, Any, None] | None:
        """Tell the other user; silently nobody, where one blocks the other or is not here."""
        other_id = command.recipient_id
        if other_id is None or other_id == session.user_id or not self._hub.is_here(other_id):
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
            if await self._relations.blocks_between(*key):
                return
        except ServiceUnavailable:
            return  # it would be old news when the database is back
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
        payload = encode_user_typing(user, is_typing, conversation_id_of(*key))
        self._hub.publish((key.other_id,), payload, ephemeral=True)

    def _arm(self) -> None:
        deadline = self._states.next_deadline
        if self._timer is None and deadline is not None:
            self._timer = self._loop.call_at(deadline, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        self._states.sweep(self._loop.time())
        self._arm()
