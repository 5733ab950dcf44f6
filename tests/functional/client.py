"""A chat client for functional tests: every frame is kept and every wait is bounded.

Frames that nobody has asked for yet stay in order in ``unread``; an ``expect`` takes the first one
that matches and leaves the rest for later. A wait that ends in vain says what came instead.
"""

import asyncio
import itertools
import json
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

Frame = dict[str, Any]
TIMEOUT = 5.0  # seconds
SHOWN = 10  # frames in a failure, the last ones


class ChatClient:
    """One connection to a chat server; ``async with`` closes it."""

    def __init__(self, websocket: ClientConnection) -> None:
        """Begin to read; use ``connect`` or ``open`` instead."""
        self.websocket = websocket
        self.frames: list[Frame] = []  # everything that came, in order
        self.unread: list[Frame] = []  # what no expect has taken yet
        self.user: Frame = {}
        self.client_id = ""
        self._fault: str | None = None
        self._ended = False
        self._waiters: set[asyncio.Future[None]] = set()
        self._numbers = itertools.count(1)
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, url: str, **options: Any) -> Self:
        """Connect and wait for nothing; options go to ``websockets``, like ``compression``."""
        settings: dict[str, Any] = {
            "compression": None,
            "max_size": None,
            "ping_interval": None,
            "open_timeout": TIMEOUT,
            "close_timeout": TIMEOUT,
            "proxy": None,
        }
        return cls(await connect(url, **(settings | options)))

    @classmethod
    async def connect(cls, url: str, token: str | None = None, **options: Any) -> Self:
        """Connect and wait for the greeting; with a token, authenticate and wait for the next."""
        client = await cls.open(url, **options)
        try:
            greeting = await client.expect("connected")
            client.client_id = greeting["clientId"]
            if token is not None:
                await client.authenticate(token)
        except BaseException:
            await client.close()
            raise
        return client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def authenticate(self, token: str, **fields: Any) -> Frame:
        """Log in; events that were queued for the user stay in ``unread``."""
        await self.send(type="authenticate", token=token, **fields)
        connected = await self.expect("connected")
        self.user = connected["user"]
        return connected

    async def send(self, **command: Any) -> None:
        """Send one command, named as on the wire: ``send(type="ping")``."""
        await self.send_text(json.dumps(command, ensure_ascii=False))

    async def send_text(self, text: str) -> None:
        """Send one text frame as it is, valid or not."""
        async with asyncio.timeout(TIMEOUT):
            await self.websocket.send(text)

    async def request(self, *, timeout: float = TIMEOUT, **command: Any) -> Frame:
        """Send a command and return its answer, be it an error."""
        request_id = f"request-{next(self._numbers)}"
        await self.send(**command, requestId=request_id)
        return await self.expect(None, timeout, requestId=request_id)

    async def expect(self, type: str | None, timeout: float = TIMEOUT, **fields: Any) -> Frame:
        """Take the next event of a type whose fields have these values; ``None`` is any type."""
        found = await self._take(type, fields, timeout)
        if found is None:
            raise AssertionError(
                f"no {_wanted(type, fields)} within {timeout:g} s; {self._situation()}"
            )
        return found

    async def assert_nothing(self, type: str | None = None, within: float = 0.2) -> None:
        """Fail when an event of a type is unread or comes within some seconds, or at the end."""
        found = await self._take(type, {}, within)
        if found is not None:
            raise AssertionError(f"expected no {_wanted(type, {})}, but {_shown(found)} came")
        if self._ended:
            raise AssertionError(f"expected to stay connected; {self._situation()}")

    async def wait_closed(self, timeout: float = TIMEOUT) -> tuple[int | None, str | None]:
        """Wait until the server has closed, and return its close code and reason."""
        try:
            async with asyncio.timeout(timeout):
                await self.websocket.wait_closed()
                await asyncio.shield(self._reader)
        except TimeoutError:
            message = f"not closed within {timeout:g} s; {self._situation()}"
            raise AssertionError(message) from None
        return self.close_code, self.close_reason

    @property
    def close_code(self) -> int | None:
        """``None`` while open; 1006 when the connection was cut without a close frame."""
        return self.websocket.close_code

    @property
    def close_reason(self) -> str | None:
        """``None`` while open."""
        return self.websocket.close_reason

    def look_at(self, frame: Frame) -> None:
        """See every frame as it comes; for those who want to."""

    async def close(self) -> None:
        """Close and stop reading; harmless when already closed."""
        try:
            async with asyncio.timeout(TIMEOUT):
                await self.websocket.close()
        except TimeoutError:
            self.websocket.transport.abort()
        await self._stop_reading()

    async def cut(self) -> None:
        """Drop the connection without a close frame, as a network does."""
        self.websocket.transport.abort()
        await self._stop_reading()

    async def _stop_reading(self) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        try:
            async for message in self.websocket:
                frame = _decode(message)
                if frame is None:
                    self._fault = f"no event: {message[:200]!r}"
                    break
                self.look_at(frame)
                self.frames.append(frame)
                self.unread.append(frame)
                self._wake()
        except ConnectionClosed:
            pass  # the close code says why
        finally:
            self._ended = True
            self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _take(self, type: str | None, fields: dict[str, Any], timeout: float) -> Frame | None:
        """Remove and return the first match; ``None`` when there is none in time, or ever."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            for position, frame in enumerate(self.unread):
                if _matches(frame, type, fields):
                    return self.unread.pop(position)
            if self._ended or loop.time() >= deadline:
                return None
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiters.add(waiter)
            try:
                await asyncio.wait([waiter], timeout=deadline - loop.time())
            finally:
                self._waiters.discard(waiter)

    def _situation(self) -> str:
        """What a failure message needs to know."""
        frames = [_shown(frame) for frame in self.unread[-SHOWN:]]
        came = f"{len(self.unread)} other: {', '.join(frames)}" if frames else "nothing else"
        state = "still open"
        if self._fault:
            state = self._fault
        elif self._ended:
            state = f"closed {self.close_code} {self.close_reason!r}"
        return f"unread: {came}; connection: {state}"


def _decode(message: str | bytes) -> Frame | None:
    try:
        frame = json.loads(message) if isinstance(message, str) else None
    except ValueError:
        return None
    is_event = isinstance(frame, dict) and isinstance(frame.get("type"), str)
    return frame if is_event else None


def _matches(frame: Frame, type: str | None, fields: dict[str, Any]) -> bool:
    return type in (None, frame["type"]) and all(
        name in frame and frame[name] == value for name, value in fields.items()
    )


def _wanted(type: str | None, fields: dict[str, Any]) -> str:
    return f"{type or 'event'} {fields}" if fields else type or "event"


def _shown(frame: Frame) -> str:
    text = json.dumps(frame, ensure_ascii=False)
    return text if len(text) <= 300 else text[:300] + "…"
