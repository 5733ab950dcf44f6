"""What the workers of a host share to count together: made before they are forked.

Words of 64 bits in a shared mapping: keys, in buckets, and an arena with an entry for each key and
rings with the stamps of windows. Only who has the lock adds keys, takes entries away or replaces
rings. What is asked for each message (``SharedWindow``) needs no lock.

A process may be killed at any store. So each change is made where nobody looks, and one last store
makes it count: what was only begun is then nothing, or a ring that nobody finds again. An entry has
a word for each process: whether that uses the entry, and how many connections it has. The word
counts only while the number of the run in it is that of the process on its seat, so all that a
process had is given back at the moment its run is struck off.

Source: docs/decisions/0002-shared-limits.md.
"""

import mmap
import secrets
from array import array
from collections.abc import Iterator
from hashlib import blake2b

from fastchat._speedups import SharedWindow
from fastchat._speedups.shared_layout import (
    CLOSED,
    INDEX,
    RING,
    SEATS,
    SIZE_SHIFT,
    TAIL,
    TICKS,
    TURN_BITS,
    WINDOW,
)
from fastchat.admission.lock import HostLock

WAYS = 16  # keys of a bucket
FEW = 4  # keys in a bucket from which on places of others are used again
FIRST_RING = 3  # binary logarithm of the stamps in a new ring
PER_CONNECTION = 16  # entries; a user and an address have three, and a bucket is rarely full then
LEAST_ENTRIES = 1 << 14
MOST_ENTRIES = 1 << 22
LEAST_ARENA = 256 << 20  # bytes; the system gives memory only for what is written
ARENA_PER_ENTRY = 1024  # bytes
MAP_NORESERVE = 0x4000  # of mmap(2), on Linux: what is never written is not set aside

WORD = 8  # bytes
LINE = 8  # words of a cache line
BUMP = 0  # index of the word that says where the unused part of the arena begins
FREE = 0  # plus the binary logarithm of a size: the first free ring of that size; 0: none
CLASSES = 56

RUN_SHIFT = 24  # of the word of a process: above it the number of its run
HELD = 1 << 23  # it uses the entry
COUNT = HELD - 1  # its connections


class WindowTable:
    """Entries by key, with a ring of stamps each."""

    def __init__(self, seats: int, entries: int = LEAST_ENTRIES, arena: int = LEAST_ARENA) -> None:
        """Make it, empty.

        Args:
            seats: Of the processes; a seat has one process at a time.
            entries: Keys at most; while no more than a quarter are in use, all find a place.
            arena: Bytes for entries and stamps.
        """
        self.seats = seats
        self.lock = HostLock()
        self._secret = secrets.token_bytes(16)
        self._buckets = -(-entries // WAYS)
        self._stride = _round_up(SEATS + seats)
        self._runs = _round_up(CLASSES)
        self._keys = self._runs + _round_up(seats)
        self._places = self._keys + self._buckets * WAYS  # where the entry of each key is
        self._arena = _round_up(self._places + self._buckets * WAYS)
        self._end = self._arena + arena // WORD
        flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | MAP_NORESERVE
        self._memory = mmap.mmap(-1, self._end * WORD, flags=flags)
        self.words = memoryview(self._memory).cast("Q")
        self.words[BUMP] = self._arena

    @classmethod
    def for_host(cls, seats: int, workers: int, max_connections: int) -> "WindowTable":
        """Make one that has room for the users and addresses of full workers, and for others.

        Raises:
            OSError: the system has no memory for it.
        """
        wanted = PER_CONNECTION * workers * max_connections
        entries = min(max(wanted, LEAST_ENTRIES), MOST_ENTRIES)
        return cls(seats, entries, max(LEAST_ARENA, entries * ARENA_PER_ENTRY))

    def join(self, seat: int, run: int) -> None:
        """Let a process count; ``run`` is its number, above 0 and never used twice."""
        self.words[self._runs + seat] = run

    def leave(self, seat: int) -> None:
        """Give back all that a process had; only once it has ended."""
        self.words[self._runs + seat] = 0

    def key_of(self, kind: str, name: str) -> int:
        """Return the key of a name; nobody outside can make two names with the same one."""
        data = name.encode(errors="surrogateescape")
        digest = blake2b(data, digest_size=WORD, key=self._secret, person=kind.encode())
        return int.from_bytes(digest.digest()) or 1

    def hold(self, key: int, window: int, seat: int, now: float) -> int:
        """Find or make the entry of a key and keep it for a process; needs the lock.

        Args:
            key: As from ``key_of``.
            window: Ticks after which a stamp counts no more.
            seat: Of the process, which does not hold the entry yet.
            now: Monotonic seconds.

        Returns:
            Where the entry begins; 0 when there is no room.
        """
        first, keys = self._bucket(key)
        if key in keys:
            entry = self._entry(first + keys.index(key))
        else:
            index = self._find_room(first, keys, int(now * TICKS))
            if index is None:
                return 0
            entry = self._entry(index) or self._make_entry(index)
            if not entry or not self._prepare(entry, window):
                return 0
            self.words[self._keys + index] = key
        self.set_connections(entry, seat, 0)
        return entry

    def release(self, key: int, entry: int, seat: int, now: float) -> None:
        """Keep an entry no more; its stamps stay until they have left the window.

        What has more than a first ring gives that back when nobody else needs it.
        """
        words = self.words
        has_much = words[entry + RING] >> SIZE_SHIFT > FIRST_RING
        words[entry + SEATS + seat] = 0
        if has_much and self.lock.acquire():
            try:
                first, keys = self._bucket(key)
                index = first + keys.index(key) if key in keys else -1
                # Another process may have given the place away already.
                is_there = index >= 0 and self._entry(index) == entry
                if is_there and self._is_unused(entry, int(now * TICKS)):
                    words[self._keys + index] = 0
                    self._give_rings(entry)
            finally:
                self.lock.release()

    def set_connections(self, entry: int, seat: int, connections: int) -> None:
        """Say how many connections a process has that holds the entry."""
        run = self.words[self._runs + seat]
        self.words[entry + SEATS + seat] = run << RUN_SHIFT | HELD | connections

    def connections_elsewhere(self, entry: int, seat: int) -> int:
        """Return how many connections the other processes have."""
        total = sum(word & COUNT for word in self._living(entry))
        own = self.words[entry + SEATS + seat]
        return total - (own & COUNT if own >> RUN_SHIFT == self.words[self._runs + seat] else 0)

    def make_room(self, window: SharedWindow, now: float) -> bool:
        """Give a window a ring twice as large where it needs one; needs the lock.

        Returns:
            False when there is no memory left for it.
        """
        if not window.needs_room(now):
            return True
        words = self.words
        ring = words[window.entry + RING]
        old, size = ring & INDEX, 1 << (ring >> SIZE_SHIFT)
        larger = self._take_ring((ring >> SIZE_SHIFT) + 1)
        if not larger:
            return False
        new = larger & INDEX
        # Kept until the entry is given away: a process that was about to count in the old ring may
        # come to it at any time, and then finds it closed.
        words[new - 1] = ring
        tail = window.close()
        # All stamps keep their positions; those from ``middle`` on begin the old ring anew.
        middle = tail - tail % size
        for begin, end in ((tail - size, middle), (middle, tail)):
            source, target = old + begin % size, new + begin % (2 * size)
            words[target : target + end - begin] = words[source : source + end - begin]
        words[new + (tail - size) % (2 * size)] &= ~CLOSED
        window.replace(larger)
        return True

    def close(self) -> None:
        """Give the lock's file back."""
        self.lock.close()

    def _bucket(self, key: int) -> tuple[int, list[int]]:
        """Return the number of the first key of a bucket, and all that are in it."""
        first = key % self._buckets * WAYS
        return first, self.words[self._keys + first : self._keys + first + WAYS].tolist()

    def _find_room(self, first: int, keys: list[int], ticks: int) -> int | None:
        """Return which place of a bucket is free, or make one free that nobody needs."""
        free = keys.index(0) if 0 in keys else WAYS
        if free >= FEW:
            # Memory that was used is used again before any that was not.
            for index in range(first, first + free):
                if self._is_unused(self._entry(index), ticks):
                    self.words[self._keys + index] = 0
                    return index
        return first + free if free < WAYS else None

    def _make_entry(self, index: int) -> int:
        """Return a new entry, which a place of a bucket has from now on; 0: no memory is left."""
        entry = _round_up(self.words[BUMP])
        if entry + self._stride > self._end:
            return 0
        self.words[BUMP] = entry + self._stride
        self.words[self._places + index] = entry
        return entry

    def _prepare(self, entry: int, window: int) -> bool:
        """Make an entry without a key one of an empty window."""
        words = self.words
        self._give_rings(entry)
        ring = self._take_ring(FIRST_RING)
        if not ring:
            return False
        words[entry + TAIL] = 0
        words[entry + WINDOW] = window
        words[entry + RING] = ring
        return True

    def _take_ring(self, size_bits: int) -> int:
        """Return the word of a ring of zeros; 0 when there is no memory left."""
        words = self.words
        size = 1 << size_bits
        start = words[FREE + size_bits]
        if start:
            words[FREE + size_bits] = words[start - 1]
            words[start - 1 : start + size] = array("Q", bytes(WORD * (size + 1)))
        else:
            start = words[BUMP] + 1
            if start + size > self._end:
                return 0
            words[BUMP] = start + size
        return start | size_bits << SIZE_SHIFT

    def _give_rings(self, entry: int) -> None:
        """Give back the rings of an entry without a key."""
        words = self.words
        ring = words[entry + RING]
        words[entry + RING] = 0
        while ring:
            start, size_bits = ring & INDEX, ring >> SIZE_SHIFT
            ring = words[start - 1]
            words[start - 1] = words[FREE + size_bits]
            words[FREE + size_bits] = start

    def _is_unused(self, entry: int, ticks: int) -> bool:
        """Whether no process holds an entry, and every stamp has left the window."""
        if any(self._living(entry)):
            return False
        words = self.words
        ring, tail = words[entry + RING], words[entry + TAIL]
        start, mask = ring & INDEX, (1 << (ring >> SIZE_SHIFT)) - 1
        near = (words[start + (position & mask)] & ~CLOSED for position in (tail, tail - 1))
        return ticks - (max(near) >> TURN_BITS) >= words[entry + WINDOW]

    def _living(self, entry: int) -> Iterator[int]:
        """Yield the words of the processes that hold an entry."""
        runs = self.words[self._runs : self._runs + self.seats].tolist()
        held = self.words[entry + SEATS : entry + SEATS + self.seats].tolist()
        return (
            word for word, run in zip(held, runs, strict=True) if run and word >> RUN_SHIFT == run
        )

    def _entry(self, index: int) -> int:
        return self.words[self._places + index]


def _round_up(words: int) -> int:
    """Return a number of words that fills cache lines."""
    return -(-words // LINE) * LINE
