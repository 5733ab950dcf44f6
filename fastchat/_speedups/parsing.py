"""picows's frame parser, without a socket of its own.

A parser is fed with a handshake that was answered before, so that it is ready for frames. What it
would write or close by itself goes nowhere; everything it finds reaches its listener.
"""

from typing import Any

from picows import WSUpgradeResponse, WSUpgradeResponseWithListener
from picows.picows import WSAutoPingStrategy, WSProtocol  # type: ignore[attr-defined]

BUFFER_SIZE = 2048  # bytes; the smallest first buffer that picows takes
READ_SIZE = 1792  # bytes of it that are read into

_HEAD = (
    b"GET / HTTP/1.1\r\nHost: -\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class _Detached:
    """What picows takes for its socket."""

    def get_extra_info(self, name: str) -> object:
        """Give itself as the socket, and nothing else."""
        return self if name == "socket" else None

    def ignore(self, *args: object) -> int:
        """Do nothing."""
        return 0

    write = close = abort = setsockopt = getsockopt = get_write_buffer_size = ignore

    def fileno(self) -> int:
        """Give no file."""
        return -1


DETACHED = _Detached()


def make_parser(connection: Any, max_message: int) -> Any:
    """Make a parser whose listener and logger is the connection; about 15 µs."""
    response = WSUpgradeResponse.create_101_response()

    def listener(request: object) -> WSUpgradeResponseWithListener:
        return WSUpgradeResponseWithListener(response, connection)

    # No host, path or client side; no time-outs, pings and pongs of picows's own.
    parser = WSProtocol(
        None,
        None,
        False,
        listener,
        connection,
        True,
        None,
        False,
        None,
        None,
        WSAutoPingStrategy.PING_WHEN_IDLE,
        False,
        max_message,
        None,
        BUFFER_SIZE,
    )
    parser.connection_made(DETACHED)
    parser.get_buffer(-1)[: len(_HEAD)] = _HEAD
    parser.buffer_updated(len(_HEAD))
    return parser
