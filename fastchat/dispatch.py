"""The spine: decode, admit, handle, answer. Hot path.

It knows the order of the steps and nothing else. Most commands are finished when their handler
returns. One that waits for the database returns a coroutine, which runs as a task and is answered
within the deadline, whatever becomes of it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple

from fastchat.admission.limits import Limits
from fastchat.errors import CommandError, Disconnect, ServiceUnavailable
from fastchat.handlers.answers import Answers
from fastchat.interfaces import Connection, Session, Window
from fastchat.protocol.codec import Codec
from fastchat.protocol.command import Command

DEADLINE = 5.0  # seconds; docs/protocol.md, "Answers"
MOST_AT_ONCE = 32  # commands of one connection that wait for the database; then reading pauses

Work = Coroutine[Any, Any, bytes | None]
Outcome = bytes | Work | None  # the reply, or what will return it, or None: nothing to answer now


class GuestRoute(NamedTuple):
    """A command that needs no session."""

    handle: Callable[[Connection, Any, float], Outcome]
    is_counted: bool = True
    is_exclusive: bool = False


class Route(NamedTuple):
    """A command of a session.

    ``length`` tells the code points of a message, which counts in the windows of messages; others
    count in that of commands. An exclusive one, whose reply may be large, waits for those before
    it of the same connection.
    """

    handle: Callable[[Session, Any, float], Outcome]
    length: Callable[[Any], int] | None = None
    is_exclusive: bool = False


class Dispatcher:
    """Hands every payload to its handler."""

    def __init__(
        self,
        codec: Codec,
        limits: Limits,
        answers: Answers,
        guest_routes: Mapping[type[Command], GuestRoute],
        routes: Mapping[type[Command], Route],
        *,
        deadline: float = DEADLINE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the neighbours, what handles which command, and seconds for an answer."""
        self._codec = codec
        self._limits = limits
        self._answers = answers
        self._guest_routes = guest_routes
        self._routes = routes
        self._deadline = deadline
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._guest_windows: dict[Connection, Window] = {}
        self._backlogs: dict[Connection, _Backlog] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._jobs: set[_Job] = set()

    @property
    def waiting(self) -> int:
        """Commands that wait for the database."""
        return len(self._jobs)

    def on_message(self, connection: Connection, payload: bytes) -> None:
        """Decode, admit and handle one command; answer it if it is refused."""
        now = self._clock()
        answers = self._answers
        answers.commands += 1
        session = connection.session
        request_id = None
        try:
            try:
                if session is None:
                    command = self._codec.decode_before_session(payload)
                else:
                    command = self._codec.decode(payload)
            except CommandError as error:
                request_id = error.request_id
                self._limits.admit_command(self._command_window(connection), now)
                raise
            request_id = command.request_id
            route = self._routes.get(type(command))
            if route is not None and session is not None:
                if route.length is None:
                    self._limits.admit_command(session.command_window, now)
                else:
                    self._limits.admit_message(session, route.length(command), now)
                outcome = route.handle(session, command, now)
                is_exclusive = route.is_exclusive
            else:
                guest_route = self._guest_routes[type(command)]
                if guest_route.is_counted:
                    self._limits.admit_command(self._command_window(connection), now)
                outcome = guest_route.handle(connection, command, now)
                is_exclusive = guest_route.is_exclusive
            if outcome is not None:
                self._answer(connection, outcome, request_id, is_exclusive)
        except CommandError as error:
            answers.refuse(connection, error, request_id)
        except Disconnect as error:
            connection.close(error.close_code, error.reason)
        except Exception as error:
            answers.fail(connection, error, request_id)

    def on_close(self, connection: Connection) -> None:
        """Forget a connection; what it asked for is carried out all the same."""
        self._guest_windows.pop(connection, None)

    async def drain(self, timeout: float) -> bool:
        """Wait until every waiting command is answered; tell whether that was so in time."""
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """End what still waits; everybody who waits for it has been answered or is gone."""
        tasks = [job.task for job in self._jobs if job.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _command_window(self, connection: Connection) -> Window:
        """Return the window that commands of a connection count in, with a session or without."""
        if connection.session is not None:
            return connection.session.command_window
        window = self._guest_windows.get(connection)
        if window is None:
            window = self._guest_windows[connection] = self._limits.open_command_window()
        return window

    def _answer(
        self, connection: Connection, outcome: bytes | Work, request_id: str | None, exclusive: bool
    ) -> None:
        if isinstance(outcome, bytes):
            self._answers.reply(connection, outcome, request_id)
            return
        job = _Job(self, connection, outcome, request_id, exclusive)
        self._jobs.add(job)
        self._idle.clear()
        job.timer = self._loop.call_later(self._deadline, self._expire, job)
        backlog = self._backlogs.get(connection)
        if backlog is None:
            backlog = self._backlogs[connection] = _Backlog()
        backlog.count += 1
        if exclusive and backlog.is_exclusive:
            backlog.queue.append(job)
        else:
            backlog.is_exclusive |= exclusive
            self._run(job)
        if backlog.count >= MOST_AT_ONCE or backlog.is_exclusive:
            connection.pause_reading()

    def _run(self, job: "_Job") -> None:
        job.task = self._loop.create_task(job.work)
        job.task.add_done_callback(job.finish)

    def _expire(self, job: "_Job") -> None:
        """Answer in time; the work goes on, for it may be carried out after all."""
        job.is_answered = True
        self._answers.refuse(job.connection, ServiceUnavailable(), job.request_id)

    def _finish(self, job: "_Job", task: "asyncio.Task[bytes | None]") -> None:
        connection = job.connection
        if job.timer is not None:
            job.timer.cancel()
        self._jobs.discard(job)
        if not self._jobs:
            self._idle.set()
        self._leave(job)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            payload = task.result()
            if payload is not None:
                # One who was told that nothing is known hears of it as others do.
                request_id = None if job.is_answered else job.request_id
                self._answers.reply(connection, payload, request_id)
        elif job.is_answered and isinstance(error, CommandError):
            pass
        elif isinstance(error, CommandError):
            self._answers.refuse(connection, error, job.request_id)
        elif isinstance(error, Disconnect):
            connection.close(error.close_code, error.reason)
        else:
            self._answers.fail(connection, error, job.request_id)

    def _leave(self, job: "_Job") -> None:
        """Start the next exclusive command of the connection; read on when there is room."""
        connection = job.connection
        backlog = self._backlogs[connection]
        backlog.count -= 1
        if job.is_exclusive:
            backlog.is_exclusive = bool(backlog.queue)
            if backlog.queue:
                self._run(backlog.queue.popleft())
        if backlog.count < MOST_AT_ONCE and not backlog.is_exclusive:
            connection.resume_reading()
        if not backlog.count:
            del self._backlogs[connection]


class _Backlog:
    """What one connection waits for."""

    __slots__ = ("count", "is_exclusive", "queue")

    def __init__(self) -> None:
        self.count = 0
        self.is_exclusive = False  # an exclusive command is under way
        self.queue: deque[_Job] = deque()


class _Job:
    """One command that waits for the database."""

    __slots__ = (
        "connection",
        "dispatcher",
        "is_answered",
        "is_exclusive",
        "request_id",
        "task",
        "timer",
        "work",
    )

    def __init__(
        self,
        dispatcher: Dispatcher,
        connection: Connection,
        work: Work,
        request_id: str | None,
        is_exclusive: bool,
    ) -> None:
        self.dispatcher = dispatcher
        self.connection = connection
        self.work = work
        self.request_id = request_id
        self.is_exclusive = is_exclusive
        self.is_answered = False
        self.task: asyncio.Task[bytes | None] | None = None
        self.timer: asyncio.TimerHandle | None = None

    def finish(self, task: "asyncio.Task[bytes | None]") -> None:
        self.dispatcher._finish(self, task)
