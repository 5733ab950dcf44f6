"""A device that loses nothing: it comes back, catches up, and sends again what was not answered.

What it sends has a ``clientMessageId`` and stays in the outbox until it is acknowledged. It knows
each conversation up to a ``seq`` without a gap, and asks by that for the rest after each log-in.
Everything that it is told is written into its history.
"""

import asyncio
import itertools
import random
import socket
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from tests.faults.history import Acked, DeviceHistory, Login, Read, Received, Sent, Stored
from tests.faults.room import Room
from tests.faults.wire import LONG_MARK, Frame, News, Target, WireMessage, decode, encode

HANDSHAKE_TIMEOUT = 3.0  # seconds
PAUSE = 0.1  # before something is tried again
UNANSWERED = 8.0  # after this the connection counts as dead; the server promises 5
CHECK_INTERVAL = 0.5
RECEIVE_BUFFER = 32 * 1024  # bytes, so that the server notices soon who does not read
PAGE = 200
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a reset instead of a close


class Refused(Exception):
    """The server answered with an error."""


class Connection(WSListener):
    """One connection of a device."""

    def __init__(self, device: "Device") -> None:
        self._device = device
        self._transport: WSTransport | None = None
        self._answers: dict[str, asyncio.Future[Frame]] = {}
        self._numbers = itertools.count(1)
        self.ended = asyncio.Event()
        self.waiting_since: dict[str, float] = {}  # unanswered requests

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.TEXT:
            try:
                self._take(decode(frame.get_payload_as_memoryview()))
            except Exception as error:
                self._device.errors.append(f"{self._device.name}: {error!r}")
                raise
        elif frame.msg_type is WSMsgType.CLOSE:
            self._device.closes[frame.get_close_code().value] += 1

    def _take(self, frame: Frame) -> None:
        answer = self._answers.pop(frame.request_id, None)
        self.waiting_since.pop(frame.request_id, None)
        if answer is None:
            self._device.take(self, frame)
        elif not answer.done():
            answer.set_result(frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.ended.set()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError())

    def send(self, payload: bytes, name: str) -> None:
        """Send a command; it counts as waiting until something of that name comes."""
        self.waiting_since[name] = self._device.now()
        if self._transport is not None and not self._transport.underlying_transport.is_closing():
            self._transport.send(WSMsgType.TEXT, payload)

    async def request(self, **command: Any) -> Frame:
        """Send a command and return its answer.

        Raises:
            Refused: it is an error.
            ConnectionError: the connection ended.
        """
        if self.ended.is_set():
            raise ConnectionResetError
        name = f"request-{next(self._numbers)}"
        answer = self._answers[name] = asyncio.get_running_loop().create_future()
        self.send(encode(**command, requestId=name), name)
        frame = await answer
        if frame.type in ("error", "auth_error"):
            raise Refused(frame.code)
        return frame

    def reset(self) -> None:
        """End it at once, as when a device is switched off."""
        if self._transport is not None and not self.ended.is_set():
            transport = self._transport.underlying_transport
            sock = transport.get_extra_info("socket")
            # The other side may have been quicker; a socket that is closed has no number any more.
            with suppress(OSError, ValueError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            transport.abort()

    @property
    def state(self) -> str:
        """Say what became of it."""
        if self._transport is None:
            return "not made"
        transport = self._transport.underlying_transport
        return (
            f"ended {self.ended.is_set()}, closing {transport.is_closing()}, "
            f"reading {transport.is_reading()}"
        )

    def pause(self) -> None:
        """Read nothing more."""
        if self._transport is not None and not self.ended.is_set():
            self._transport.underlying_transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None and not self.ended.is_set():
            self._transport.underlying_transport.resume_reading()


class Device:
    """One device of a user.

    Attributes:
        history: What happened since the last part of the run.
        held: Room and ``seq`` of what it got since then.
        outbox: What waits for its acknowledgement, by name, in the order of sending.
        closes: How often the server closed with which code.
        errors: Answers that nobody expects.
    """

    def __init__(
        self, name: str, user_id: str, token: str, urls: Sequence[str], chance: random.Random
    ) -> None:
        self.name = name
        self.user_id = user_id
        self.history = DeviceHistory(name, user_id)
        self.held: set[tuple[str, int]] = set()
        self.outbox: dict[str, Target] = {}
        self.targets: list[Target] = []
        self.rooms: dict[str, Room] = {}
        self.closes: dict[int, int] = Counts()
        self.errors: list[str] = []
        self.is_ready = False  # logged in and up to date
        self._token = token
        self._urls = urls
        self._chance = chance
        self._numbers = itertools.count(1)
        self._state = ""
        self._is_slow = False
        self._connection: Connection | None = None
        self._abandoned: list[Connection] = []
        self._task: asyncio.Task[None] | None = None
        self._visiting: asyncio.Task[None] | None = None
        self._trouble: BaseException | None = None  # that ended the last connection
        self.now = asyncio.get_running_loop().time

    @property
    def situation(self) -> str:
        """Say where it stands; empty when it has everything that it waits for."""
        if self._task is not None and self._task.done():
            return f"{self.name} has ended: {self._task.exception()!r}"
        if not self.is_ready:
            return self._explain()
        if self.outbox:
            return f"{self.name} waits for the answers to {list(self.outbox)[:5]}"
        return ""

    def _explain(self) -> str:
        steps = [] if self._visiting is None else where(self._visiting.get_coro())
        return f"{self.name} is not logged in and up to date, in {steps}; earlier {self._trouble!r}"

    @property
    def may_send(self) -> bool:
        return self.is_ready and not self._is_slow

    def describe(self, stored: Iterable[Stored]) -> str:
        """Say what it has of the rooms it knows, and what its connection is doing."""
        places: dict[str, list[int]] = {}
        for row in stored:
            if row.room in self.rooms and (row.room, row.seq) not in self.held:
                places.setdefault(row.room, []).append(row.seq)
        missing = ", ".join(
            f"{room}: {len(seqs)} of {seqs[0]}-{seqs[-1]}, knows {self.rooms[room].seq}"
            for room, seqs in places.items()
        )
        now = self.now()
        logins = [f"{event.at - now:.2f}" for event in self.history.events if type(event) is Login]
        heard = [
            f"{event.at - now:.2f}" for event in self.history.events if type(event) is Received
        ]
        state = "none" if self._connection is None else self._connection.state
        return (
            f"{self.name} misses {missing or 'nothing'}; logins {logins[-6:]}, "
            f"last heard {heard[-1:]}, slow {self._is_slow}, connection {state}, "
            f"closed by {dict(self.closes)}"
        )

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        for connection in [*self._abandoned, self._connection]:
            if connection is not None:
                connection.reset()

    def begin_part(self) -> None:
        """Forget what was checked."""
        self.history = DeviceHistory(self.name, self.user_id)
        self.held.clear()

    async def request(self, **command: Any) -> Frame:
        """Ask for something else.

        Raises:
            Refused: the answer is an error.
            ConnectionError: there is no connection, or it ended meanwhile.
        """
        if self._connection is None or not self.is_ready:
            raise ConnectionError
        return await self._connection.request(**command)

    def send(self, target: Target, *, is_long: bool) -> None:
        """Send a new message."""
        name = f"{self.name}-{next(self._numbers)}{LONG_MARK if is_long else ''}"
        self.outbox[name] = target
        self._send(name)

    # What can happen to it

    def reset(self) -> None:
        """Lose the connection."""
        if self._connection is not None:
            self._connection.reset()

    def abandon(self) -> None:
        """Go without a word: the old connection stays half open."""
        if (connection := self._connection) is not None:
            connection.pause()
            self._abandoned.append(connection)
            connection.ended.set()

    def bury(self) -> None:
        """End half-open connections."""
        while self._abandoned:
            connection = self._abandoned.pop()
            connection.ended.clear()
            connection.reset()

    def be_slow(self) -> None:
        """Read nothing and send nothing."""
        self._is_slow = True
        if self._connection is not None:
            self._connection.pause()

    def be_quick(self) -> None:
        """Read again."""
        self._is_slow = False
        if self._connection is not None:
            self._connection.resume()

    # What it does

    async def _run(self) -> None:
        while True:
            connection = self._connection = Connection(self)
            visit = self._visiting = asyncio.create_task(self._visit(connection))
            ended = asyncio.create_task(connection.ended.wait())
            try:
                await asyncio.wait({visit, ended}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self.is_ready = False
                for task in (visit, ended):
                    task.cancel()
                self._trouble, _ = await asyncio.gather(visit, ended, return_exceptions=True)
                if connection not in self._abandoned:
                    connection.reset()
            await asyncio.sleep(PAUSE * self._chance.random())

    async def _visit(self, connection: Connection) -> None:
        """Log in, catch up, send again, and watch that answers come."""
        await ws_connect(
            lambda: connection,
            self._chance.choice(self._urls),
            websocket_handshake_timeout=HANDSHAKE_TIMEOUT,
            socket_factory=self._connect,
            use_aiofastnet=False,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(connection))
            await self._log_in(connection)
            for name in list(self.outbox):
                self._send(name)
            await self._catch_up(connection)
            self.is_ready = True
            if self._is_slow:
                connection.pause()

    async def _connect(self, url: Any) -> socket.socket:
        sock = socket.socket()
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            async with asyncio.timeout(HANDSHAKE_TIMEOUT):
                await asyncio.get_running_loop().sock_connect(sock, (url.host, url.port))
        except BaseException:
            sock.close()
            raise
        return sock

    async def _log_in(self, connection: Connection) -> None:
        self.history.events.append(Login(self.now()))
        while True:
            try:
                await connection.request(type="authenticate", token=self._token)
                return
            except Refused as error:
                self._expect_unavailable(error)
            await asyncio.sleep(PAUSE)

    async def _catch_up(self, connection: Connection) -> None:
        while True:
            try:
                await self._sync(connection)
                return
            except Refused as error:
                self._expect_unavailable(error)
            await asyncio.sleep(PAUSE)

    async def _sync(self, connection: Connection) -> None:
        command: dict[str, Any] = {
            "type": "sync",
            "conversations": {
                name: {"seq": room.seq, "rev": room.rev} for name, room in self.rooms.items()
            },
        }
        if self._state:
            command["state"] = self._state
        state = ""
        while True:
            answer = await connection.request(**command)
            state = state or answer.state
            for news in answer.conversations:
                await self._take_news(connection, news)
            for room in answer.left:
                self.rooms.pop(room, None)
            if not answer.next:
                break
            command["next"] = answer.next
        self._state = state

    async def _take_news(self, connection: Connection, news: News) -> None:
        room = self.rooms.setdefault(news.conversation_id, Room())
        after = room.seq
        for message in news.messages:
            self._read(message)
        if not news.complete:
            try:
                await self._read_history(connection, news, after)
            except Refused as error:
                if str(error) != "RESOURCE_NOT_FOUND":
                    raise
                # Taken out of the group between the two.
                self.rooms.pop(news.conversation_id, None)
        room.note_all(news.seq, news.rev)

    async def _read_history(self, connection: Connection, news: News, after: int) -> None:
        kind, field = "get_private_messages", "conversationId"
        if news.group_id:
            kind, field = "get_group_messages", "groupId"
        while True:
            page = await connection.request(
                type=kind, after=after, limit=PAGE, **{field: news.conversation_id}
            )
            for message in page.messages:
                self._read(message)
            if not page.messages or page.pagination is None or not page.pagination.has_more:
                return
            after = page.messages[-1].seq

    async def _watch(self, connection: Connection) -> None:
        """Give a connection up that does not answer."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            waiting = connection.waiting_since
            if waiting and not self._is_slow:
                oldest = next(iter(waiting.values()))
                if self.now() - oldest > UNANSWERED:
                    raise TimeoutError(f"no answer within {UNANSWERED:g} s")

    def _expect_unavailable(self, error: Refused) -> None:
        if str(error) != "SERVICE_UNAVAILABLE":
            self.errors.append(f"{self.name}: {error}")

    def _send(self, name: str) -> None:
        target = self.outbox.get(name)
        connection = self._connection
        if target is not None and connection is not None:
            self.history.events.append(Sent(name, target.room, self.now()))
            connection.send(target.send(name), name)

    def take(self, connection: Connection, frame: Frame) -> None:
        """Take an event, or the answer to a send."""
        if connection is not self._connection:
            return
        match frame.type:
            case "message_sent" | "group_message_sent":
                self._take_ack(frame)
            case "new_private_message" | "new_group_message":
                self._receive(frame)
            case "error":
                self._take_error(connection, frame)

    def _take_ack(self, frame: Frame) -> None:
        message = frame.message
        assert isinstance(message, WireMessage)
        self.outbox.pop(message.name, None)
        self.history.events.append(
            Acked(message.name, message.conversation_id, message.seq, self.now())
        )
        self._note(message)

    def _receive(self, frame: Frame) -> None:
        message = frame.message
        assert isinstance(message, WireMessage)
        self.history.events.append(
            Received(message.name, message.conversation_id, message.seq, self.now())
        )
        self._note(message)

    def _read(self, message: WireMessage) -> None:
        self.held.add((message.conversation_id, message.seq))
        self.history.events.append(
            Read(message.name, message.conversation_id, message.seq, self.now())
        )

    def _note(self, message: WireMessage) -> None:
        self.held.add((message.conversation_id, message.seq))
        room = self.rooms.get(message.conversation_id)
        if room is None:
            room = self.rooms[message.conversation_id] = Room()
        room.note(message.seq, message.rev)

    def _take_error(self, connection: Connection, frame: Frame) -> None:
        if frame.code != "SERVICE_UNAVAILABLE" or frame.request_id not in self.outbox:
            self.errors.append(f"{self.name}: {frame.code} {frame.message} {frame.request_id}")
            return

        def repeat() -> None:
            if connection is self._connection:
                self._send(frame.request_id)

        asyncio.get_running_loop().call_later(PAUSE, repeat)


class Counts(dict[int, int]):
    """Numbers that begin at 0."""

    def __missing__(self, key: int) -> int:
        return 0


def where(coroutine: Any) -> list[str]:
    """Say what a coroutine waits for, from the outside to the inside."""
    steps = []
    while getattr(coroutine, "cr_frame", None) is not None:
        steps.append(f"{coroutine.cr_code.co_name}:{coroutine.cr_frame.f_lineno}")
        coroutine = coroutine.cr_await
    return steps
