"""What ``ping``, ``test`` and ``get_online_users`` mean."""

import time
from collections.abc import Callable
from itertools import islice

from fastchat.hub.sessions import Hub
from fastchat.interfaces import Connection, Session
from fastchat.protocol.commands import GetOnlineUsers, Ping, Test
from fastchat.protocol.events import (
    encode_online_users,
    encode_pong,
    encode_test_response,
)
from fastchat.store.contacts import Contacts


class System:
    """Answers questions about the server itself."""

    def __init__(
        self, contacts: Contacts, hub: Hub, *, wall_clock: Callable[[], float] = time.time
    ) -> None:
        """Take who knows blocks, and who is here."""
        self._contacts = contacts
        self._hub = hub
        self._wall_clock = wall_clock

    def ping(self, connection: Connection, command: Ping, now: float) -> bytes:
        """Give a sign of life."""
        return encode_pong(self._wall_clock())

    def test(self, connection: Connection, command: Test, now: float) -> bytes:
        """Tell that commands are answered."""
        return encode_test_response(self._wall_clock())

    async def online_users(self, session: Session, command: GetOnlineUsers, now: float) -> bytes:
        """List who is online, without oneself and those with a block in between."""
        hidden = {session.user_id, *await self._contacts.blocked_with(session.user_id)}
        visible = (user for user in self._hub.online_users() if user.user_id not in hidden)
        return encode_online_users(islice(visible, command.limit))
