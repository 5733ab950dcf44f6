"""One lane of the writer: one connection, one statement at a time. Hot path.

While a batch is being committed the next one gathers; there is no linger. A lane never forgets a
batch whose outcome it does not know: it closes the batch's fence or finds its answer first, however
long that takes, and stores nothing else meanwhile. Senders are told within their deadline. Between
two batches the lane's other kinds of work have their turn.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import asyncpg

from fastchat._speedups import LatencyHistogram
from fastchat.store import batch_arguments, statements
from fastchat.store import group_send_statement as group_statements
from fastchat.store.batch import (
    Batch,
    Duplicate,
    Entry,
    Outcome,
    Reason,
    Refused,
    Stored,
    UserColumns,
    group,
)
from fastchat.store.fence import BLOCKS_UNREADABLE, CONFLICTS, POISONED, Fence
from fastchat.store.single_statement import single_statement
from fastchat.store.work_queue import Work

if TYPE_CHECKING:
    from asyncpg import Connection

log = logging.getLogger(__name__)

BLOCK_CHECK_PAUSE = 30.0  # before a failed look at blocks is tried again
MAX_RUNS = 20  # of one batch, for conflicts that another try solves
# Messages up to which one statement each costs less than one for all
# (benchmarks/test_batch_insert.py).
FEW = 3
MAX_GROUP_BATCH = 240  # messages; its answer of four values for each room must fit a page
MAX_BATCH_SIZE = 4_000_000  # characters of text in one batch

VERDICTS = {
    statements.BLOCKED: Reason.BLOCKED,
    statements.UNKNOWN_USER: Reason.UNKNOWN_RECIPIENT,
    statements.NO_ROOM: Reason.UNKNOWN_RECIPIENT,
}

GROUP_VERDICTS = {statements.NO_ROOM: Reason.NOT_MEMBER}
RIGHTS = {
    group_statements.NOT_MEMBER: Reason.NOT_MEMBER,
    group_statements.NOT_ALLOWED: Reason.NOT_ALLOWED,
}


class Lane:
    """Stores what is appended, in order, and calls each entry's ``done``."""

    def __init__(
        self,
        connect: Callable[[], Awaitable["Connection"]],
        columns: UserColumns,
        *,
        max_batch: int,
        batch_sizes: LatencyHistogram,
        block_check_fail_open: bool,
    ) -> None:
        """Take what opens a connection of this lane's own; see ``MessageWriter``."""
        self.fence = Fence(connect)
        self._columns = columns
        self._queries = {
            check_blocks: (
                single_statement(columns, check_blocks=check_blocks),
                statements.batch_statement(columns, check_blocks=check_blocks),
            )
            for check_blocks in (True, False)
        }
        self._max_batch = max_batch
        self._batch_sizes = batch_sizes
        self._fail_open = block_check_fail_open
        self._loop = asyncio.get_running_loop()
        # Messages to groups have a statement of their own.
        self._pending: deque[Entry] = deque()
        self._pending_groups: deque[Entry] = deque()
        self._running: Batch | None = None
        self._running_count = 0
        self._wake = asyncio.Event()
        self._works: list[Work] = []
        self._blocks_again_at = 0.0
        self.is_stopping = False
        self._after_batch: Callable[[], object] | None = None
        self._task: asyncio.Task[None] | None = None
        self._reaper: asyncio.TimerHandle | None = None
        self.batches = 0
        self.messages = 0
        self.duplicates = 0
        self.refused = 0
        self.retries = 0
        self.block_check_fail_opens = 0
        self.commit_seconds = 0.0

    @property
    def depth(self) -> int:
        """Messages that wait for their batch or their commit."""
        return len(self._pending) + len(self._pending_groups) + self._running_count

    @property
    def unknown_outcomes(self) -> int:
        """Statements whose answer was lost."""
        return self.fence.unknown_outcomes

    def add_work(self, work: Work) -> None:
        """Give another kind of work its turn between two batches."""
        self._works.append(work)

    def wake(self) -> None:
        """Look for something to do."""
        self._wake.set()

    def start(self, after_batch: Callable[[], object] | None) -> None:
        """Begin to store; see ``MessageWriter.start``."""
        self._after_batch = after_batch
        self._task = asyncio.create_task(self._run())

    async def stop(self, timeout: float) -> None:
        """Store what was accepted, for at most ``timeout`` seconds, and end."""
        self.is_stopping = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=timeout)
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._reaper is not None:
            self._reaper.cancel()
        self.fence.drop()
        for work in self._works:
            work.abandon()
        running = self._running.entries if self._running else ()
        for entry in [*running, *self._pending, *self._pending_groups]:
            self._answer(entry, Refused(Reason.UNAVAILABLE))
        self._pending.clear()
        self._pending_groups.clear()

    def append(self, entry: Entry) -> None:
        """Queue one message."""
        self._queue_of(entry).append(entry)
        self._wake.set()
        if self._reaper is None:
            self._reaper = self._loop.call_at(entry.deadline, self._reap)

    def _queue_of(self, entry: Entry) -> deque[Entry]:
        return self._pending_groups if entry.message.is_group else self._pending

    def _reap(self) -> None:
        """Tell the senders whose deadline has passed."""
        now = self._loop.time()
        self._reaper = None
        for pending in (self._pending, self._pending_groups):
            while pending and pending[0].deadline <= now:
                # Out of the queue first: what is answered so can never be stored.
                self._answer(pending.popleft(), Refused(Reason.UNAVAILABLE))
        running = self._running.entries if self._running else []
        for entry in running:
            if entry.deadline <= now and not entry.is_answered:
                self._answer(entry, Refused(Reason.UNAVAILABLE))
        waiting = [entry.deadline for entry in running if not entry.is_answered]
        waiting += [
            pending[0].deadline for pending in (self._pending, self._pending_groups) if pending
        ]
        if waiting:
            self._reaper = self._loop.call_at(min(waiting), self._reap)

    def _answer(self, entry: Entry, outcome: Outcome) -> None:
        """Call ``done`` once, and once more for a message that was stored all the same."""
        for repeat in entry.repeats or ():
            if isinstance(outcome, Stored):
                self._answer(repeat, Duplicate(outcome.seq))
            else:
                self._answer(repeat, outcome)
        if entry.is_answered:
            if not isinstance(outcome, Stored):
                return
            outcome = outcome._replace(is_late=True)
        if isinstance(outcome, Duplicate):
            self.duplicates += 1
        elif isinstance(outcome, Refused):
            self.refused += 1
        self._complete(entry, outcome)

    @staticmethod
    def _complete(entry: Entry, outcome: Outcome) -> None:
        entry.is_answered = True
        try:
            entry.done(outcome)
        except Exception:
            log.exception("a completion failed")

    async def _run(self) -> None:
        while True:
            for pending in (self._pending, self._pending_groups):
                if pending:
                    await self._run_batch(pending)
            for work in self._works:
                if work.depth:
                    await self._run_work(work)
            if self._pending or self._pending_groups or any(work.depth for work in self._works):
                continue
            if self.is_stopping:
                return
            self._wake.clear()
            await self._wake.wait()

    async def _run_batch(self, pending: deque[Entry]) -> None:
        self._running = self._take(pending)
        self._running_count = len(self._running.entries)
        started = self._loop.time()
        try:
            await self._store(self._running)
            if self._after_batch is not None:
                self._after_batch()
        except Exception:
            log.exception("a batch failed by a bug")
            self.fence.renew()
            for entry in self._running.entries:
                self._answer(entry, Refused(Reason.UNAVAILABLE))
        self.commit_seconds += self._loop.time() - started
        self._running = None
        self._running_count = 0

    async def _run_work(self, work: Work) -> None:
        try:
            await work.run(self.fence)
        except Exception:
            log.exception("a piece of work failed by a bug")
            self.fence.renew()
            work.abandon()

    def _take(self, pending: deque[Entry]) -> Batch:
        is_group = pending is self._pending_groups
        most = min(self._max_batch, MAX_GROUP_BATCH) if is_group else self._max_batch
        entries = [pending.popleft() for _ in range(min(most, len(pending)))]
        size = sum([entry.message.size for entry in entries])
        while size > MAX_BATCH_SIZE and len(entries) > 1:
            entry = entries.pop()
            size -= entry.message.size
            pending.appendleft(entry)
        return group(entries)

    async def _store(self, batch: Batch) -> None:
        """Run a batch until every entry has its answer or waits again at the head of the queue."""
        for _ in range(MAX_RUNS):
            try:
                answer = await self._attempt(batch)
            except CONFLICTS:
                self.retries += 1
                continue
            except POISONED:
                entries = batch.entries
                if len(entries) == 1:
                    self._answer(entries[0], Refused(Reason.INVALID))
                    return
                for half in batch.split():
                    await self._store(half)
                return
            except asyncpg.PostgresError as error:
                log.error("a batch was refused by the database: %s", type(error).__name__)
                break
            if answer is not None:
                await self._distribute(batch, answer)
                return
            # Nothing was stored. Those that were told so are done; the rest goes again.
            batch = group([entry for entry in batch.entries if not entry.is_answered])
            if not batch.rooms:
                return
            self.retries += 1
        for entry in batch.entries:
            self._answer(entry, Refused(Reason.UNAVAILABLE))

    async def _attempt(self, batch: Batch) -> list[int] | None:
        """Run the statement once; None: known to have stored nothing."""
        await self.fence.ready()
        if any(entry.is_answered for entry in batch.entries):
            return None  # not sent yet, so that what was given up need not be stored
        check_blocks = self._loop.time() >= self._blocks_again_at
        try:
            answer = await self._run_statement(batch, check_blocks)
        except BLOCKS_UNREADABLE as error:
            if not (self._fail_open and check_blocks and self._columns.blocks_id_type):
                raise
            # Raises again when it is another table that cannot be read.
            answer = await self._run_statement(batch, check_blocks=False)
            log.warning("blocks cannot be read, messages pass: %s", type(error).__name__)
            self._blocks_again_at = self._loop.time() + BLOCK_CHECK_PAUSE
            self.block_check_fail_opens += 1
        if answer is not None:
            self.batches += 1
            self._batch_sizes.observe(len(batch.entries))
        return answer

    async def _run_statement(self, batch: Batch, check_blocks: bool) -> list[int] | None:
        if batch.is_group:
            return await self.fence.run(
                group_statements.GROUP_BATCH, batch_arguments.group_arguments(batch)
            )
        single, many = self._queries[check_blocks]
        if len(batch.rooms) == len(batch.entries) <= FEW:
            return await self._run_singles(single, batch, check_blocks)
        id_types = statements.native_types(self._columns, check_blocks=check_blocks)
        return await self.fence.run(many, batch_arguments.direct_arguments(batch, id_types))

    async def _run_singles(self, query: str, batch: Batch, check_blocks: bool) -> list[int] | None:
        """Run the statement for one message once for each room, in the order of their locks."""
        id_types = statements.native_types(self._columns, check_blocks=check_blocks)
        rows = [
            batch_arguments.single_arguments(batch.rooms[room_id][0].message, index > 0, id_types)
            for index, room_id in enumerate(sorted(batch.rooms))
        ]
        if len(rows) == 1:
            return await self.fence.run(query, rows[0])
        answer = await self.fence.run_each(query, rows)
        if answer is None:
            return None
        # As the statement for many answers: by kind, and in the order of the batch.
        places = {room_id: 3 * index for index, room_id in enumerate(sorted(batch.rooms))}
        return [answer[places[room_id] + kind] for kind in range(3) for room_id in batch.rooms]

    async def _distribute(self, batch: Batch, answer: list[int]) -> None:
        count = len(batch.rooms)
        unclear: list[Entry] = []
        for index, entries in enumerate(batch.rooms.values()):
            seq, rev, created = answer[index], answer[count + index], answer[2 * count + index]
            group_rev = answer[3 * count + index] if batch.is_group else 0
            if seq > 0:
                self.messages += len(entries)
                before, created_at = len(entries) - 1, created / 1e6
                for rank, entry in enumerate(entries):
                    offset = before - rank
                    stored = Stored(seq - offset, rev - offset, created_at, group_rev)
                    if entry.is_answered or entry.repeats:
                        self._answer(entry, stored)
                    else:
                        self._complete(entry, stored)
            elif seq == statements.LOOK_AGAIN:
                unclear += entries
            else:
                verdicts = GROUP_VERDICTS if batch.is_group else VERDICTS
                for entry in entries:
                    self._answer(entry, Refused(verdicts[seq]))
        if unclear:
            # Before what came later, so that the order of a room stays that of arrival.
            rest = await self._look_again(unclear, batch.is_group)
            self._queue_of(unclear[0]).extendleft(reversed(rest))

    async def _look_again(self, entries: list[Entry], is_group: bool) -> list[Entry]:
        """Answer what is in the way in refused rooms; return the rest, which goes again.

        In the way are repeats, replies to nothing, and in groups senders who may not send.
        """
        messages = [entry.message for entry in entries]
        columns: list[list[Any]] = [
            [message.room_id for message in messages],
            [message.sender_id for message in messages],
            [message.client_message_id for message in messages],
            [message.reply_seq for message in messages],
        ]
        query = statements.LOOK_UP
        if is_group:
            query = group_statements.GROUP_LOOK_UP
            columns.append([message.is_announcement for message in messages])
            columns.append([message.is_system for message in messages])
        rows = await self.fence.fetch(query, *columns)
        rest = []
        for entry, (seq, has_reply, *right) in zip(entries, rows, strict=True):
            if right and right[0] in RIGHTS:
                self._answer(entry, Refused(RIGHTS[right[0]]))
            elif seq is not None:
                for each in (entry, *(entry.repeats or ())):
                    each.repeats = None
                    self._answer(each, Duplicate(seq))
            elif not has_reply:
                self._answer(entry, Refused(Reason.REPLY_MISSING))
            elif not entry.is_answered:
                rest.append(entry)
        return rest
