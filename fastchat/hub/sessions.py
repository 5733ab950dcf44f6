"""Who is here on this worker, and what reaches them. Hot path."""

from collections.abc import Iterator

from fastchat._speedups.routing import RoutingTable
from fastchat.hub.presence import Presence
from fastchat.interfaces import Connection, Session, User


class Hub:
    """The sessions of this worker.

    Attributes:
        publish: ``RoutingTable.publish``; one event to all connections of some users.
        publish_all: ``RoutingTable.publish_all``.
        publish_marked: ``RoutingTable.publish_marked``; returns who has no open connection.
    """

    def __init__(self, routes: RoutingTable, presence: Presence) -> None:
        """Take the routing table and who counts as online."""
        self._routes = routes
        self._presence = presence
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
        self._routes.add(session.user_id, session.connection)
        self._presence.arrive(session.user)

    def leave(self, session: Session, now: float) -> bool:
        """Undo ``join``; tell whether it was the last session of its user."""
        if self._routes.remove(session.user_id, session.connection):
            return False
        self._presence.leave(session.user_id, now)
        return True

    def is_here(self, user_id: str) -> bool:
        """Whether the user has a connection here."""
        return user_id in self._routes

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

    def user_ids(self) -> frozenset[str]:
        """The users with a connection here."""
        return frozenset(self._routes.users())

    def sweep(self, now: float) -> None:
        """Take users offline whose grace period is over."""
        self._presence.sweep(now)
