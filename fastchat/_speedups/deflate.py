"""permessage-deflate without context takeover: each message is compressed for itself.

Neither side keeps a window between messages, so an idle connection costs nothing and one compressed
event serves every receiver.

Source: RFC 7692, section 7.2.
"""

import zlib

WINDOW_BITS = 13  # 8 KiB: events are small, and a larger window costs memory without gain
LEVEL = 3
MEMORY_LEVEL = 7
_TAIL = b"\x00\x00\xff\xff"


class TooLarge(Exception):
    """A message that would be larger than allowed once inflated."""


class Deflater:
    """Compresses one message after the other, each independent of those before."""

    def __init__(self, window_bits: int) -> None:
        """Take the base-two logarithm of the window, 9 to 15."""
        self._stream = zlib.compressobj(
            LEVEL, zlib.DEFLATED, -window_bits, MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY
        )

    def deflate(self, payload: bytes) -> bytes:
        """Compress one message. A full flush forgets everything that came before."""
        stream = self._stream
        body = stream.compress(payload) + stream.flush(zlib.Z_FULL_FLUSH)
        return body[: -len(_TAIL)]


def inflate(payload: bytes, most: int) -> bytes:
    """Restore one message of at most ``most`` bytes; memory and time are bounded by that.

    Raises:
        TooLarge: the message is larger.
        ValueError: the payload is no deflate stream.
    """
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        message = stream.decompress(payload + _TAIL, most + 1)
    except zlib.error as error:
        raise ValueError("not a deflate stream") from error
    if len(message) > most:
        raise TooLarge
    # A peer may end its stream with a final block (RFC 7692, section 7.2.3.4). More blocks after
    # that are refused: a stream of empty final blocks would cost much time for few bytes.
    if stream.unconsumed_tail or stream.unused_data.strip(b"\x00\xff"):
        raise ValueError("data after the end of the deflate stream")
    return message
