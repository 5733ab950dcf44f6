"""Messages that are to be stored: bounded, in order, each once.

Each has a ``clientMessageId``, by which the server knows it again, so it may be sent as often as it
takes. One message of a room is in flight; the next follows when it is stored, so that a message
that the server puts off is not overtaken.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from fastchat.client.errors import ClientError, OutboxFull
from fastchat.protocol.command import Command
from fastchat.protocol.event import Reply

MOST_WAITING = 1000  # as in the JavaScript client


@dataclass(slots=True, eq=False)
class Send:
    """A message until it is stored or refused."""

    command: Command
    client_message_id: str
    room: str
    kind: type[Reply]  # of the answer
    stored: asyncio.Future[Reply]
    is_in_flight: bool = False
    size: int = 0  # bytes, as it was sent


@dataclass(slots=True)
class Outbox:
    """What waits, the oldest first, room by room."""

    most: int = MOST_WAITING
    _waiting: dict[str, Send] = field(default_factory=dict)  # by clientMessageId
    _rooms: dict[str, deque[Send]] = field(default_factory=dict)
    _is_empty: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Begin empty."""
        self._is_empty.set()

    def __len__(self) -> int:
        return len(self._waiting)

    async def drained(self) -> None:
        """Wait until nothing waits."""
        await self._is_empty.wait()

    def add(self, command: Command, client_message_id: str, room: str, kind: type[Reply]) -> Send:
        """Append a message.

        Raises:
            OutboxFull: so many wait already.
            ValueError: one with this id waits.
        """
        if len(self._waiting) >= self.most:
            raise OutboxFull(f"{self.most} messages wait to be sent already")
        if client_message_id in self._waiting:
            raise ValueError(f"a message with the id {client_message_id!r} waits already")
        stored: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        send = Send(command, client_message_id, room, kind, stored)
        send.stored.add_done_callback(_retrieve)
        self._waiting[client_message_id] = send
        self._rooms.setdefault(room, deque()).append(send)
        self._is_empty.clear()
        return send

    def find(self, client_message_id: object) -> Send | None:
        """Return the message with an id, if it waits."""
        return self._waiting.get(client_message_id) if isinstance(client_message_id, str) else None

    def due(self) -> list[Send]:
        """Return what is to be sent now; it counts as in flight then."""
        found = []
        for queue in list(self._rooms.values()):
            while queue and queue[0].stored.cancelled() and not queue[0].is_in_flight:
                self.take(queue[0])
            if queue and not queue[0].is_in_flight:
                queue[0].is_in_flight = True
                found.append(queue[0])
        return found

    def take(self, send: Send) -> None:
        """Remove a message; its future is the caller's to settle."""
        if self._waiting.pop(send.client_message_id, None) is None:
            return
        queue = self._rooms[send.room]
        queue.remove(send)
        if not queue:
            del self._rooms[send.room]
        if not self._waiting:
            self._is_empty.set()

    def land(self) -> None:
        """Take everything in flight back: the connection is gone."""
        for send in self._waiting.values():
            send.is_in_flight = False

    def largest_in_flight(self) -> Send | None:
        """Return the message for which a server may have closed because of its size."""
        flying = [send for send in self._waiting.values() if send.is_in_flight]
        return max(flying, key=lambda send: send.size, default=None)

    def fail_all(self, error: ClientError) -> None:
        """Refuse everything that waits."""
        for send in list(self._waiting.values()):
            self.take(send)
            if not send.stored.done():
                send.stored.set_exception(error)


def _retrieve(stored: asyncio.Future[Reply]) -> None:
    """A message whose fate nobody asks for is no mistake."""
    if not stored.cancelled():
        stored.exception()
