"""The connection of one lane, and the row that makes each of its statements happen once. Hot path.

A fenced statement locks the lane's row in ``lane_commits``, does nothing unless that row still has
the number it was made for, and writes its answer into it. So its answer is as durable as what it
did, and can be read again after it got lost.

Source: docs/decisions/0001-write-statement.md.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

from fastchat.errors import ServiceUnavailable

if TYPE_CHECKING:
    from asyncpg import Connection, Record

log = logging.getLogger(__name__)

T = TypeVar("T")

STATEMENT_DEADLINE = 1.5  # seconds for one statement; several tries fit into a command's five
PAUSE = 0.1  # between tries to reach the database

# The outcome is not known, or the database cannot work just now.
UNKNOWN = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a call gets when the server's farewell came just before it
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)
# Another try solves these.
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
# One of the values cannot be stored; the others can.
POISONED = (asyncpg.DataError, asyncpg.ProgramLimitExceededError)

# Rows of lanes that ended long ago. A lane that is alive and has been idle as long may lose its row
# too, and takes a new one: nothing is known to be under way that the old one could tell of.
NEW_LANE = """
WITH dead AS (
    DELETE FROM lane_commits WHERE lane_id IN (
        SELECT lane_id FROM lane_commits WHERE committed_at < now() - interval '7 days'
        FOR UPDATE SKIP LOCKED)
)
INSERT INTO lane_commits DEFAULT VALUES RETURNING lane_id
"""

# A step that no transaction takes: it tells a dead number from a committed one.
CLOSE_FENCE = """
UPDATE lane_commits SET batch_no = batch_no + 1000, answer = '{}'
WHERE lane_id = $1 AND batch_no = $2
"""
READ_LANE = "SELECT batch_no, answer FROM lane_commits WHERE lane_id = $1"


class OutcomeUnknown(Exception):
    """The database did not answer."""


class Fence:
    """Runs statements one after the other, each at most once, on a connection of its own.

    Attributes:
        lane_id: The lane's row; 0 before there is one.
        batch_no: The number that the next statement is made for.
        unknown_outcomes: Statements whose answer was lost.
    """

    def __init__(self, connect: Callable[[], Awaitable["Connection"]]) -> None:
        """Take what opens a connection; it is called again when the connection broke."""
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self.lane_id = 0
        self.batch_no = 0
        self.unknown_outcomes = 0

    async def ready(self) -> "Connection":
        """Return the connection, opened anew as often as it takes."""
        while self._connection is None or self._connection.is_closed():
            self.drop()
            try:
                async with asyncio.timeout(STATEMENT_DEADLINE):
                    self._connection = await self._connect()
            except (TimeoutError, ServiceUnavailable, *UNKNOWN, asyncpg.PostgresError):
                await asyncio.sleep(PAUSE)
                continue
            await self._open_lane(self._connection)
        return self._connection

    async def run(self, query: str, arguments: Iterable[Any]) -> list[int] | None:
        """Run a fenced statement and return its answer; None: it is known to have done nothing.

        However long it takes: after a lost answer nothing else happens before the outcome is known.

        Args:
            query: Takes the lane as ``$1`` and its number as ``$2``, and returns what it writes
                into ``lane_commits.answer``.
            arguments: From ``$3`` on.

        Raises:
            asyncpg.PostgresError: the database refused the statement; nothing was done.
        """
        connection = await self.ready()
        call = connection.fetchval(query, self.lane_id, self.batch_no, *arguments)
        return await self._run(connection, call, 1)

    async def run_each(self, query: str, rows: Sequence[Sequence[Any]]) -> list[int] | None:
        """Run a fenced statement once for each row of arguments, in one transaction.

        Each run moves the number on by one; its answer is added to that of the run before. Returned
        is the last answer; see ``run``.
        """
        connection = await self.ready()
        arguments = [(self.lane_id, self.batch_no + index, *row) for index, row in enumerate(rows)]
        return await self._run(connection, _last(connection, query, arguments), len(rows))

    async def _run(
        self, connection: "Connection", call: Awaitable[Any], steps: int
    ) -> list[int] | None:
        try:
            answer = await self._bounded(connection, call)
        except OutcomeUnknown:
            self.unknown_outcomes += 1
            return await self._resolve(steps)
        if answer is None:
            log.warning("the row of a lane is gone or was changed by somebody else")
            self.renew()
            return None
        self.batch_no += steps
        result: list[int] = answer
        return result

    async def fetch(self, query: str, *arguments: Any) -> "list[Record]":
        """Return the rows of a statement that only reads, run as often as it takes."""
        while True:
            connection = await self.ready()
            try:
                return await self._bounded(connection, connection.fetch(query, *arguments))
            except (OutcomeUnknown, asyncpg.PostgresError):
                await asyncio.sleep(PAUSE)

    def renew(self) -> None:
        """Take another row, so that the number of the last statement is not used again."""
        self.lane_id = 0
        self.drop()

    def drop(self) -> None:
        """Throw the connection away; the next statement opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _open_lane(self, connection: "Connection") -> None:
        """Make the lane's row, where there is none; on failure the connection is dropped."""
        if self.lane_id:
            return
        try:
            self.lane_id = await self._bounded(connection, connection.fetchval(NEW_LANE))
            self.batch_no = 0
        except (OutcomeUnknown, asyncpg.PostgresError):
            self.drop()
            await asyncio.sleep(PAUSE)

    async def _resolve(self, steps: int) -> list[int] | None:
        """Find the answer that got lost, or make sure that there will be none."""
        expected = self.batch_no
        while True:
            self.drop()
            connection = await self.ready()
            try:
                await self._bounded(
                    connection, connection.execute(CLOSE_FENCE, self.lane_id, expected)
                )
                row = await self._bounded(connection, connection.fetchrow(READ_LANE, self.lane_id))
            except (OutcomeUnknown, asyncpg.PostgresError):
                continue
            if row is None:
                # Only rows that nothing was written to for days are taken away: nothing was done.
                log.warning("the row of a lane is gone")
                self.renew()
                return None
            self.batch_no, answer = row
            return list(answer) if self.batch_no == expected + steps else None

    async def _bounded(self, connection: "Connection", work: Awaitable[T]) -> T:
        """Wait for one call, at most STATEMENT_DEADLINE.

        asyncpg's own time-outs wait for a server that may be frozen. A connection that is
        terminated ends its call at once, in this very task: another one would cost two turns of
        the event loop per batch.
        """
        timer = self._loop.call_later(STATEMENT_DEADLINE, connection.terminate)
        try:
            return await work
        except asyncpg.ReadOnlySQLTransactionError:
            raise
        except UNKNOWN as error:
            self.drop()
            raise OutcomeUnknown from error
        except AttributeError as error:
            # Between the steps of a call asyncpg does not see that it was terminated.
            if not connection.is_closed():
                raise
            self.drop()
            raise OutcomeUnknown from error
        finally:
            timer.cancel()


async def _last(connection: "Connection", query: str, arguments: Sequence[Any]) -> Any:
    """Return what the last of several runs returned; None: not all of them returned something."""
    records = await connection.fetchmany(query, arguments)
    return records[-1][0] if len(records) == len(arguments) else None
