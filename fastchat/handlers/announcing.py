"""Who is told who is online.

Changes are gathered for a moment: somebody who comes and goes within it is not spoken of, and a
crowd that comes at once costs each connection one write and not one for each of them.
"""

import asyncio
import time
from collections.abc import Callable

from fastchat._speedups.routing import RoutingTable
from fastchat.errors import ServiceUnavailable
from fastchat.interfaces import User
from fastchat.protocol.events import encode_user_offline, encode_user_online
from fastchat.store.contacts import Contacts

GATHERING = 0.1  # seconds


class Announcer:
    """Tells those who are here that a user came online or went offline."""

    def __init__(
        self,
        routes: RoutingTable,
        contacts: Contacts,
        scope: str,
        *,
        gathering: float = GATHERING,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Take who is here, who knows whom, ``PRESENCE_SCOPE``, and seconds to gather."""
        self._routes = routes
        self._contacts = contacts
        self._scope = scope
        self._gathering = gathering
        self._wall_clock = wall_clock
        self._loop = asyncio.get_running_loop()
        self._changes: dict[str, tuple[User, bool]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._latest: dict[str, bool] = {}  # what contacts are about to hear
        self._tasks: set[asyncio.Task[None]] = set()

    def announce(self, user: User, is_online: bool) -> None:
        """Tell of one change, soon."""
        if self._scope == "none":
            return
        known = self._changes.pop(user.user_id, None)
        if known is None or known[1] is is_online:
            self._changes[user.user_id] = (user, is_online)
        if self._timer is None:
            self._timer = self._loop.call_later(self._gathering, self._tell)

    async def stop(self) -> None:
        """End what is under way."""
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _tell(self) -> None:
        self._timer = None
        changes, self._changes = self._changes, {}
        now = self._wall_clock()
        for user, is_online in changes.values():
            encode = encode_user_online if is_online else encode_user_offline
            payload = encode(user, now)
            if self._scope == "contacts":
                self._latest[user.user_id] = is_online
                task = self._loop.create_task(self._tell_contacts(user.user_id, is_online, payload))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                self._tell_all(user.user_id, payload)

    def _tell_all(self, user_id: str, payload: bytes) -> None:
        """Tell everybody but the user himself, who mostly has one connection when he comes."""
        own = self._routes.connections(user_id)
        if len(own) > 1:
            others = [other for other in self._routes.users() if other != user_id]
            self._routes.publish(others, payload, ephemeral=True)
        else:
            self._routes.publish_all(payload, own[0] if own else None, ephemeral=True)

    async def _tell_contacts(self, user_id: str, is_online: bool, payload: bytes) -> None:
        try:
            contacts = await self._contacts.contacts_of(user_id)
        except ServiceUnavailable:
            return
        # A change that another one has overtaken meanwhile is no news.
        if self._latest.get(user_id) is is_online:
            del self._latest[user_id]
            self._routes.publish(contacts, payload, ephemeral=True)
