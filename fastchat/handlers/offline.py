"""Events that nobody may miss: sent to those who are here, stored for those who are not. Hot path.

What was stored is delivered when its user logs in (``drain``). Live events of the same kinds wait
behind that.

Source: docs/protocol.md, "Offline events".
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from fastchat.errors import ServiceUnavailable
from fastchat.handlers.asked import Asked
from fastchat.handlers.drain import Change, Drain, Unacknowledged
from fastchat.hub.sessions import Hub
from fastchat.interfaces import Connection, Session
from fastchat.protocol.commands import AckEvents
from fastchat.protocol.events import encode_events_acked
from fastchat.store.event_memory import EventMemory
from fastchat.store.event_queue import EventQueue
from fastchat.store.event_store import EventStore

MOST_HELD = 1000  # live events that wait behind one user's drain


class OfflineEvents:
    """Knows for each event who has yet to get it."""

    def __init__(
        self,
        hub: Hub,
        queue: EventQueue,
        store: EventStore,
        memory: EventMemory,
        *,
        delay: float,
        wake_elsewhere: Callable[[Iterable[str]], None] | None = None,
    ) -> None:
        """Take who is here, what stores and reads events, and seconds between two of them.

        Args:
            hub: Who is here.
            queue: Stores events.
            store: Reads and marks them.
            memory: Has the newest ones.
            delay: Seconds between two events for the same user.
            wake_elsewhere: Tells other workers that events wait for users there.
        """
        self._hub = hub
        self._queue = queue
        self._store = store
        self._memory = memory
        self._delay = delay
        self._wake_elsewhere = wake_elsewhere
        self._unacknowledged = Unacknowledged()
        self._drains: dict[str, Drain] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    @property
    def draining(self) -> int:
        """Users whose events are being delivered."""
        return len(self._drains)

    def publish(
        self,
        user_ids: Iterable[str],
        change: Change,
        skip: Connection | None = None,
        asked: Asked | None = None,
    ) -> "asyncio.Future[None] | None":
        """Send one event to users, and store it for those without an open connection.

        Args:
            user_ids: Whom it concerns.
            change: The event.
            skip: A connection that knows already.
            asked: What becomes of it on other workers, where it concerns somebody there.

        Returns:
            What is done when the event is stored; None: everybody was here.

        Raises:
            ServiceUnavailable: it cannot be stored; it was sent to those who are here.
        """
        missed = self.take(user_ids, change, skip)
        if asked is None:
            return self._put(change, missed) if missed else None
        nowhere = [user_id for user_id in missed if user_id not in asked.user_ids]
        perhaps = [user_id for user_id in missed if user_id in asked.user_ids]
        stored = self._put(change, nowhere) if nowhere else None
        if not perhaps:
            return stored
        task = self._track(self._store_missed(change, perhaps, asked, stored))
        task.add_done_callback(_take_note)
        return task

    def take(
        self, user_ids: Iterable[str], change: Change, skip: Connection | None = None
    ) -> list[str]:
        """Send one event to users; return those who have no open connection here."""
        if self._drains:
            user_ids = [user_id for user_id in user_ids if not self._hold(user_id, change, skip)]
        missed: list[str] = self._hub.publish_marked(user_ids, change.payload, change, skip)
        return missed

    def wake(self, user_ids: Iterable[str]) -> None:
        """Deliver what waits in the database for users who are here."""
        for user_id in user_ids:
            if self._hub.is_here(user_id):
                self._request(user_id)

    def may_wait(self, user_id: str) -> bool:
        """Whether this worker stores or has just stored an event for a user."""
        return bool(self._queue.pending(user_id) or self._memory.event_ids(user_id))

    def begin(self, session: Session, has_events: bool, done: Callable[[int], None]) -> bool:
        """Deliver to a new session what waits for its user; tell whether there may be anything.

        Args:
            session: It has joined the hub.
            has_events: Whether the database knew of any.
            done: Called with the number of events once they are delivered.
        """
        user_id = session.user_id
        drain = self._drains.get(user_id)
        if drain is not None:
            # Another device gets them; what is left is for this one.
            if has_events:
                drain.want(session.connection)
            return False
        # What was stored since the database was asked is still in memory.
        if not (has_events or self.may_wait(user_id)):
            return False
        drain = self._start(user_id)
        if drain is not None:
            drain.want(session.connection, done)
        return drain is not None

    def leave(self, session: Session, unsent: Sequence[Change]) -> None:
        """Take care of what the connection of a session that ended did not deliver."""
        user_id = session.user_id
        is_reached = self._hub.open_connections(user_id) or self._hub.is_elsewhere(user_id)
        if unsent and not is_reached:
            for change in unsent:
                self._store_for(user_id, change)
        if self._unacknowledged.leave(user_id, session.connection):
            self._request(user_id)

    async def acknowledge(self, session: Session, command: AckEvents, now: float) -> bytes:
        """Mark events as delivered that a client got; return the answer."""
        event_ids = command.numbers()
        marked = await self._store.mark(session.user_id, event_ids) if event_ids else ()
        self._unacknowledged.remove(session.user_id, event_ids)
        return encode_events_acked(len(marked))

    def end(self) -> None:
        """Send no more queued events; what was sent is still marked."""
        self._is_stopping = True
        for drain in self._drains.values():
            drain.is_stopping = True

    async def stop(self, timeout: float) -> None:
        """Wait until what was sent is marked, and store what was held."""
        self.end()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _hold(self, user_id: str, change: Change, skip: Connection | None) -> bool:
        """Keep an event for later if its user has to get others first."""
        drain = self._drains.get(user_id)
        if drain is None:
            return False
        drain.held.append((change, skip))
        if len(drain.held) > MOST_HELD:
            # The next round delivers them.
            for held, _ in drain.held:
                self._store_for(user_id, held)
            drain.held.clear()
        return True

    def _store_for(self, user_id: str, change: Change) -> None:
        with suppress(ServiceUnavailable):  # counted and logged by the queue
            self._put(change, (user_id,))

    def _put(self, change: Change, user_ids: Sequence[str]) -> "asyncio.Future[None]":
        future = self._queue.put(change.room_id, change.payload, user_ids)
        future.add_done_callback(partial(self._stored, user_ids))
        return future

    def _stored(self, user_ids: Sequence[str], future: "asyncio.Future[None]") -> None:
        """Deliver to those who came meanwhile: when they logged in nothing was known of it."""
        if not future.cancelled() and future.exception() is None:
            self.wake(user_ids)
            if self._wake_elsewhere is not None:
                self._wake_elsewhere(user_ids)

    async def _store_missed(
        self,
        change: Change,
        user_ids: list[str],
        asked: Asked,
        stored: "asyncio.Future[None] | None",
    ) -> None:
        """Store an event for those whom no other worker has reached."""
        unreached = await asyncio.shield(asked.missed)
        missed = [user_id for user_id in user_ids if user_id in unreached]
        if missed:
            await self._put(change, missed)
        if stored is not None:
            await stored

    def _track(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _request(self, user_id: str) -> None:
        """Deliver to a user what is queued, if he is here."""
        drain = self._drains.get(user_id)
        if drain is not None:
            drain.want()
        elif self._hub.open_connections(user_id):
            self._start(user_id)

    def _start(self, user_id: str) -> Drain | None:
        if self._is_stopping:
            return None
        drain = self._drains[user_id] = Drain(
            user_id, self._hub, self._queue, self._store, self._unacknowledged, delay=self._delay
        )
        self._track(self._run(user_id, drain))
        return drain

    async def _run(self, user_id: str, drain: Drain) -> None:
        try:
            await drain.run()
        finally:
            del self._drains[user_id]
            for change, skip in drain.held:
                with suppress(ServiceUnavailable):
                    self.publish((user_id,), change, skip)


def _take_note(task: "asyncio.Task[None]") -> None:
    """Let nobody wonder about an error that nobody waited for; the queue has counted it."""
    if not task.cancelled():
        task.exception()
