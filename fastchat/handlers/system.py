"""What ``ping``, ``test`` and ``get_online_users`` mean, and who is told who is online."""

import asyncio
import time
from collections.abc import Callable
from itertools import islice

from fastchat._speedups.routing import RoutingTable
from fastchat.errors import ServiceUnavailable
from fastchat.hub.sessions import Hub
from fastchat.interfaces import Connection, Session, User
from fastchat.protocol.commands import GetOnlineUsers, Ping, Test
from fastchat.protocol.events import (
    encode_online_users,
    encode_pong,
    encode_test_response,
    encode_user_offline,
    encode_user_online,
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


class Announcer:
    """Tells others that a user came online or went offline."""

    def __init__(
        self,
        routes: RoutingTable,
        contacts: Contacts,
        scope: str,
        tell_backend: Callable[[User, bool], None] = lambda user, is_online: None,
        *,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Take who is here, who knows whom, ``PRESENCE_SCOPE``, and what tells the main backend."""
        self._routes = routes
        self._contacts = contacts
        self._scope = scope
        self._tell_backend = tell_backend
        self._wall_clock = wall_clock
        self._latest: dict[str, bool] = {}  # what contacts are about to hear
        self._tasks: set[asyncio.Task[None]] = set()

    def announce(self, user: User, is_online: bool) -> None:
        """Tell of one change."""
        self._tell_backend(user, is_online)
        if self._scope == "none":
            return
        encode = encode_user_online if is_online else encode_user_offline
        payload = encode(user, self._wall_clock())
        if self._scope == "contacts":
            self._latest[user.user_id] = is_online
            task = asyncio.get_running_loop().create_task(
                self._tell_contacts(user.user_id, is_online, payload)
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            # Not the user himself; he has one connection when he comes and none when he goes.
            own = self._routes.connections(user.user_id)
            self._routes.publish_all(payload, own[0] if own else None, ephemeral=True)

    async def stop(self) -> None:
        """End what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _tell_contacts(self, user_id: str, is_online: bool, payload: bytes) -> None:
        try:
            contacts = await self._contacts.contacts_of(user_id)
        except ServiceUnavailable:
            return
        # A change that another one has overtaken meanwhile is no news.
        if self._latest.get(user_id) is is_online:
            del self._latest[user_id]
            self._routes.publish(contacts, payload, ephemeral=True)
