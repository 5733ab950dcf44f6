"""The batched writer: hands each message to the lane of its room. Hot path.

Source: docs/decisions/0001-write-statement.md; cost: benchmarks/test_batch_insert.py.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, TypeVar

from fastchat._speedups import LatencyHistogram
from fastchat.errors import ServiceUnavailable
from fastchat.store.batch import Entry, NewMessage, Outcome, UserColumns
from fastchat.store.lane import Lane
from fastchat.store.work_queue import Perform, WorkQueue

if TYPE_CHECKING:
    from asyncpg import Connection

T = TypeVar("T")
R = TypeVar("R")

# Plans are made once, for any size of table: on an empty one a sequential scan looks cheap, and so
# does sorting what a wrong index finds (see ``statements``).
LANE_SETTINGS = {
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "enable_nestloop": "on",
    "enable_seqscan": "off",
    "enable_sort": "off",
    "synchronous_commit": "on",
    "statement_timeout": "1400",
    "lock_timeout": "1200",
}


BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)  # upper bounds of the histogram


class MessageWriter:
    """Stores messages in batches, in order per room, each acknowledged after its COMMIT."""

    def __init__(
        self,
        connect: Callable[[], Awaitable["Connection"]],
        columns: UserColumns,
        *,
        lanes: int = 1,
        max_batch: int = 256,
        max_pending: int = 20_000,
        deadline: float = 4.5,
        block_check_fail_open: bool = True,
    ) -> None:
        """Make the lanes; nothing is opened before ``start``.

        Args:
            connect: Opens one connection with ``LANE_SETTINGS``; called once per lane, and again
                when the connection broke.
            columns: What the main backend's tables look like.
            lanes: Connections that commit at the same time.
            max_batch: Messages per statement, at most 256: the answer must fit into a page.
            max_pending: Messages that may wait, an equal share of them in each lane.
            deadline: Seconds after which a sender is told ``UNAVAILABLE``.
            block_check_fail_open: Let messages pass when only the blocks cannot be read.

        Raises:
            ValueError: ``max_batch`` above 256 or anything below 1.
        """
        if not 1 <= max_batch <= 256 or lanes < 1:
            raise ValueError(f"max_batch={max_batch}, lanes={lanes}: expected 1 to 256, at least 1")
        self._max_pending = max(1, max_pending // lanes)  # of one lane
        self.batch_sizes = LatencyHistogram(BATCH_SIZES)
        self._deadline = deadline
        self._is_stopped = False
        self._loop = asyncio.get_running_loop()
        self.lanes = [
            Lane(
                connect,
                columns,
                max_batch=max_batch,
                batch_sizes=self.batch_sizes,
                block_check_fail_open=block_check_fail_open,
            )
            for _ in range(lanes)
        ]

    @property
    def depth(self) -> int:
        """Messages that wait for their batch or their commit, over all lanes."""
        return sum(lane.depth for lane in self.lanes)

    @property
    def batches(self) -> int:
        """Statements that were answered."""
        return sum(lane.batches for lane in self.lanes)

    @property
    def messages(self) -> int:
        """Messages stored."""
        return sum(lane.messages for lane in self.lanes)

    @property
    def duplicates(self) -> int:
        """Messages that were there already."""
        return sum(lane.duplicates for lane in self.lanes)

    @property
    def refused(self) -> int:
        """Messages that were not stored."""
        return sum(lane.refused for lane in self.lanes)

    @property
    def retries(self) -> int:
        """Statements that had to be run again."""
        return sum(lane.retries for lane in self.lanes)

    @property
    def unknown_outcomes(self) -> int:
        """Statements whose answer was lost."""
        return sum(lane.unknown_outcomes for lane in self.lanes)

    @property
    def block_check_fail_opens(self) -> int:
        """Times that blocks could not be read and messages passed."""
        return sum(lane.block_check_fail_opens for lane in self.lanes)

    @property
    def commit_seconds(self) -> float:
        """Time spent in storing."""
        return sum(lane.commit_seconds for lane in self.lanes)

    def add_work(
        self,
        perform: Perform[T, R],
        *,
        key: Callable[[T], Hashable] | None = None,
        max_batch: int,
        max_waiting: int = 10_000,
    ) -> list[WorkQueue[T, R]]:
        """Make a queue per lane for another kind of work; that of a room is ``room_id % lanes``.

        Args:
            perform: Runs items as one fenced statement.
            key: Two items with one key never go into the same statement.
            max_batch: Items in one statement.
            max_waiting: Items that may wait in one lane.
        """
        return [
            WorkQueue(
                lane,
                perform,
                key=key,
                max_batch=max_batch,
                max_waiting=max_waiting,
                deadline=self._deadline,
            )
            for lane in self.lanes
        ]

    def start(self, after_batch: Callable[[], object] | None = None) -> None:
        """Begin to store.

        Args:
            after_batch: Called when all messages of a batch have their answers, before the next
                batch is made: so that answers leave before others are read and worked on.
        """
        for lane in self.lanes:
            lane.start(after_batch)

    async def stop(self, timeout: float) -> None:
        """Store what was accepted, for at most ``timeout`` seconds; the rest is ``UNAVAILABLE``."""
        self._is_stopped = True
        await asyncio.gather(*(lane.stop(timeout) for lane in self.lanes))

    def append(self, message: NewMessage, done: Callable[[Outcome], None]) -> None:
        """Hand a message to the lane of its room.

        ``done`` is called once, and a second time, with ``Stored.is_late``, for a message that was
        stored although its sender had been told ``UNAVAILABLE``.

        Raises:
            ServiceUnavailable: too many messages wait, or the writer was stopped; this one was not
                accepted.
        """
        lane = self.lanes[message.room_id % len(self.lanes)]
        if self._is_stopped or lane.depth >= self._max_pending:
            raise ServiceUnavailable
        lane.append(Entry(message, done, self._loop.time() + self._deadline))
