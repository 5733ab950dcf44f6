"""One connection of a load, as cheap as it gets: no task, no timer, one decode per event."""

import asyncio
import itertools
import json
from collections.abc import Callable
from time import monotonic
from typing import Any

import msgspec
from picows import WSCloseCode, WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

TIMEOUT = 60.0  # seconds for a connection, a log-in or an answer
READ_BUFFER = 2048  # bytes per connection; picows doubles it where it must
ABNORMAL = 1006  # RFC 6455, section 7.4.1: there was no close frame

Told = Callable[["Peer", "Seen"], None]


class PeerError(Exception):
    """A connection could not be had, ended, or was refused what a load needs."""


class SeenMessage(msgspec.Struct, rename="camel"):
    """What a load looks at in a message."""

    conversation_id: str
    sender_id: str
    seq: int
    client_message_id: str = ""


class Seen(msgspec.Struct, rename="camel"):
    """What a load looks at in an event; ``message`` is a text in some and an object in others."""

    type: str
    request_id: str = ""
    client_message_id: str = ""
    code: str = ""
    retry_after: float = 0.0
    duplicate: bool = False
    message: msgspec.Raw = msgspec.Raw()
    payload: bytes = b""  # all of it


class Silent:
    """A logger that says nothing: one of picows's own costs memory for every connection."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802
        """Say no to everything."""
        return False

    def log(self, *_: object, **__: object) -> None:
        """Say nothing."""

    debug = info = warning = error = exception = log


SILENT = Silent()
_decode = msgspec.json.Decoder(Seen).decode
decode_message = msgspec.json.Decoder(SeenMessage).decode


class Peer(WSListener):
    """A user's connection. ``told`` hears every event that answers no ``ask``."""

    def __init__(self, user_id: str, told: Told | None = None) -> None:
        """Take whose it is; ``open`` connects."""
        self.user_id = user_id
        self.told = told
        self.transport: WSTransport | None = None
        self.close_code = 0  # 0: open
        self.close_reason = ""
        self.pings = 0  # of the server
        self.has_session = False
        self.connected_in = 0.0  # seconds
        self.authenticated_in = 0.0  # seconds
        self._answers_pings = True
        self._close: tuple[int, str] | None = None
        self._asked: dict[str, asyncio.Future[Seen]] = {}
        self._numbers = itertools.count(1)
        self._ended: asyncio.Event | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is connected."""
        return self.transport is not None and not self.close_code

    async def connect(self, url: str, address: str | None = None, *, pongs: bool = True) -> None:
        """Connect, and wait for the greeting.

        Args:
            url: Of the server.
            address: Of this machine, to come from.
            pongs: Whether pings of the server are answered.

        Raises:
            PeerError: in vain.
        """
        began = monotonic()
        self._answers_pings = pongs
        greeting = self._await("greeting")
        try:
            async with asyncio.timeout(TIMEOUT):
                await ws_connect(
                    lambda: self,
                    url,
                    logger_name=SILENT,  # type: ignore[arg-type]
                    websocket_handshake_timeout=TIMEOUT,
                    enable_auto_pong=False,  # they are counted
                    read_buffer_init_size=READ_BUFFER,
                    use_aiofastnet=False,
                    local_addr=None if address is None else (address, 0),
                )
                if self.transport is None:
                    raise PeerError("the connection was cut during the handshake")
                seen = await greeting
                if seen.type == "error":
                    # It says why; the close frame says it again.
                    code, reason = await self.ended()
                    raise PeerError(f"the server closed: {code} {reason}")
        except (OSError, TimeoutError, WSError) as error:
            raise PeerError(f"no connection: {error or type(error).__name__}") from None
        finally:
            self._asked.pop("greeting", None)
        self.connected_in = monotonic() - began

    async def log_in(self, token: str, **wishes: object) -> None:
        """Authenticate; further fields are those of the command.

        Raises:
            PeerError: the server refuses, or ends the connection.
        """
        began = monotonic()
        answer = await self.insist(type="authenticate", token=token, **wishes)
        if answer["type"] != "connected":
            raise PeerError(f"user {self.user_id} cannot log in: {answer['details']}")
        self.authenticated_in = monotonic() - began
        self.has_session = True

    def send(self, **command: object) -> None:
        """Send a command, named as on the wire."""
        self.send_bytes(msgspec.json.encode(command))

    def send_bytes(self, payload: bytes) -> None:
        """Send a text as it is; nothing when the connection has ended."""
        if self.transport is not None and not self.close_code:
            self.transport.send(WSMsgType.TEXT, payload)

    async def ask(self, **command: object) -> dict[str, Any]:
        """Send a command and return its answer, be it an error.

        Raises:
            PeerError: the connection ended before, or there was no answer in time.
        """
        if not self.is_open:
            raise PeerError(f"the server closed: {self.close_code} {self.close_reason}")
        request_id = f"ask-{next(self._numbers)}"
        answer = self._await(request_id)
        self.send(**command, requestId=request_id)
        try:
            async with asyncio.timeout(TIMEOUT):
                found: dict[str, Any] = json.loads((await answer).payload)
                return found
        except TimeoutError:
            raise PeerError(f"no answer to {command.get('type')}") from None
        finally:
            self._asked.pop(request_id, None)

    async def insist(self, **command: object) -> dict[str, Any]:
        """Ask until the answer is another one than to try again later; see ``ask``."""
        end = monotonic() + TIMEOUT
        while True:
            answer = await self.ask(**command)
            if answer.get("code") != "SERVICE_UNAVAILABLE" or monotonic() > end:
                return answer
            await asyncio.sleep(float(answer.get("retryAfter", 1)))

    def ping(self) -> None:
        """Send a WebSocket ping, so that the server does not take the user for gone."""
        if self.is_open and self.transport is not None:
            self.transport.send_ping()

    def close(self) -> None:
        """Say good-bye."""
        if self.is_open and self.transport is not None:
            self.transport.send_close(WSCloseCode.OK)
            self.transport.disconnect()

    def cut(self) -> None:
        """End without a word."""
        if self.transport is not None:
            self.transport.disconnect(graceful=False)

    async def ended(self, timeout: float = TIMEOUT) -> tuple[int, str]:
        """Wait for the end; return close code and reason.

        Raises:
            PeerError: it goes on.
        """
        self._ended = self._ended or asyncio.Event()
        if not self.close_code:
            try:
                async with asyncio.timeout(timeout):
                    await self._ended.wait()
            except TimeoutError:
                raise PeerError(f"the connection was still open after {timeout:g} s") from None
        return self.close_code, self.close_reason

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Keep what is written to."""
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take an event, or the close frame."""
        if frame.msg_type == WSMsgType.TEXT:
            self._take(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            payload = frame.get_payload_as_bytes()
            code = int.from_bytes(payload[:2], "big")
            self._close = (code, payload[2:].decode(errors="replace"))
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        elif frame.msg_type == WSMsgType.PING:
            self.pings += 1
            if self._answers_pings:
                transport.send_pong(frame.get_payload_as_bytes())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Take note of the end."""
        self.close_code, self.close_reason = self._close or (ABNORMAL, "cut")
        for answer in self._asked.values():
            if not answer.done():
                code, reason = self.close_code, self.close_reason
                answer.set_exception(PeerError(f"the server closed: {code} {reason}"))
                answer.exception()  # perhaps nobody waits any more
        if self._ended is not None:
            self._ended.set()

    def pause_writing(self) -> None:
        """Go on: loads bound what is on its way."""

    def resume_writing(self) -> None:
        """Nothing was paused."""

    def _await(self, name: str) -> "asyncio.Future[Seen]":
        answer: asyncio.Future[Seen] = asyncio.get_running_loop().create_future()
        self._asked[name] = answer
        return answer

    def _take(self, payload: bytes) -> None:
        seen = _decode(payload)
        if self._asked:
            name = seen.request_id
            if not name and seen.type in ("connected", "error"):
                # The greeting, or the reason why there is none.
                name = "greeting"
            answer = self._asked.get(name)
            if answer is not None and not answer.done():
                seen.payload = payload
                answer.set_result(seen)
                return
        if self.told is not None:
            self.told(self, seen)
