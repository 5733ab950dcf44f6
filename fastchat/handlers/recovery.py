"""Looks in the database for what other workers could not tell this one.

Asked for whenever something was lost on the way between workers, and again and again while they
cannot be heard. One look at a time; what is asked meanwhile goes into the next one.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from fastchat.errors import ServiceUnavailable
from fastchat.handlers.offline import OfflineEvents
from fastchat.handlers.ordering import RoomOrder
from fastchat.handlers.recent import RecentPages
from fastchat.handlers.room_events import RoomEvents
from fastchat.hub.sessions import Hub
from fastchat.store.missed import Missed

MARGIN = 2.0  # seconds; storing takes 1.5, and the moment of a loss is known only about
INTERVAL = 1.5  # seconds between the starts of two looks
PAUSE = 0.3  # seconds until a database that did not answer is asked again
LONGEST = 3600.0  # seconds; who was cut off for longer has to ask for himself

log = logging.getLogger(__name__)


class Recovery:
    """Tells the users who are here of what was missed.

    Attributes:
        runs: Looks that were taken.
        failures: Looks that the database did not answer; they were taken again.
    """

    def __init__(
        self,
        missed: Missed,
        hub: Hub,
        order: RoomOrder,
        events: RoomEvents,
        recent: RecentPages,
        *,
        interval: float = INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the neighbours, and seconds between two looks."""
        self._missed = missed
        self._hub = hub
        self._order = order
        self._events = events
        self._recent = recent
        self._interval = interval
        self._clock = clock
        self._wanted = asyncio.Event()
        self._since: float | None = None  # look at everybody, from this moment on
        self._changes_since: float | None = None
        self._task: asyncio.Task[None] | None = None
        self.offline: OfflineEvents | None = None
        self.runs = 0
        self.failures = 0

    def start(self) -> None:
        """Be ready to look."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def request(self, age: float, *, with_changes: bool = False) -> None:
        """Look for all users here at what was stored in the last ``age`` seconds.

        Args:
            age: Seconds.
            with_changes: Also for edited and deleted messages: who made them may have died before
                it could tell, or store it for those who are not here.
        """
        self._recent.clear()
        since = self._clock() - min(age + MARGIN, LONGEST)
        self._since = since if self._since is None else min(self._since, since)
        if with_changes:
            known = self._changes_since
            self._changes_since = since if known is None else min(known, since)
        self._wanted.set()

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            started = self._clock()
            try:
                await self._look()
            except Exception:
                log.exception("what was missed could not be looked for")
            await asyncio.sleep(max(0.0, started + self._interval - self._clock()))

    async def _look(self) -> None:
        since, self._since = self._since, None
        changes_since, self._changes_since = self._changes_since, None
        try:
            self.runs += 1
            if since is not None:
                here = sorted(self._hub.user_ids())
                await self._catch_up(here, self._clock() - since)
                if self.offline is not None:
                    self.offline.wake(await self._missed.waiting(here))
            if changes_since is not None:
                await self._tell_changes(self._clock() - changes_since)
        except ServiceUnavailable:
            self.failures += 1
            if since is not None:
                self._since = since if self._since is None else min(since, self._since)
            if changes_since is not None:
                known = self._changes_since
                self._changes_since = changes_since if known is None else min(changes_since, known)
            self._wanted.set()
            await asyncio.sleep(PAUSE)

    async def _catch_up(self, user_ids: list[str], age: float) -> None:
        if user_ids:
            for room_id, rev in (await self._missed.moved(user_ids, age)).items():
                self._order.catch_up(room_id, rev, age)

    async def _tell_changes(self, age: float) -> None:
        for change in await self._missed.changed(age):
            last = self._order.last(change.room_id)
            if last is None or last < change.row.rev:
                await self._events.tell_change(change)
