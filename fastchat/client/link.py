"""One connection to the server, on picows: texts in, texts out, and how it ended."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable

from picows import (
    WSAutoPingStrategy,
    WSCloseCode,
    WSError,
    WSFrame,
    WSHandshakeError,
    WSInvalidURL,
    WSListener,
    WSMsgType,
    WSTransport,
    ws_connect,
)

from fastchat.client.pauses import ABNORMAL, Ending

CONNECT_TIMEOUT = 10.0  # seconds
HEARTBEAT = 20.0  # seconds between pings
PONG_TIMEOUT = 10.0  # seconds; without a pong by then the connection is half open
GOODBYE = 2.0  # seconds for the other side to close the socket
NO_CODE = 1005  # RFC 6455, section 7.4.1: the close frame was empty
MAX_MESSAGE = 16 * 1024 * 1024  # bytes

log = logging.getLogger("fastchat.client")


class CannotConnect(Exception):
    """There was no connection; ``ending`` says why."""

    def __init__(self, ending: Ending) -> None:
        """Take how the attempt ended."""
        super().__init__(ending.reason)
        self.ending = ending


class Link(WSListener):
    """A connection. ``receive`` gets each text as bytes; ``lost`` is called once, at the end."""

    def __init__(self, receive: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        """Take what is called; use ``open`` instead."""
        self._receive = receive
        self._lost = lost
        self._transport: WSTransport | None = None
        self._pieces: list[bytes] = []
        self._fault = ""
        self._is_abandoned = False  # nobody waits for it any more
        self._close: tuple[int, str] | None = None
        self._ended = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(
        cls,
        url: str,
        receive: Callable[[bytes], None],
        lost: Callable[[], None],
        *,
        tls: ssl.SSLContext | None = None,
        local_address: str | None = None,
        heartbeat: float = HEARTBEAT,
        pong_timeout: float = PONG_TIMEOUT,
    ) -> "Link":
        """Connect.

        Raises:
            CannotConnect: nobody listens, it took too long, or the handshake was refused.
            ValueError: the URL is none of a WebSocket.
        """
        link = cls(receive, lost)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await ws_connect(
                    lambda: link,
                    url,
                    ssl_context=tls,
                    local_addr=None if local_address is None else (local_address, 0),
                    logger_name=log,
                    websocket_handshake_timeout=CONNECT_TIMEOUT,
                    max_frame_size=MAX_MESSAGE,
                    max_redirects=0,
                    enable_auto_ping=True,
                    # Whatever comes in: a client that only listens must be heard, too.
                    auto_ping_strategy=WSAutoPingStrategy.PING_PERIODICALLY,
                    auto_ping_idle_timeout=heartbeat,
                    auto_ping_reply_timeout=pong_timeout,
                )
        except WSHandshakeError as error:
            status = int(error.response.status) if error.response is not None else 0
            reason = f"the handshake was refused with HTTP {status}" if status else str(error)
            raise CannotConnect(Ending(ABNORMAL, reason, status=status)) from None
        except TimeoutError:
            link._is_abandoned = True
            raise CannotConnect(Ending(ABNORMAL, "no connection in time")) from None
        except WSInvalidURL:
            raise ValueError(f"{url!r}: expected a ws:// or wss:// URL") from None
        except (OSError, WSError) as error:
            raise CannotConnect(Ending(ABNORMAL, _reason(error))) from None
        except asyncio.CancelledError:
            # picows goes on shaking hands.
            link._is_abandoned = True
            raise
        # picows takes a connection that was cut during the handshake for one that exists.
        if link._transport is None:
            raise CannotConnect(Ending(ABNORMAL, "the connection was cut during the handshake"))
        return link

    @property
    def is_open(self) -> bool:
        """Whether what is sent has a chance to arrive."""
        return not self._ended.done()

    def send(self, payload: bytes) -> None:
        """Send one text; at the end of the connection it is lost."""
        if self._transport is not None and self.is_open:
            self._transport.send(WSMsgType.TEXT, payload)

    def close(self) -> None:
        """Say good-bye; the end comes when the server has closed, or soon."""
        if self._transport is not None and self.is_open:
            self._leave(WSCloseCode.OK)

    def fail(self, reason: str) -> None:
        """Give up this connection, which is of no use any more."""
        self._fault = self._fault or reason
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    async def ended(self) -> Ending:
        """Wait for the end, and return how it came."""
        await asyncio.shield(self._ended)
        # What picows found wrong is told by the close frame it sent; it is raised here only.
        with contextlib.suppress(WSError):
            if self._transport is not None:
                await self._transport.wait_disconnected()
        if self._close is not None:
            return Ending(*self._close)
        return Ending(ABNORMAL, self._fault or "the connection was cut")

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Keep what is written to."""
        self._transport = transport
        if self._is_abandoned:
            transport.disconnect(graceful=False)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take a message, or the close frame."""
        if frame.msg_type == WSMsgType.CLOSE:
            payload = frame.get_payload_as_bytes()
            code = int.from_bytes(payload[:2], "big") or NO_CODE
            self._close = (code, payload[2:].decode(errors="replace"))
            self._leave(WSCloseCode.OK)
        elif frame.msg_type in (WSMsgType.TEXT, WSMsgType.CONTINUATION):
            self._take(frame.get_payload_as_bytes(), frame.fin)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Tell the end."""
        handshake = transport.close_handshake
        if not self._fault and self._close is None and handshake is not None and handshake.sent:
            # picows closes by itself when a ping has no answer.
            self._fault = handshake.sent.reason or ""
        self._ended.set_result(None)
        self._lost()

    def pause_writing(self) -> None:
        """Go on: what is written is bounded by the outbox and by the answers that are awaited."""

    def resume_writing(self) -> None:
        """Nothing was paused."""

    def _take(self, piece: bytes, is_last: bool) -> None:
        if self._pieces or not is_last:
            self._pieces.append(piece)
            if sum(map(len, self._pieces)) > MAX_MESSAGE:
                self.fail("the server sent a message that is too big")
            if not is_last:
                return
            piece = b"".join(self._pieces)
            self._pieces.clear()
        self._receive(piece)

    def _leave(self, code: WSCloseCode) -> None:
        assert self._transport is not None
        self._transport.send_close(code)
        self._transport.disconnect()
        # The other side may never read, and then the socket would stay.
        asyncio.get_running_loop().call_later(GOODBYE, self._transport.disconnect, False)


def _reason(error: OSError | WSError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
