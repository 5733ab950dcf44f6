"""Shared memory in which each process of a server leaves what the others should know.

A board has seats. Each seat has one writer at a time and any number of readers, and nobody waits:
a seat holds its payload twice, the writer fills the half that nobody reads and then turns the seat
over. A writer that is killed in the middle leaves what was there before.
"""

import mmap
from struct import Struct
from zlib import crc32

SEAT_SIZE = 512 * 1024  # bytes; the system gives memory only for what is written
_HEADER = Struct("@II")  # length of the payload, and its checksum
_FIRST = 64  # where the first half begins
_ATTEMPTS = 100


class Board:
    """Made before the processes are forked that share it."""

    def __init__(self, seats: int, seat_size: int = SEAT_SIZE) -> None:
        """Take how many seats there are, and bytes for each."""
        self.seats = seats
        self._seat_size = seat_size
        self._half = (seat_size - _FIRST) // 2
        self._memory = mmap.mmap(-1, seats * seat_size)
        # How often each seat was written; odd: its second half holds. A view, because an item of it
        # is stored at once: ``Struct.pack_into`` writes zeros first, which another process may see.
        self._turns = memoryview(self._memory).cast("Q")[:: seat_size // 8]

    def write(self, seat: int, payload: bytes) -> None:
        """Replace what a seat holds; only the writer of the seat may call this.

        Raises:
            ValueError: the payload is larger than half a seat.
        """
        if len(payload) > self._half - _HEADER.size:
            raise ValueError(f"{len(payload)} bytes: expected at most {self._half - _HEADER.size}")
        turns = self.turns(seat) + 1
        start = self._start(seat, turns)
        written = _HEADER.pack(len(payload), crc32(payload)) + payload
        self._memory[start : start + len(written)] = written
        self._turns[seat] = turns

    def read(self, seat: int) -> bytes:
        """Return what a seat holds; empty when nothing was ever written."""
        for _ in range(_ATTEMPTS):
            turns = self.turns(seat)
            if not turns:
                return b""
            start = self._start(seat, turns)
            length, checksum = _HEADER.unpack_from(self._memory, start)
            start += _HEADER.size
            payload = self._memory[start : start + length]
            # Two writes during this read may have begun to overwrite what it reads.
            if len(payload) == length and crc32(payload) == checksum:
                return payload
        raise AssertionError(f"seat {seat} is never the same twice")

    def turns(self, seat: int) -> int:
        """Return how often a seat was written."""
        return self._turns[seat]

    def _start(self, seat: int, turns: int) -> int:
        return seat * self._seat_size + _FIRST + (turns & 1) * self._half
