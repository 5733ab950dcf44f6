"""What lanes do besides storing new messages: items gather, and go together in one statement.

Edits, deletions and read marks each have a queue per lane. A lane runs a part of each queue between
two batches of messages, and so does one thing at a time: what changes a room is answered in the
order of ``rev``, whatever kind it is of.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import asyncpg

from fastchat.errors import ServiceUnavailable, ValidationError
from fastchat.store.fence import CONFLICTS, POISONED, Fence

if TYPE_CHECKING:
    from fastchat.store.lane import Lane

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

# Runs many items as one statement: their results in the same order, a result that is an exception
# being raised where the item came from; None: nothing was done, go again.
Perform = Callable[[Fence, Sequence[T]], Awaitable[Sequence[R | Exception] | None]]


class Work(Protocol):
    """A kind of work of a lane."""

    @property
    def depth(self) -> int:
        """How much waits for its turn."""

    async def run(self, fence: Fence) -> None:
        """Do a part of what waits, with one statement, and answer it."""

    def abandon(self) -> None:
        """Answer everything as not known to be done."""


class _Job(Generic[T, R]):
    """An item, who waits for it, and until when (monotonic seconds) it may wait for its turn."""

    __slots__ = ("deadline", "future", "item")

    def __init__(self, item: T, future: "asyncio.Future[R]", deadline: float) -> None:
        self.item = item
        self.future = future
        self.deadline = deadline

    def refuse(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class WorkQueue(Generic[T, R]):
    """One kind of work in one lane.

    Attributes:
        runs: Statements that were answered.
        retries: Statements that did nothing and had to be run again.
    """

    def __init__(
        self,
        lane: "Lane",
        perform: "Perform[T, R]",
        *,
        key: Callable[[T], Hashable] | None,
        max_batch: int,
        max_waiting: int,
        deadline: float,
    ) -> None:
        """Take the lane, what runs the items, and the bounds; see ``MessageWriter.add_work``."""
        self._lane = lane
        self._perform = perform
        self._key = key
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Job[T, R]] = deque()
        self._running: list[_Job[T, R]] = []
        self._timer: asyncio.TimerHandle | None = None
        self.runs = 0
        self.retries = 0
        lane.add_work(self)

    @property
    def depth(self) -> int:
        """Items that wait for their turn."""
        return len(self._waiting)

    async def do(self, item: T) -> R:
        """Queue an item and return its result.

        An item that is under way has no deadline: it may be done, so it is not answered before that
        is known.

        Raises:
            ServiceUnavailable: the item was not done: its turn did not come in time, too many wait,
                or the writer was stopped.
            Exception: what was the result.
        """
        if self._lane.is_stopping or len(self._waiting) >= self._max_waiting:
            raise ServiceUnavailable
        deadline = self._loop.time() + self._deadline
        job: _Job[T, R] = _Job(item, self._loop.create_future(), deadline)
        self._waiting.append(job)
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._expire)
        self._lane.wake()
        return await job.future

    async def run(self, fence: Fence) -> None:
        """Run one statement and answer its items, one after the other, in the order of arrival."""
        await fence.ready()  # while the database is away items wait in the queue, and may leave it
        self._running = self._take()
        if self._running:
            again = await self._run_jobs(fence, self._running)
            self._running = []
            if again:
                self._waiting.extendleft(reversed(again))
                self._expire()

    def abandon(self) -> None:
        """Answer everything as not known to be done."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for job in (*self._running, *self._waiting):
            job.refuse(ServiceUnavailable())
        self._running = []
        self._waiting.clear()

    def _take(self) -> list[_Job[T, R]]:
        jobs: list[_Job[T, R]] = []
        keys: set[Hashable] = set()
        while self._waiting and len(jobs) < self._max_batch:
            job = self._waiting[0]
            if not job.future.done():
                if self._key is not None:
                    key = self._key(job.item)
                    if key in keys:
                        break  # it must see what the earlier one did
                    keys.add(key)
                jobs.append(job)
            self._waiting.popleft()
        return jobs

    async def _run_jobs(self, fence: Fence, jobs: list[_Job[T, R]]) -> list[_Job[T, R]]:
        """Run and answer jobs; return those that must go again."""
        try:
            results = await self._perform(fence, [job.item for job in jobs])
        except CONFLICTS:
            results = None
        except POISONED:
            if len(jobs) == 1:
                jobs[0].refuse(ValidationError("The database refused a value."))
                return []
            middle = len(jobs) // 2
            first = await self._run_jobs(fence, jobs[:middle])
            return first + await self._run_jobs(fence, jobs[middle:])
        except asyncpg.PostgresError as error:
            log.error("changes were refused by the database: %s", type(error).__name__)
            for job in jobs:
                job.refuse(ServiceUnavailable())
            return []
        if results is None:
            self.retries += 1
            return jobs
        self.runs += 1
        # One after the other and without a wait, so that their tasks go on in this very order,
        # before the answer of the lane's next statement.
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, Exception):
                job.refuse(result)
            elif not job.future.done():
                job.future.set_result(result)
        return []

    def _expire(self) -> None:
        """Take out what has waited too long; it has not been sent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._loop.time()
        while self._waiting and self._waiting[0].deadline <= now:
            self._waiting.popleft().refuse(ServiceUnavailable())
        if self._waiting:
            self._timer = self._loop.call_at(self._waiting[0].deadline, self._expire)
