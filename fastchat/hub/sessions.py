"""Who is here on this worker, and what reaches them. Hot path."""

from collections.abc import Iterator
from typing import Protocol

from fastchat._speedups.routing import RoutingTable
from fastchat.hub.audience import Audience
from fastchat.hub.directory import Directory
from fastchat.hub.presence import Presence
from fastchat.interfaces import Connection, Session, User


class Watcher(Protocol):
    """Who is told of the first and the last session of a user here."""

    def arrive(self, user: User) -> None:
        """A user has his first session."""

    def depart(self, user_id: str) -> None:
        """A user has none any more."""

    async def until_known(self, user_id: str) -> None:
        """Wait until all that happens to a user who is here is sent here."""


class Hub:
    """The sessions of this worker, and who is connected to another one.

    Attributes:
        publish: ``RoutingTable.publish``; one event to all connections of some users.
        publish_all: ``RoutingTable.publish_all``.
        publish_marked: ``RoutingTable.publish_marked``; returns who has no open connection.
        watcher: Who tells the other workers; None: there are none.
    """

    def __init__(
        self,
        routes: RoutingTable,
        presence: Presence,
        elsewhere: Directory | None = None,
        audience: Audience | None = None,
    ) -> None:
        """Take the routing table, who counts as online, and who is connected to other workers.

        The audience is kept up for who tells of presence; None: nobody does.
        """
        self._routes = routes
        self._audience = audience
        self._presence = presence
        self._elsewhere = Directory() if elsewhere is None else elsewhere
        self.watcher: Watcher | None = None
        self.publish = routes.publish
        self.publish_all = routes.publish_all
        self.publish_marked = routes.publish_marked

    @property
    def users_online(self) -> int:
        """Users who count as online."""
        return self._presence.users_online

    @property
    def peak_users(self) -> int:
        """The most users who counted as online at once."""
        return self._presence.peak_users

    def join(self, session: Session) -> None:
        """Let events of its user reach a new session; he is online from now on."""
        is_first = self._routes.add(session.user_id, session.connection) == 1
        if self._audience is not None:
            self._audience.add(session)
        self._presence.arrive(session.user)
        if is_first and self.watcher is not None:
            self.watcher.arrive(session.user)

    async def until_known(self, user_id: str) -> None:
        """Wait until all workers know that a user is here.

        What is stored afterwards is sent here; what was stored before, he can read.
        """
        if self.watcher is not None:
            await self.watcher.until_known(user_id)

    def leave(self, session: Session, now: float) -> bool:
        """Undo ``join``; tell whether it was the last session of its user here."""
        if self._audience is not None:
            self._audience.remove(session)
        if self._routes.remove(session.user_id, session.connection):
            return False
        if self.watcher is not None:
            self.watcher.depart(session.user_id)
        if session.user_id not in self._elsewhere:
            self._presence.leave(session.user_id, now)
        return True

    def arrive_elsewhere(self, worker: str, user: User) -> None:
        """Take note that a user is connected to another worker."""
        if self._elsewhere.add(worker, user.user_id) and user.user_id not in self._routes:
            self._presence.arrive(user)

    def leave_elsewhere(self, worker: str, user_id: str, now: float) -> None:
        """Take note that a user is not connected to another worker any more."""
        if self._elsewhere.remove(worker, user_id) and user_id not in self._routes:
            self._presence.leave(user_id, now)

    def users_elsewhere(self, worker: str) -> frozenset[str]:
        """Return who is connected to another worker."""
        return self._elsewhere.users_of(worker)

    def is_here(self, user_id: str) -> bool:
        """Whether the user has a connection here."""
        return user_id in self._routes

    def is_elsewhere(self, user_id: str) -> bool:
        """Whether the user is connected to another worker."""
        return user_id in self._elsewhere

    def is_connected(self, user_id: str) -> bool:
        """Whether the user has a connection here or elsewhere."""
        return user_id in self._routes or user_id in self._elsewhere

    def open_connections(self, user_id: str) -> list[Connection]:
        """Return the connections of a user that something can still be sent to."""
        found: list[Connection] = self._routes.connections(user_id)
        return [connection for connection in found if connection.is_open]

    def refresh(self, user: User) -> None:
        """Let the sessions of a user have a new profile."""
        for connection in self.open_connections(user.user_id):
            if connection.session is not None:
                connection.session.user = user
        self._presence.refresh(user)

    def is_online(self, user_id: str) -> bool:
        """Whether the user counts as online."""
        return self._presence.is_online(user_id)

    def online_users(self) -> Iterator[User]:
        """Every user who counts as online."""
        return self._presence.users()

    def local_users(self) -> Iterator[User]:
        """Every user with a connection here."""
        for user_id in self._routes.users():
            yield self._routes.connections(user_id)[0].session.user

    def user_ids(self) -> frozenset[str]:
        """The users with a connection here."""
        return frozenset(self._routes.users())

    def sweep(self, now: float) -> None:
        """Take users offline whose grace period is over."""
        self._presence.sweep(now)
