"""Events that nobody may miss: sent to those who are here, stored for those who are not. Hot path.

Source: docs/protocol.md, "Offline events".
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from fastchat.errors import ServiceUnavailable
from fastchat.hub.sessions import Hub
from fastchat.interfaces import Connection
from fastchat.store.event_queue import EventQueue


class Change(NamedTuple):
    """An event and the room that it is about."""

    room_id: int
    payload: bytes


class OfflineEvents:
    """Knows for each event who has yet to get it."""

    def __init__(self, hub: Hub, queue: EventQueue) -> None:
        """Take who is here, and what stores events."""
        self._hub = hub
        self._queue = queue

    def publish(
        self, user_ids: Iterable[str], change: Change, skip: Connection | None = None
    ) -> "asyncio.Future[None] | None":
        """Send one event to users, and store it for those without an open connection.

        Args:
            user_ids: Whom it concerns.
            change: The event.
            skip: A connection that knows already.

        Returns:
            What is done when the event is stored; None: everybody was here.

        Raises:
            ServiceUnavailable: it cannot be stored; it was sent to those who are here.
        """
        missed = self._hub.publish_marked(user_ids, change.payload, change, skip)
        return self._queue.put(change.room_id, change.payload, missed) if missed else None

    def requeue(self, user_id: str, changes: Sequence[Change]) -> None:
        """Store what a connection that ended had not handed over, if the user has no other."""
        if changes and not self._hub.open_connections(user_id):
            for change in changes:
                with suppress(ServiceUnavailable):  # counted and logged by the queue
                    self._queue.put(change.room_id, change.payload, (user_id,))
