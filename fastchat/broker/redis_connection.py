"""One connection to one Redis server: RESP3, pipelined, watched. Hot path.

Commands go out once per turn of the event loop, all in one write; answers come in the order of the
commands, and published messages in between, as pushes. A server that is silent although it was
asked is given up, since neither a frozen process nor a cut wire says so.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import hiredis
from hiredis import HiredisError, PushNotification, Reader, ReplyError

from fastchat.broker.redis_address import RedisAddress

OLDEST_VERSION = (6, 2)
SHARDED_SINCE = (7, 0)  # sharded publish and subscribe
CONFIRMATIONS = (b"subscribe", b"ssubscribe")
MESSAGES = (b"message", b"smessage")
LONGEST_REFUSAL = 200  # characters
NOTHING_YET = object()
# Its own annotation allows but one word.
pack = cast("Callable[[tuple[str | bytes, ...]], bytes]", hiredis.pack_command)


class RedisRefusal(Exception):
    """The server answered with an error; the text holds no secret."""


@dataclass(frozen=True, slots=True)
class RedisTimings:
    """How patient we are with servers; all in seconds."""

    ping_interval: float = 1.0
    patience: float = 3.0  # silence after which a server that was asked is given up
    connect_timeout: float = 2.0  # for connecting, TLS and log-in together
    first_delay: float = 0.1  # before the next attempt; doubles from attempt to attempt
    longest_delay: float = 2.0
    refresh_interval: float = 10.0  # how often the slots of a cluster are read anew


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a server says about itself when it is greeted."""

    name: str
    version: tuple[int, ...]
    mode: str  # standalone, cluster or sentinel
    role: str  # master or replica

    @classmethod
    def read(cls, answer: Any) -> "Greeting":
        """Read the answer of HELLO.

        Raises:
            RedisRefusal: it makes no sense.
        """
        try:
            return cls(
                name=answer[b"server"].decode(),
                version=tuple(map(int, re.findall(rb"[0-9]+", answer[b"version"])[:3])),
                mode=answer[b"mode"].decode(),
                role=answer[b"role"].decode(),
            )
        except (KeyError, TypeError, AttributeError):
            raise RedisRefusal("expected the greeting of Redis, found something else") from None

    @property
    def is_cluster(self) -> bool:
        """Whether the slots are spread over several servers."""
        return self.mode == "cluster"

    @property
    def is_sharded(self) -> bool:
        """Whether messages can stay on the server of their slot."""
        return self.is_cluster and self.version >= SHARDED_SINCE

    def __str__(self) -> str:
        """Return name and version for people."""
        return f"{self.name.capitalize()} {'.'.join(map(str, self.version))}"


class RedisConnection(asyncio.Protocol):
    """Made by ``connect``; ends by itself, by ``close``, or by ``lose``.

    Callbacks, none of which may raise: ``on_message(connection, channel, payload)`` for each
    published message, ``on_gone(connection, channel)`` when the server ended a subscription by
    itself, ``on_refusal(connection, text)`` when it refused a ``publish``, and
    ``on_lost(connection, reason)`` once, unless it was closed by us.
    """

    greeting: Greeting

    def __init__(
        self,
        timings: RedisTimings,
        *,
        on_message: Callable[["RedisConnection", bytes, bytes], None],
        on_gone: Callable[["RedisConnection", bytes], None],
        on_refusal: Callable[["RedisConnection", str], None],
        on_lost: Callable[["RedisConnection", str], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._timings = timings
        self._on_message = on_message
        self._on_gone = on_gone
        self._on_refusal = on_refusal
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._reader = Reader(notEnoughData=NOTHING_YET)
        self._waiters: deque[asyncio.Future[Any] | None] = deque()  # None: of a publish
        self._gathered: list[bytes] = []
        self._gathered_size = 0
        self._heard = 0.0  # when the last bytes came
        self._pings = 0  # without an answer yet
        self._timer: asyncio.TimerHandle | None = None
        self._is_greeted = False

    @classmethod
    async def connect(
        cls, address: RedisAddress, timings: RedisTimings, name: str, **callbacks: Any
    ) -> "RedisConnection":
        """Connect and log in.

        Args:
            address: Of the server.
            timings: How long all that may take, and how it is watched from then on.
            name: What the server calls this connection in its lists.
            callbacks: See the class.

        Raises:
            OSError: it cannot be reached, within the time.
            RedisRefusal: it does not let us in, or is too old.
        """
        connection = cls(timings, **callbacks)
        try:
            async with asyncio.timeout(timings.connect_timeout):
                await connection._reach(address)
                await connection._greet(address, name)
            if not connection.is_open:
                raise ConnectionError("the server closed the connection")
        except TimeoutError:
            connection.close()
            raise TimeoutError(f"no answer within {timings.connect_timeout:g} s") from None
        except BaseException:
            connection.close()
            raise
        return connection

    async def _reach(self, address: RedisAddress) -> None:
        tls = address.tls_context()
        if address.path:
            await self._loop.create_unix_connection(lambda: self, address.path)
        else:
            try:
                await self._loop.create_connection(
                    lambda: self, address.host, address.port, ssl=tls
                )
            except UnicodeError:
                raise OSError(f"{address.host!r} is no name of a host") from None

    async def _greet(self, address: RedisAddress, name: str) -> None:
        credentials = address.credentials()
        login = ("AUTH", *credentials) if credentials else ()
        shown_name = re.sub(r"[^!-~]", "_", name)
        try:
            found = await self.call("HELLO", "3", *login, "SETNAME", shown_name)
        except RedisRefusal as refusal:
            if "unknown command" in str(refusal):
                raise RedisRefusal(f"an old Redis, expected {_version(OLDEST_VERSION)}") from None
            raise
        self.greeting = Greeting.read(found)
        if self.greeting.version < OLDEST_VERSION:
            raise RedisRefusal(f"{self.greeting}, expected {_version(OLDEST_VERSION)} or later")
        if self.greeting.mode == "sentinel":
            raise RedisRefusal("this is a sentinel, expected the server that it watches")
        self._is_greeted = True
        self._watch()

    @property
    def is_open(self) -> bool:
        """Whether what is sent now may arrive."""
        return self._transport is not None

    @property
    def backlog(self) -> int:
        """Bytes that the socket has yet to take; 0 without a connection."""
        if self._transport is None:
            return 0
        return self._gathered_size + self._transport.get_write_buffer_size()

    def publish(self, command: bytes, channel: bytes, payload: bytes) -> None:
        """Send a message; ``command`` is PUBLISH or SPUBLISH. Without a connection: nothing."""
        self._put(pack((command, channel, payload)), None)

    async def call(self, *command: str | bytes) -> Any:
        """Ask something and return the answer.

        Raises:
            RedisRefusal: the answer is an error.
            OSError: the connection is lost.
        """
        if self._transport is None:
            raise ConnectionError("the connection is closed")
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._put(pack(command), answer)
        return await answer

    async def check_role(self) -> None:
        """Lose a master that has become a replica: others are connected to its successor.

        Raises:
            OSError: it was lost, now or before.
            RedisRefusal: it does not say.
        """
        found = Greeting.read(await self.call("HELLO", "3"))
        if (self.greeting.role, found.role) == ("master", "replica"):
            self.lose("the server has become a replica")
            raise ConnectionError("the server has become a replica")

    async def finish(self) -> None:
        """Wait until the server has acted upon all that was sent, or the connection is lost."""
        with suppress(OSError, RedisRefusal):
            await self.call("PING")

    def close(self) -> None:
        """End it, without another call of ``on_lost``; what was not sent yet is lost."""
        self._end("the connection is closed")

    def lose(self, reason: str) -> None:
        """End it as if the wire had broken."""
        if self._transport is not None:
            is_greeted = self._is_greeted
            self._end(reason)
            if is_greeted:
                self._on_lost(self, reason)

    def _end(self, reason: str) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._gathered.clear()
        self._gathered_size = 0
        for waiter in self._waiters:
            if waiter is not None and not waiter.done():
                waiter.set_exception(ConnectionError(reason))
        self._waiters.clear()

    def _put(self, command: bytes, waiter: asyncio.Future[Any] | None) -> None:
        if self._transport is None:
            return
        if not self._gathered:
            self._loop.call_soon(self._flush)
        self._gathered.append(command)
        self._gathered_size += len(command)
        self._waiters.append(waiter)

    def _flush(self) -> None:
        if self._transport is not None and self._gathered:
            self._transport.write(b"".join(self._gathered))
            self._gathered.clear()
            self._gathered_size = 0

    def _watch(self) -> None:
        """Ask for a sign of life, and look again when it is due at the latest."""
        self._heard = self._loop.time()
        self._due(self._timings.ping_interval)

    def _due(self, delay: float) -> None:
        due = self._loop.time() + delay
        self._timer = self._loop.call_at(due, self._look, due)

    def _look(self, due: float) -> None:
        now = self._loop.time()
        if now - due > self._timings.ping_interval:
            # We were late ourselves: what the server said meanwhile has yet to be read.
            self._heard = now
        if self._pings and now - self._heard >= self._timings.patience:
            self.lose(f"no answer within {self._timings.patience:g} s")
            return
        if not self._pings:
            self._pings += 1
            answer: asyncio.Future[Any] = self._loop.create_future()
            answer.add_done_callback(self._answered)
            self._put(pack(("PING",)), answer)
        rest = self._heard + self._timings.patience - now
        self._due(max(0.001, min(self._timings.ping_interval, rest)))

    def _answered(self, answer: asyncio.Future[Any]) -> None:
        self._pings = 0
        if not answer.cancelled():
            answer.exception()  # taken: what a refused PING says does not matter, it was answered

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Tell who waits, unless it was us who ended it."""
        self.lose(_reason(error))

    def data_received(self, data: bytes) -> None:
        """Give answers to those who wait, and messages to their callback."""
        self._heard = self._loop.time()
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not NOTHING_YET:
                if type(reply) is PushNotification:
                    self._pushed(reply)
                elif self._waiters:
                    self._resolve(reply)
        except HiredisError as error:
            self.lose(f"expected the protocol of Redis, found something else ({error})")

    def _pushed(self, push: list[Any]) -> None:
        kind = push[0]
        if kind in MESSAGES:
            try:
                self._on_message(self, push[1], push[2])
            except Exception as error:
                # A bug in what one message means must not end the connection of all.
                self._loop.call_exception_handler(
                    {"message": "a message of another worker failed", "exception": error}
                )
        elif kind in CONFIRMATIONS and self._waiters:
            # In RESP3 a subscription is answered by a push, at its place among the answers.
            self._resolve(push[1])
        elif kind == b"sunsubscribe":
            self._on_gone(self, push[1])

    def _resolve(self, reply: Any) -> None:
        waiter = self._waiters.popleft()
        if waiter is None:
            if isinstance(reply, ReplyError):
                self._on_refusal(self, _without_arguments(str(reply)))
        elif waiter.done():
            return
        elif isinstance(reply, ReplyError):
            waiter.set_exception(RedisRefusal(_without_arguments(str(reply))))
        else:
            waiter.set_result(reply)


def explain(failure: OSError | RedisRefusal) -> str:
    """Return what failed, for people; a timeout has no text of its own."""
    return str(failure) or "no answer in time"


def _reason(error: Exception | None) -> str:
    return f"the connection broke ({error})" if error else "the server closed the connection"


def _without_arguments(text: str) -> str:
    # An unknown command is answered with its arguments, the password among them.
    return text.partition(", with args")[0][:LONGEST_REFUSAL]


def _version(version: tuple[int, ...]) -> str:
    return f"Redis {'.'.join(map(str, version))}"
