"""One lane of the writer: one connection, one batch at a time. Hot path.

While a batch is being committed the next one gathers; there is no linger. A lane never forgets a
batch whose outcome it does not know: it closes the batch's fence or finds its answer first, however
long that takes, and stores nothing else meanwhile. Senders are told within their deadline.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

from fastchat.store import statements
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
from fastchat.store.ids import to_native

if TYPE_CHECKING:
    from asyncpg import Connection

log = logging.getLogger(__name__)

T = TypeVar("T")

STATEMENT_DEADLINE = 1.5  # seconds for one statement; several tries fit into a command's five
PAUSE = 0.1  # between tries to reach the database
BLOCK_CHECK_PAUSE = 30.0  # before a failed look at blocks is tried again
MAX_RUNS = 20  # of one batch, for conflicts that another try solves
MAX_BATCH_SIZE = 4_000_000  # characters of text in one batch

# The outcome is not known, or the database cannot work just now.
UNKNOWN = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a call gets when the server's farewell came just before it
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)
CONFLICTS = (
    asyncpg.UniqueViolationError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
)
BLOCKS_UNREADABLE = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.InsufficientPrivilegeError,
)
POISONED = (asyncpg.DataError, asyncpg.ProgramLimitExceededError)

VERDICTS = {
    statements.BLOCKED: Reason.BLOCKED,
    statements.UNKNOWN_USER: Reason.UNKNOWN_RECIPIENT,
    statements.NO_ROOM: Reason.UNKNOWN_RECIPIENT,
}


class OutcomeUnknown(Exception):
    """The database did not answer."""


class Lane:
    """Stores what is appended, in order, and calls each entry's ``done``."""

    def __init__(
        self,
        connect: Callable[[], Awaitable["Connection"]],
        columns: UserColumns,
        *,
        max_batch: int,
        block_check_fail_open: bool,
    ) -> None:
        """Take what opens a connection of this lane's own; see ``MessageWriter``."""
        self._connect = connect
        self._columns = columns
        self._queries = {
            check_blocks: statements.batch_statement(columns, check_blocks=check_blocks)
            for check_blocks in (True, False)
        }
        self._max_batch = max_batch
        self._fail_open = block_check_fail_open
        self._loop = asyncio.get_running_loop()
        self._pending: deque[Entry] = deque()
        self._running: Batch | None = None
        self._running_count = 0
        self._wake = asyncio.Event()
        self._connection: Connection | None = None
        self._lane_id = 0
        self._batch_no = 0
        self._blocks_again_at = 0.0
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._reaper: asyncio.TimerHandle | None = None
        self.batches = 0
        self.messages = 0
        self.duplicates = 0
        self.refused = 0
        self.retries = 0
        self.unknown_outcomes = 0
        self.block_check_fail_opens = 0
        self.commit_seconds = 0.0

    @property
    def depth(self) -> int:
        """Messages that wait for their batch or their commit."""
        return len(self._pending) + self._running_count

    def start(self) -> None:
        """Begin to store."""
        self._task = asyncio.create_task(self._run())

    async def stop(self, timeout: float) -> None:
        """Store what was accepted, for at most ``timeout`` seconds, and end."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=timeout)
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._reaper is not None:
            self._reaper.cancel()
        self._drop_connection()
        for entry in [*(self._running.entries if self._running else ()), *self._pending]:
            self._answer(entry, Refused(Reason.UNAVAILABLE))
        self._pending.clear()

    def append(self, entry: Entry) -> None:
        """Queue one message."""
        self._pending.append(entry)
        self._wake.set()
        if self._reaper is None:
            self._reaper = self._loop.call_at(entry.deadline, self._reap)

    def _reap(self) -> None:
        """Tell the senders whose deadline has passed."""
        now = self._loop.time()
        self._reaper = None
        while self._pending and self._pending[0].deadline <= now:
            # Out of the queue first: what is answered so can never be stored.
            self._answer(self._pending.popleft(), Refused(Reason.UNAVAILABLE))
        running = self._running.entries if self._running else []
        for entry in running:
            if entry.deadline <= now and not entry.is_answered:
                self._answer(entry, Refused(Reason.UNAVAILABLE))
        waiting = [entry for entry in running if not entry.is_answered]
        if self._pending or waiting:
            next_entry = min((*waiting, *self._pending), key=lambda entry: entry.deadline)
            self._reaper = self._loop.call_at(next_entry.deadline, self._reap)

    def _answer(self, entry: Entry, outcome: Outcome) -> None:
        """Call ``done`` once, and once more for a message that was stored all the same."""
        for repeat in entry.repeats:
            if isinstance(outcome, Stored):
                self._answer(repeat, Duplicate(outcome.seq))
            else:
                self._answer(repeat, outcome)
        if entry.is_answered:
            if not isinstance(outcome, Stored):
                return
            outcome = Stored(outcome.seq, outcome.rev, outcome.created_at, is_late=True)
        entry.is_answered = True
        if isinstance(outcome, Duplicate):
            self.duplicates += 1
        elif isinstance(outcome, Refused):
            self.refused += 1
        try:
            entry.done(outcome)
        except Exception:
            log.exception("a completion failed")

    async def _run(self) -> None:
        while True:
            if not self._pending:
                if self._stopping:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            self._running = self._take()
            self._running_count = len(self._running.entries)
            started = self._loop.time()
            try:
                await self._store(self._running)
            except Exception:
                log.exception("a batch failed by a bug")
                self._lane_id = 0  # whatever became of the batch, its number is not used again
                self._drop_connection()
                for entry in self._running.entries:
                    self._answer(entry, Refused(Reason.UNAVAILABLE))
            self.commit_seconds += self._loop.time() - started
            self._running = None
            self._running_count = 0

    def _take(self) -> Batch:
        entries: list[Entry] = []
        size = 0
        while self._pending and len(entries) < self._max_batch and size < MAX_BATCH_SIZE:
            entry = self._pending.popleft()
            size += entry.message.size
            entries.append(entry)
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
        connection = await self._ready()
        if any(entry.is_answered for entry in batch.entries):
            return None  # not sent yet, so that what was given up need not be stored
        check_blocks = self._loop.time() >= self._blocks_again_at
        query = self._queries[check_blocks]
        arguments = self._arguments(batch, check_blocks)
        try:
            answer = await self._bounded(connection.fetchval(query, *arguments))
        except BLOCKS_UNREADABLE as error:
            if not (self._fail_open and check_blocks and self._columns.blocks_id_type):
                raise
            log.warning("blocks cannot be read, messages pass: %s", type(error).__name__)
            self._blocks_again_at = self._loop.time() + BLOCK_CHECK_PAUSE
            self.block_check_fail_opens += 1
            return None
        except OutcomeUnknown:
            self.unknown_outcomes += 1
            return await self._resolve()
        self._batch_no += 1
        self.batches += 1
        if answer is None:
            raise RuntimeError("the fence of a lane was moved by somebody else")
        result: list[int] = answer
        return result

    async def _resolve(self) -> list[int] | None:
        """Find the answer of the batch that got lost, or make sure that there will be none."""
        expected = self._batch_no
        while True:
            self._drop_connection()
            connection = await self._ready()
            try:
                await self._bounded(
                    connection.execute(statements.CLOSE_FENCE, self._lane_id, expected)
                )
                row = await self._bounded(connection.fetchrow(statements.READ_LANE, self._lane_id))
            except (OutcomeUnknown, asyncpg.PostgresError):
                continue
            if row is None:
                log.error("the row of a lane is gone; nothing is known of its last batch")
                self._lane_id = 0
                return None
            self._batch_no, answer = row
            return list(answer) if self._batch_no == expected + 1 else None

    async def _ready(self) -> "Connection":
        """Return the lane's connection, opened anew as often as it takes."""
        while self._connection is None or self._connection.is_closed():
            self._drop_connection()
            try:
                connection = await self._bounded(self._connect())
                self._connection = connection
                if not self._lane_id:
                    self._lane_id = await self._bounded(connection.fetchval(statements.NEW_LANE))
                    self._batch_no = 0
            except (OutcomeUnknown, asyncpg.PostgresError):
                self._drop_connection()
                await asyncio.sleep(PAUSE)
        return self._connection

    async def _bounded(self, work: Awaitable[T]) -> T:
        """Wait for one call, at most STATEMENT_DEADLINE.

        asyncpg's own time-outs wait for a server that may be frozen, so the call is left behind and
        its connection dropped.
        """
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task}, timeout=STATEMENT_DEADLINE)
        finally:
            if not task.done():
                self._drop_connection()
                task.cancel()
                task.add_done_callback(_forget)
        if not task.done():
            raise OutcomeUnknown
        try:
            return task.result()
        except asyncpg.ReadOnlySQLTransactionError:
            raise
        except (*UNKNOWN, asyncio.CancelledError) as error:
            self._drop_connection()
            raise OutcomeUnknown from error

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    def _arguments(self, batch: Batch, check_blocks: bool) -> list[Any]:
        rooms = batch.rooms
        firsts = [entries[0].message for entries in rooms.values()]
        users1 = [message.user1_id for message in firsts]
        users2 = [message.user2_id for message in firsts]
        messages = [entry.message for entry in batch.entries]
        arguments: list[Any] = [
            self._lane_id,
            self._batch_no,
            list(rooms),
            [len(entries) for entries in rooms.values()],
            [message.conversation_id for message in firsts],
            users1,
            users2,
            [ord + 1 for ord, entries in enumerate(rooms.values()) for _ in entries],
            [rank + 1 for entries in rooms.values() for rank in range(len(entries))],
            [message.sender_id for message in messages],
            [message.recipient_id for message in messages],
            [message.reply_to for message in messages],
            [message.reply_seq for message in messages],
            [message.client_message_id for message in messages],
            [message.content for message in messages],
            [message.encrypted_content for message in messages],
            [message.encryption_iv for message in messages],
            [message.encryption_scheme for message in messages],
        ]
        for id_type in statements.native_types(self._columns, check_blocks=check_blocks):
            arguments.append([to_native(user, id_type) for user in users1])
            arguments.append([to_native(user, id_type) for user in users2])
        return arguments

    async def _distribute(self, batch: Batch, answer: list[int]) -> None:
        count = len(batch.rooms)
        again: list[Entry] = []
        for index, (room_id, entries) in enumerate(batch.rooms.items()):
            seq, rev, created = answer[index], answer[count + index], answer[2 * count + index]
            if seq > 0:
                self.messages += len(entries)
                before = len(entries) - 1
                for rank, entry in enumerate(entries):
                    offset = before - rank
                    self._answer(entry, Stored(seq - offset, rev - offset, created / 1e6))
            elif seq == statements.LOOK_AGAIN:
                again += await self._look_again(room_id, entries)
            else:
                for entry in entries:
                    self._answer(entry, Refused(VERDICTS[seq]))
        # Before what came later, so that the order of a room stays that of arrival.
        self._pending.extendleft(reversed(again))

    async def _look_again(self, room_id: int, entries: list[Entry]) -> list[Entry]:
        """Answer the repeats and the replies to nothing of a refused room; return the rest."""
        messages = [entry.message for entry in entries]
        while True:
            connection = await self._ready()
            try:
                rows = await self._bounded(
                    connection.fetch(
                        statements.LOOK_UP,
                        room_id,
                        [message.sender_id for message in messages],
                        [message.client_message_id for message in messages],
                        [message.reply_seq for message in messages],
                    )
                )
                break
            except (OutcomeUnknown, asyncpg.PostgresError):
                await asyncio.sleep(PAUSE)
        rest = []
        for entry, (seq, has_reply) in zip(entries, rows, strict=True):
            if seq is not None:
                for each in (entry, *entry.repeats):
                    each.repeats = []
                    self._answer(each, Duplicate(seq))
            elif not has_reply:
                self._answer(entry, Refused(Reason.REPLY_MISSING))
            elif not entry.is_answered:
                rest.append(entry)
        return rest


def _forget(task: "asyncio.Future[Any]") -> None:
    """Take the result of a call that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
