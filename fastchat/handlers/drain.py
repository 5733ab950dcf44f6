"""The delivery of one user's queued events, in rounds, while there is reason for another one.

A round claims the user, sends what waits for him to one of his connections, and marks what its
socket took. Live events of the same kinds are held meanwhile, so that the order is kept.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from fastchat.errors import ServiceUnavailable
from fastchat.hub.sessions import Hub
from fastchat.interfaces import Connection
from fastchat.protocol.events import with_event_id
from fastchat.store.event_queue import EventQueue
from fastchat.store.event_store import MOST_AT_ONCE, Claim, EventStore

CLAIM_TIME = 5.0  # seconds, besides the pauses between events
RETRY = 1.0  # seconds until the database, or a user whom another worker has claimed, is tried again
MOST_BACKLOG = 64 * 1024  # bytes on their way to the client, then the next event waits
LONGEST_LOOK = 0.1  # seconds between two looks at what the socket took

log = logging.getLogger(__name__)


class Change(NamedTuple):
    """An event that nobody may miss, and the room that it is about."""

    room_id: int
    payload: bytes


class Unacknowledged:
    """Events that were sent and have yet to be acknowledged: by user, with the connection."""

    def __init__(self) -> None:
        """Begin with none."""
        self._events: dict[str, dict[int, Connection]] = {}

    def event_ids(self, user_id: str) -> list[int]:
        """Return those of a user."""
        return list(self._events.get(user_id, ()))

    def add(self, user_id: str, event_id: int, connection: Connection) -> None:
        """Note that an event was sent."""
        self._events.setdefault(user_id, {})[event_id] = connection

    def remove(self, user_id: str, event_ids: "set[int]") -> None:
        """Note that events were acknowledged."""
        events = self._events.get(user_id)
        if events is not None:
            for event_id in event_ids:
                events.pop(event_id, None)
            if not events:
                del self._events[user_id]

    def leave(self, user_id: str, connection: Connection) -> bool:
        """Forget what was sent to a connection that is gone; tell whether there was anything."""
        events = self._events.get(user_id, {})
        lost = {event_id for event_id, to in events.items() if to is connection}
        self.remove(user_id, lost)
        return bool(lost)


class Drain:
    """One user's delivery.

    Attributes:
        held: Live events that wait for its end, each with the connection that knows already.
        is_stopping: Nothing more is sent.
    """

    def __init__(
        self,
        user_id: str,
        hub: Hub,
        queue: EventQueue,
        store: EventStore,
        unacknowledged: Unacknowledged,
        *,
        delay: float,
    ) -> None:
        """Take the neighbours, and seconds between two events."""
        self._user_id = user_id
        self._hub = hub
        self._queue = queue
        self._store = store
        self._unacknowledged = unacknowledged
        self._delay = delay
        self._is_wanted = True
        self._preferred: Connection | None = None
        self._done: Callable[[int], None] | None = None
        self.held: list[tuple[Change, Connection | None]] = []
        self.is_stopping = False

    def want(
        self, connection: Connection | None = None, done: Callable[[int], None] | None = None
    ) -> None:
        """Ask for a round, best to this connection; ``done`` gets the number of events, once."""
        self._is_wanted = True
        self._preferred = connection or self._preferred
        self._done = done or self._done

    async def run(self) -> None:
        """Do rounds while one is wanted and the user is here."""
        try:
            while self._is_wanted and (connection := self._choose()) is not None:
                self._is_wanted = False
                try:
                    claim = await self._claim()
                    if claim is not None:
                        count = await self._deliver(connection, claim)
                        self._tell(count)
                        continue
                except ServiceUnavailable:
                    pass
                self._tell(0)
                self._is_wanted = True
                await asyncio.sleep(RETRY)
        except Exception:
            log.exception("queued events could not be delivered")
        finally:
            self._tell(0)

    def _choose(self) -> Connection | None:
        """Return an open connection of the user."""
        if self.is_stopping:
            return None
        connections = self._hub.open_connections(self._user_id)
        if self._preferred in connections:
            return self._preferred
        return connections[0] if connections else None

    async def _claim(self) -> Claim | None:
        stored = self._queue.pending(self._user_id)
        if stored is not None:
            await asyncio.wait((stored,))
        return await self._store.claim(
            self._user_id,
            CLAIM_TIME + MOST_AT_ONCE * self._delay,
            without=self._unacknowledged.event_ids(self._user_id),
        )

    async def _deliver(self, connection: Connection, claim: Claim) -> int:
        """Send the events, and mark those that arrived; return how many were sent."""
        session = connection.session
        acks = session is not None and session.acks
        ends: dict[int, int] = {}  # of the frames, as positions in what the connection sends
        try:
            await self._send(connection, claim.event_ids, acks, ends)
        except ServiceUnavailable:
            self._is_wanted = True
        if acks:
            await self._mark((), claim.turn)
            return len(ends)
        end = max(ends.values(), default=0)
        await _until(lambda: connection.taken >= end or connection.session is None)
        arrived = [event_id for event_id, end in ends.items() if end <= connection.taken]
        # The rest may be sent to another device.
        self._is_wanted |= len(arrived) < len(ends)
        await self._mark(arrived, claim.turn)
        return len(ends)

    async def _send(
        self,
        connection: Connection,
        event_ids: Sequence[int],
        acks: bool,
        ends: dict[int, int],
    ) -> None:
        """Send events while the connection is open; note where the frame of each one ends."""
        while event_ids:
            payloads = await self._store.read(event_ids)
            event_ids = event_ids[len(payloads) :]
            for event_id, payload in payloads.items():
                if payload is None:
                    continue
                if ends and self._delay:
                    await asyncio.sleep(self._delay)
                if connection.backlog > MOST_BACKLOG:
                    await _until(
                        lambda: connection.backlog <= MOST_BACKLOG or not self._may_send(connection)
                    )
                if not self._may_send(connection):
                    self._is_wanted = True
                    return
                if acks:
                    payload = with_event_id(payload, event_id)
                    self._unacknowledged.add(self._user_id, event_id, connection)
                connection.send(payload)
                ends[event_id] = connection.queued

    def _may_send(self, connection: Connection) -> bool:
        return connection.is_open and not self.is_stopping

    async def _mark(self, event_ids: Collection[int], turn: int) -> None:
        """Mark what arrived, however long that takes: nobody may get it again."""
        while True:
            try:
                await self._store.mark(self._user_id, event_ids, turn)
            except ServiceUnavailable:
                if not event_ids:
                    return  # the claim ends by itself
                self._tell(len(event_ids))
                await asyncio.sleep(RETRY)
            else:
                return

    def _tell(self, count: int) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(count)


async def _until(is_so: Callable[[], bool]) -> None:
    """Look again and again whether something is so, at first at once."""
    pause = 0.0
    while not is_so():
        await asyncio.sleep(pause)
        pause = min(LONGEST_LOOK, 2 * pause or 0.002)
