"""Who is told of presence, and in which of two ways. Hot path."""

from fastchat._speedups.routing import RoutingTable
from fastchat.interfaces import Session


class Audience:
    """The connections of this worker, each in one of two tables.

    Two tables cost a connection one entry more, and nothing the fan-out of messages.

    Attributes:
        singly: Those who get an event for each user.
        in_batches: Those who asked for ``presence_changes``.
    """

    def __init__(self) -> None:
        """Nobody is here."""
        self.singly = RoutingTable()
        self.in_batches = RoutingTable()

    def add(self, session: Session) -> None:
        """Tell a session from now on, as it asked for."""
        self._table_of(session).add(session.user_id, session.connection)

    def remove(self, session: Session) -> None:
        """Undo ``add``."""
        self._table_of(session).remove(session.user_id, session.connection)

    def _table_of(self, session: Session) -> RoutingTable:
        return self.in_batches if session.presence_batches else self.singly
