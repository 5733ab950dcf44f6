"""The connections to PostgreSQL, a bounded number, and a deadline around everything.

A database that does not answer costs its callers one error and no more: while it is known to be
away they are refused at once, and one task looks for it until it is back. Connections are thrown
away by ``terminate()`` only, for a frozen PostgreSQL never answers ``close()``.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import asyncpg

from fastchat._speedups import LatencyHistogram
from fastchat.errors import ServiceUnavailable
from fastchat.store.lookups import QUERY_SETTINGS

if TYPE_CHECKING:
    from asyncpg import Connection, Record

log = logging.getLogger(__name__)

CHECK_INTERVAL = 0.5  # seconds between looks at the connections
PROBE_AFTER = 5.0  # seconds without an answer before the database is asked for one
STATUS_INTERVAL = 300.0
WARNING_INTERVAL = 10.0  # seconds between two warnings of the same kind
HIGH_USE = 0.9

# The connection or the server is the trouble, not the query; the same query may work later.
UNAVAILABLE = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,  # shutdown, starting up, cancelled query
    asyncpg.InsufficientResourcesError,  # too many connections, disk full
    asyncpg.ReadOnlySQLTransactionError,  # a former primary; a new connection finds the new one
)


class Pool:
    """At most ``max_size`` connections, those handed out by ``connect`` included.

    Attributes:
        queries: Calls that were answered, also by an error of SQL.
        query_seconds: Time the database took for them, waiting for a connection not included.
        timeouts: Calls that met their deadline.
        errors: Calls that failed because of the connection or the server.
        refused: Calls that never got a connection.
        is_connected: Whether the database answered last time.
        query_times: Seconds per query by the caller's name for it.
    """

    def __init__(
        self,
        arguments: Mapping[str, Any],
        *,
        min_size: int = 2,
        max_size: int = 10,
        idle_timeout: float = 30.0,
        connection_timeout: float = 2.0,
        query_timeout: float = 30.0,
        max_waiting: int = 1000,
    ) -> None:
        """Take where to connect and the limits; durations are seconds.

        Args:
            arguments: Of ``asyncpg.connect``, as ``connect_arguments`` makes them.
            min_size: Connections kept open while nobody uses them.
            max_size: Connections at most.
            idle_timeout: An unused connection above ``min_size`` is closed after this; 0: never.
            connection_timeout: Deadline for one connection.
            query_timeout: Deadline for a call that names none.
            max_waiting: Calls that may wait for a connection.
        """
        self._arguments = arguments
        self._min_size = min_size
        self._max_size = max_size
        self._idle_timeout = idle_timeout
        self._connection_timeout = connection_timeout
        self._query_timeout = query_timeout
        self._max_waiting = max_waiting
        self._loop = asyncio.get_running_loop()
        self._idle: deque[tuple[Connection, float]] = deque()  # with the time of its last use
        self._used: set[Connection] = set()
        self._dedicated: set[Connection] = set()
        self._opening = 0
        # A waiter gets a connection, or None: look again, there may be room.
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()
        self._keeper: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._unused = asyncio.Event()  # set when closed and the last running call has ended
        self._closed = False
        self._answered_at = self._loop.time()
        self._warned_at: dict[str, float] = {}
        self._trouble = ""
        self.queries = 0
        self.query_seconds = 0.0
        self.timeouts = 0
        self.errors = 0
        self.refused = 0
        self.is_connected = False
        self.query_times: dict[str, LatencyHistogram] = {}

    @property
    def size(self) -> int:
        """Open connections, those being opened included."""
        return len(self._idle) + len(self._used) + len(self._dedicated) + self._opening

    @property
    def idle(self) -> int:
        """Open connections that nobody uses."""
        return len(self._idle)

    @property
    def in_use(self) -> int:
        """Connections that run a query or belong to somebody."""
        return len(self._used) + len(self._dedicated)

    @property
    def waiting(self) -> int:
        """Calls that wait for a connection."""
        return len(self._waiters)

    async def start(self) -> None:
        """Open the connections to keep; a database that is away is looked for from now on."""
        await self._keep()
        self._keeper = self._loop.create_task(self._run())

    async def stop(self, timeout: float = 0.0) -> None:
        """Refuse new calls, give running ones ``timeout`` seconds, and end all connections."""
        self._closed = True
        self._refuse_waiters()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._used:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._unused.wait()
        for connection in (*(c for c, _ in self._idle), *self._used, *self._dedicated):
            connection.terminate()
        self._idle.clear()

    async def fetch(
        self, query: str, *args: object, timeout: float | None = None, name: str = "other"
    ) -> list["Record"]:
        """Run one statement and return its rows.

        Args:
            query: One statement.
            args: Its parameters.
            timeout: Seconds for everything, waiting for a connection included.
            name: What the statement is for; one of few, for the metrics.

        Raises:
            ServiceUnavailable: the database did not answer in time or is away, or too many calls
                wait; whether the statement was carried out is not known.
            asyncpg.PostgresError: the statement failed.
        """
        rows: list[Record] = await self._call("fetch", query, args, timeout, name)
        return rows

    async def fetchrow(
        self, query: str, *args: object, timeout: float | None = None, name: str = "other"
    ) -> "Record | None":
        """Run one statement and return its first row, None if it has none; see ``fetch``."""
        row: Record | None = await self._call("fetchrow", query, args, timeout, name)
        return row

    async def execute(
        self, query: str, *args: object, timeout: float | None = None, name: str = "other"
    ) -> str:
        """Run one statement and return its tag, such as ``UPDATE 1``; see ``fetch``."""
        tag: str = await self._call("execute", query, args, timeout, name)
        return tag

    async def connect(self, **server_settings: str) -> "Connection":
        """Open a connection of the caller's own; terminating it makes room for another.

        It has the settings of the others, apart from ``QUERY_SETTINGS``, and those given here.
        Waits for room no longer than for the connection itself. Works while the database counts as
        away: callers have their own rule for trying again.

        Raises:
            ServiceUnavailable: no connection could be had.
        """
        deadline = self._loop.time() + self._connection_timeout
        # asyncpg tells of an end a turn later; the caller may come sooner.
        self._dedicated = {c for c in self._dedicated if not c.is_closed()}
        while self.size >= self._max_size:
            if self._idle:
                self._idle.popleft()[0].terminate()
            elif (given := await self._wait(deadline)) is not None:
                self._used.discard(given)
                given.terminate()
        # How look-ups are planned is wrong for a batch of messages.
        common = self._arguments.get("server_settings", {})
        settings = {name: common[name] for name in common if name not in QUERY_SETTINGS}
        settings |= server_settings
        connection = await self._open(deadline, {"server_settings": settings})
        self._dedicated.add(connection)
        return connection

    async def _call(
        self, method: str, query: str, args: tuple[object, ...], timeout: float | None, name: str
    ) -> Any:
        deadline = self._loop.time() + (self._query_timeout if timeout is None else timeout)
        connection = await self._acquire(deadline)
        began = self._loop.time()
        try:
            # Cancels in this very task: asyncpg's own timeout waits for the server again.
            async with asyncio.timeout_at(deadline):
                return await getattr(connection, method)(query, *args)
        except TimeoutError:
            self.timeouts += 1
            self._drop(connection)
            self._wake.set()  # is it the query or the database?
            raise ServiceUnavailable from None
        except UNAVAILABLE as error:
            self._fail(connection, error)
        except (asyncpg.InterfaceError, AttributeError) as error:
            # A wrong argument is the caller's mistake; a connection that ended is not. asyncpg does
            # not see that between the steps of a call.
            if not connection.is_closed():
                raise
            self._fail(connection, error)
        except asyncpg.PostgresError:
            raise
        except BaseException:
            # Cancelled, or a bug: nobody knows what the connection is doing now.
            self._drop(connection)
            raise
        finally:
            now = self._loop.time()
            if connection in self._used:
                self._answered_at = now
                self._count(name, now - began)
                self._release(connection)

    async def _acquire(self, deadline: float) -> "Connection":
        while True:
            if self._closed or not self.is_connected:
                self.refused += 1
                raise ServiceUnavailable
            while self._idle:
                connection, _ = self._idle.pop()
                if not connection.is_closed():
                    return self._use(connection)
            if self.size < self._max_size:
                connection = await self._open(deadline)
                return self._use(connection)
            given = await self._wait(deadline)
            if given is not None:
                return given

    async def _wait(self, deadline: float) -> "Connection | None":
        """Wait for a connection to be released, or for a change that is worth another look."""
        if self._closed or len(self._waiters) >= self._max_waiting:
            self.refused += 1
            raise ServiceUnavailable
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiters.append(waiter)
        self._warn("waiting", "no database connection is idle, %d calls wait", len(self._waiters))
        try:
            async with asyncio.timeout_at(deadline):
                return await waiter
        except BaseException as error:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            # It was served in the very turn in which it gave up.
            elif waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                given = waiter.result()
                if given is None:
                    self._wake_waiter()
                else:
                    self._release(given)
            if isinstance(error, TimeoutError):
                self.timeouts += 1
                raise ServiceUnavailable from None
            raise

    async def _open(self, deadline: float, extra: Mapping[str, Any] | None = None) -> "Connection":
        end = self._loop.time() + self._connection_timeout
        self._opening += 1
        try:
            async with asyncio.timeout_at(min(deadline, end)):
                connection = await asyncpg.connect(**{**self._arguments, **(extra or {})})
        except TimeoutError:
            if deadline < end:  # the caller was in a hurry; that says nothing of the database
                self.timeouts += 1
                self._wake_waiter()
                raise ServiceUnavailable from None
            self._make_known(f"no connection within {self._connection_timeout:g} s")
        except asyncpg.TooManyConnectionsError as error:
            if self.size == 1:
                self._make_known(str(error))
            # Others have taken the places; the connections that we have still work.
            self.errors += 1
            self._warn("refused", "the database has no room for another connection")
            raise ServiceUnavailable from None
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            # Also a wrong password: for clients it is the same. None of these texts has it.
            self._make_known(" ".join(str(error).split()) or type(error).__name__)
        except BaseException:
            self._wake_waiter()
            raise
        finally:
            self._opening -= 1
        if self._closed:
            connection.terminate()
            raise ServiceUnavailable
        connection.add_termination_listener(self._on_termination)
        self._note_answer()
        return connection

    def _note_answer(self) -> None:
        self._answered_at = self._loop.time()
        if not self.is_connected:
            log.info("the database answers")
        self.is_connected, self._trouble = True, ""

    def _make_known(self, trouble: str) -> NoReturn:
        """Note that the database is away, and refuse whoever waits for it."""
        self.errors += 1
        if self.is_connected or trouble != self._trouble:
            log.error("the database does not answer: %s", trouble)
        self.is_connected, self._trouble = False, trouble
        self._refuse_waiters()
        raise ServiceUnavailable

    def _use(self, connection: "Connection") -> "Connection":
        self._used.add(connection)
        if self.in_use >= HIGH_USE * self._max_size:
            self._warn(
                "use", "%d of %d database connections are in use", self.in_use, self._max_size
            )
        if not self._idle and self.size >= self._max_size:
            self._warn("idle", "no database connection is idle")
        return connection

    def _release(self, connection: "Connection") -> None:
        if connection.is_closed() or self._closed:
            self._drop(connection)
            return
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self._used.discard(connection)
        self._idle.append((connection, self._loop.time()))

    def _drop(self, connection: "Connection") -> None:
        self._used.discard(connection)
        connection.terminate()
        self._wake_waiter()
        if self._closed and not self._used:
            self._unused.set()

    def _fail(self, connection: "Connection", error: BaseException) -> NoReturn:
        self.errors += 1
        log.warning("a query failed: %s", type(error).__name__)
        # A cancelled query leaves its connection as it was.
        if not isinstance(error, asyncpg.QueryCanceledError) or connection.is_closed():
            self._drop(connection)
            self._wake.set()
        raise ServiceUnavailable from None

    def _on_termination(self, connection: "Connection") -> None:
        """Called by asyncpg however the connection ended."""
        self._dedicated.discard(connection)
        self._wake_waiter()

    def _wake_waiter(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _refuse_waiters(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self.refused += 1
                waiter.set_exception(ServiceUnavailable())

    def _count(self, name: str, seconds: float) -> None:
        self.queries += 1
        self.query_seconds += seconds
        times = self.query_times.get(name)
        if times is None:
            times = self.query_times[name] = LatencyHistogram()
        times.observe(seconds)

    def _warn(self, kind: str, text: str, *args: object) -> None:
        now = self._loop.time()
        if now - self._warned_at.get(kind, -math.inf) >= WARNING_INTERVAL:
            self._warned_at[kind] = now
            log.warning(text, *args)

    async def _run(self) -> None:
        """Keep the connections in order until cancelled."""
        status_at = self._loop.time() + STATUS_INTERVAL
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_INTERVAL):
                    await self._wake.wait()
            asked = self._wake.is_set()
            self._wake.clear()
            try:
                await self._keep(probe=asked)
            except Exception:
                log.exception("the pool's keeper stumbled")
            now = self._loop.time()
            if now >= status_at:
                status_at = now + STATUS_INTERVAL
                self.log_status()

    async def _keep(self, *, probe: bool = False) -> None:
        """Drop what is dead or idle for too long, ask the database whether it is there, refill."""
        now = self._loop.time()
        alive = [(c, used_at) for c, used_at in self._idle if not c.is_closed()]
        self._idle = deque(alive)
        # The least used are on the left. Those who wait in a queue would take them anyway.
        while (
            self._idle_timeout
            and len(self._idle) > self._min_size
            and now - self._idle[0][1] > self._idle_timeout
        ):
            self._idle.popleft()[0].terminate()
        try:
            if not self.is_connected or probe or now - self._answered_at > PROBE_AFTER:
                await self._probe()
            while self.size - len(self._dedicated) < self._min_size and self.size < self._max_size:
                await self._add()
        except ServiceUnavailable:
            return

    async def _add(self) -> None:
        connection = await self._open(math.inf)
        self._used.add(connection)
        self._release(connection)

    async def _probe(self) -> None:
        """Ask on an idle connection, else on a new one; no answer: the database is away.

        With every connection in use there is nothing to ask on; their calls will tell.
        """
        if not self._idle:
            if self.size < self._max_size:
                await self._add()
            return
        connection, _ = self._idle.popleft()
        self._used.add(connection)
        try:
            async with asyncio.timeout(self._connection_timeout):
                await connection.execute("SELECT 1")
        except (*UNAVAILABLE, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self._drop(connection)
            # One connection may have ended alone. A silent one has silent neighbours: asking each
            # of them in turn would delay the return.
            if isinstance(error, TimeoutError):
                while self._idle:
                    self._idle.pop()[0].terminate()
            if not self._idle:
                self._make_known(f"a probe failed ({type(error).__name__})")
        except BaseException:
            self._drop(connection)
            raise
        else:
            self._note_answer()
            self._release(connection)

    def log_status(self) -> None:
        """Log how the pool is doing, as every five minutes."""
        log.info(
            "database connections: %d open, %d in use, %d idle, %d calls waiting; %d queries",
            self.size,
            self.in_use,
            self.idle,
            self.waiting,
            self.queries,
        )
