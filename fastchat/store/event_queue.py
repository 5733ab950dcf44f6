"""Stores events for users who are not there; a kind of work of a lane.

What is accepted is stored, however long the database is away: the change that an event tells of is
committed. Many events go in one statement, in the order of arrival, each exactly once.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import asyncpg

from fastchat.errors import ServiceUnavailable
from fastchat.store.cipher import Cipher, EncryptionFailed, Sealed
from fastchat.store.event_memory import EventMemory
from fastchat.store.event_statements import STORE
from fastchat.store.fence import CONFLICTS, POISONED, Fence

if TYPE_CHECKING:
    from fastchat.store.lane import Lane

MAX_BATCH = 256  # events in one statement; its answer must fit a page
MAX_ROWS = 5000  # users of all events of a statement
MAX_BATCH_SIZE = 2_000_000  # bytes of all of them
MAX_WAITING = 10_000  # events
MAX_WAITING_ROWS = 1_000_000  # users of all of them
PAUSE = 0.5  # seconds after the database refused a statement

log = logging.getLogger(__name__)


def context_of(room_id: int | None) -> str:
    """Return what an event is bound to when it is encrypted, in place of a conversation's id.

    Events of the previous server name no room.
    """
    return f"events of {room_id}"


class _Job:
    """An event that is to be stored for some users, and who waits for that."""

    __slots__ = ("future", "payload", "room_id", "sealed", "user_ids")

    def __init__(
        self,
        room_id: int,
        payload: bytes,
        sealed: Sealed,
        user_ids: Sequence[str],
        future: "asyncio.Future[None]",
    ) -> None:
        self.room_id = room_id
        self.payload = payload
        self.sealed = sealed
        self.user_ids = user_ids
        self.future = future


class EventQueue:
    """Events that wait to be stored.

    Attributes:
        queued: Events that were stored, counted for each user.
        dropped: Events that could not be stored, counted so, too.
    """

    def __init__(
        self,
        cipher: Cipher,
        memory: EventMemory,
        *,
        max_waiting: int = MAX_WAITING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take what encrypts, where a copy is kept, and how many events may wait."""
        self._cipher = cipher
        self._memory = memory
        self._max_waiting = max_waiting
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._lane: Lane | None = None
        self._is_stopped = False
        self._waiting: deque[_Job] = deque()
        self._running: list[_Job] = []
        self._rows = 0  # of those that wait and run
        self._last: dict[str, asyncio.Future[None]] = {}  # of those, by user
        self._max_batch = MAX_BATCH
        self._paused_until = 0.0
        self.queued = 0
        self.dropped = 0

    @property
    def depth(self) -> int:
        """Events that the lane should store now."""
        return 0 if self._loop.time() < self._paused_until else len(self._waiting)

    @property
    def waiting(self) -> int:
        """Events that are not stored yet."""
        return len(self._waiting) + len(self._running)

    def use(self, lane: "Lane") -> None:
        """Take the lane that stores from now on."""
        self._lane = lane
        lane.add_work(self)
        lane.wake()

    def put(self, room_id: int, payload: bytes, user_ids: Sequence[str]) -> "asyncio.Future[None]":
        """Store one event for users; the result is there when it is durable.

        Raises:
            ServiceUnavailable: it cannot be encrypted, or too many wait; it is not stored.
        """
        if (
            len(self._waiting) >= self._max_waiting
            or self._rows + len(user_ids) > MAX_WAITING_ROWS
            or self._is_stopped
        ):
            self._drop(len(user_ids), "too many wait")
            raise ServiceUnavailable
        try:
            sealed = self._cipher.seal(payload.decode(), context_of(room_id), "")
        except EncryptionFailed:
            self._drop(len(user_ids), "encryption failed")
            raise ServiceUnavailable("The event could not be encrypted.") from None
        future: asyncio.Future[None] = self._loop.create_future()
        # What is too large for one statement is stored as several events; the last one tells.
        for start in range(0, len(user_ids), MAX_ROWS):
            part = user_ids[start : start + MAX_ROWS]
            is_last = start + MAX_ROWS >= len(user_ids)
            told = future if is_last else self._loop.create_future()
            self._waiting.append(_Job(room_id, payload, sealed, part, told))
            self._rows += len(part)
            for user_id in part:
                self._last[user_id] = told
        if self._lane is not None:
            self._lane.wake()
        return future

    def pending(self, user_id: str) -> "asyncio.Future[None] | None":
        """Return what is done when everything accepted for a user is stored; None: it is."""
        return self._last.get(user_id)

    async def run(self, fence: Fence) -> None:
        """Store a part of what waits with one statement; what fails stays in front."""
        await fence.ready()
        jobs = self._running = self._take()
        try:
            answer = await fence.run(STORE, _arguments(jobs))
        except CONFLICTS:
            answer = None
        except POISONED as error:
            answer = None
            if len(jobs) > 1:
                self._max_batch = max(1, len(jobs) // 2)  # so the others get through
            else:
                self._running = []
                self._refuse(jobs, type(error).__name__)
                return
        except asyncpg.PostgresError as error:
            log.error("events were refused by the database: %s", type(error).__name__)
            answer = None
            self._paused_until = self._loop.time() + PAUSE
            if self._lane is not None:
                self._loop.call_later(PAUSE, self._lane.wake)
        self._running = []
        if answer is None:
            self._waiting.extendleft(reversed(jobs))
            return
        self._max_batch = MAX_BATCH
        now = self._clock()
        for job, event_id in zip(jobs, answer, strict=True):
            self.queued += len(job.user_ids)
            self._memory.keep(event_id, job.payload, job.user_ids, now)
            self._finish(job)
            if not job.future.done():
                job.future.set_result(None)

    def abandon(self) -> None:
        """Give up what is under way; what was not sent waits, for another lane if this one ends."""
        running, self._running = self._running, []
        self._refuse(running, "the outcome is not known")

    def stop(self) -> None:
        """Give up what is not stored."""
        self._is_stopped = True
        self.abandon()
        waiting = list(self._waiting)
        self._waiting.clear()
        self._refuse(waiting, "the server stops")

    def _take(self) -> list[_Job]:
        jobs: list[_Job] = []
        rows = size = 0
        while self._waiting and len(jobs) < self._max_batch and size < MAX_BATCH_SIZE:
            rows += len(self._waiting[0].user_ids)
            size += len(self._waiting[0].payload)
            if jobs and rows > MAX_ROWS:
                break
            jobs.append(self._waiting.popleft())
        return jobs

    def _finish(self, job: _Job) -> None:
        self._rows -= len(job.user_ids)
        for user_id in job.user_ids:
            if self._last.get(user_id) is job.future:
                del self._last[user_id]

    def _refuse(self, jobs: list[_Job], reason: str) -> None:
        for job in jobs:
            self._finish(job)
            self._drop(len(job.user_ids), reason)
            if not job.future.done():
                job.future.set_exception(ServiceUnavailable())
                job.future.exception()  # nobody has to wait for it

    def _drop(self, users: int, reason: str) -> None:
        self.dropped += users
        log.error("an event for %d users could not be queued: %s", users, reason)


def _arguments(jobs: Sequence[_Job]) -> list[Any]:
    sealed = [job.sealed for job in jobs]
    rows = [(ord, user_id) for ord, job in enumerate(jobs, 1) for user_id in job.user_ids]
    return [
        [job.room_id for job in jobs],
        [each.content for each in sealed],
        [each.encrypted_content for each in sealed],
        [each.encryption_iv for each in sealed],
        [each.encryption_scheme for each in sealed],
        [ord for ord, _ in rows],
        [user_id for _, user_id in rows],
    ]
