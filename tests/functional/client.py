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
        self._news = asyncio.Condition()
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

    async def expect(
        self, type: str | None, timeout: float = TIMEOUT, /, **fields: Any
    ) -> Frame:
        """Take the next event of a type whose fields have these values; ``None`` is any type."""
        found = await self._take(type, fields, timeout)
        if found is None:
            raise AssertionError(
                f"no {_wanted(type, fields)} within {timeout:g} s; {self._situation()}"
            )
        return found

    async def assert_nothing(self, type: str | None = None, within: float = 0.2) -> None:
        """Fail when an event of a type is unread or arrives within some seconds."""
        found = await self._take(type, {}, within)
        if found is not None:
            raise AssertionError(f"expected no {_wanted(type, {})}, but {_shown(found)} came")

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
                frame = json.loads(message) if isinstance(message, str) else None
                if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
                    self._fault = f"not an event: {message[:200]!r}"
                    break
                self.frames.append(frame)
                self.unread.append(frame)
                await self._tell()
        except ConnectionClosed:
            pass  # the close code says why
        except ValueError:
            self._fault = "a text frame that is no JSON"
        await self._tell()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def _take(
        self, type: str | None, fields: dict[str, Any], timeout: float
    ) -> Frame | None:
        """Remove and return the first match, or ``None`` when none can come any more."""

        def settled() -> bool:
            return self._find(type, fields) is not None or self._reader.done()

        async with self._news:
            try:
                async with asyncio.timeout(timeout):
                    await self._news.wait_for(settled)
            except TimeoutError:
                pass
            position = self._find(type, fields)
            return None if position is None else self.unread.pop(position)

    def _find(self, type: str | None, fields: dict[str, Any]) -> int | None:
        for position, frame in enumerate(self.unread):
            if type in (None, frame["type"]) and fields.items() <= _Items(frame):
                return position
        return None
