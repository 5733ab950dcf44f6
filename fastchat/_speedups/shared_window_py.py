"""Exact sliding windows in memory that several processes share: the twin of ``shared_window_c``.

Hot path. A window is a ring of accepted stamps in shared words, and a word with the position of the
next stamp. Stamps grow strictly along the ring, so the slot at that position holds the oldest one
of all, or the newest when its writer has yet to move the position on, which anybody may do. One
more is admitted by exchanging the oldest stamp, if it is still there, for the new one. This one
step counts it: so nobody waits for anybody, and a process that is killed has counted or has not.

An entry of the table is what a window needs: three words and one for each process. Whoever uses an
entry holds it (``admission/table.py``), so that it stays what it is.
"""

from collections.abc import Callable
from typing import Protocol

from .shared_layout import CLOSED, INDEX, RING, SIZE_SHIFT, TAIL, TICKS, TURN_BITS


class Lock(Protocol):
    """Keeps other processes out; may be acquired again by the one that has it."""

    def acquire(self) -> bool:
        """Return False when it cannot be had in time."""

    def release(self) -> None:
        """Undo one ``acquire``."""


class OwnWindow(Protocol):
    """What decides instead; see ``SlidingWindow``."""

    def wait(self, now: float, limit: int) -> float: ...
    def take(self, now: float, limit: int) -> float: ...


class SharedWindow:
    """The stamps that all processes together accepted within the last ``window`` seconds.

    Admits what ``SlidingWindow`` admits, on times rounded down to 2^-20 s. Processes may come with
    slightly different times: a stamp is never older than the one before.

    Attributes:
        entry: Where the words of the entry begin; 0: it has none.
        key: Whose window it is, for the owner of the table.
        counted: Stamps that this process has ever counted in it.
    """

    __slots__ = (
        "_capacity",
        "_limit",
        "_lock",
        "_repair",
        "_window",
        "_words",
        "counted",
        "entry",
        "key",
    )

    def __init__(
        self,
        words: memoryview,
        lock: Lock,
        repair: Callable[["SharedWindow", float], OwnWindow | None],
        key: int,
        limit: int,
        window: float,
        capacity: int = 0,
    ) -> None:
        """Make a window without an entry.

        Args:
            words: The shared memory, format ``Q``.
            lock: For this twin, which cannot exchange a word at once; the compiled one needs none.
            repair: Called with the window and the time when it has no entry or its ring has to be
                replaced; returns None when all is well again, else the window to ask instead.
            key: Kept as ``key``.
            limit: Admitted per window unless a call names another limit; at least 1.
            window: Seconds, above 0.
            capacity: The largest limit a call may name; 0: ``limit``.

        Raises:
            ValueError: a limit below 1, a window not above 0, or a capacity below the limit.
        """
        capacity = capacity or limit
        if limit < 1 or not window > 0.0 or capacity < limit:
            raise ValueError(
                f"limit={limit}, window={window}, capacity={capacity}: "
                "expected 1 <= limit <= capacity and window > 0"
            )
        self._words = words
        self._lock = lock
        self._repair = repair
        self._limit = limit
        self._window = max(1, round(window * TICKS))
        self._capacity = capacity
        self.entry = 0
        self.key = key
        self.counted = 0

    @property
    def capacity(self) -> int:
        """How many stamps the ring must be able to hold."""
        return self._capacity

    @property
    def window(self) -> int:
        """Its length in ticks."""
        return self._window

    def wait(self, now: float, limit: int = 0) -> float:
        """Return 0.0 when one more is admitted now, else the seconds until it is.

        Raises:
            ValueError: ``limit`` is above the capacity.
        """
        limit = self._allowed(limit)
        while True:
            found = self._try_locked(now, limit, is_counted=False)
            if found >= 0.0:
                return found
            other = self._repair(self, now)
            if other is not None:
                return other.wait(now, limit)

    def take(self, now: float, limit: int = 0) -> float:
        """Count one more and return 0.0 when it is admitted now, else the seconds until it is.

        Raises:
            ValueError: ``limit`` is above the capacity.
        """
        limit = self._allowed(limit)
        while True:
            found = self._try_locked(now, limit, is_counted=True)
            if found >= 0.0:
                return found
            other = self._repair(self, now)
            if other is not None:
                return other.take(now, limit)

    def is_idle(self, now: float) -> bool:
        """Whether every stamp has left the window."""
        if not self.entry:
            return True
        ring, tail = self._words[self.entry + RING], self._words[self.entry + TAIL]
        newest = max(self._slot(ring, tail) & ~CLOSED, self._slot(ring, tail - 1) & ~CLOSED)
        return not self._counts(newest, int(now * TICKS))

    def needs_room(self, now: float) -> bool:
        """Whether one more stamp would replace one that counts, or the ring is closed."""
        ring, tail = self._words[self.entry + RING], self._words[self.entry + TAIL]
        oldest = self._slot(ring, tail)
        return bool(oldest & CLOSED) or self._is_full(ring, oldest, int(now * TICKS))

    def close(self) -> int:
        """Have no process count anything in this ring any more; return the position of the next.

        Only for who has the lock of the table. Closing again changes nothing.
        """
        words, entry = self._words, self.entry
        while True:
            ring, tail = words[entry + RING], words[entry + TAIL]
            oldest = self._slot(ring, tail)
            if oldest & CLOSED:
                return tail
            if oldest > self._slot(ring, tail - 1):
                self._exchange(entry + TAIL, tail, tail + 1)
            else:
                self._exchange(_place(ring, tail), oldest, oldest | CLOSED)

    def replace(self, ring: int) -> None:
        """Use another ring, whose word this is, from now on; only for who closed the one before."""
        self._words[self.entry + RING] = ring

    def _try_locked(self, now: float, limit: int, *, is_counted: bool) -> float:
        if not self._lock.acquire():
            return -1.0
        try:
            return self._try(int(now * TICKS), limit, is_counted=is_counted)
        finally:
            self._lock.release()

    def _try(self, ticks: int, limit: int, *, is_counted: bool) -> float:
        """Do what ``take`` or ``wait`` does; -1.0 when only ``repair`` helps."""
        words, entry = self._words, self.entry
        if not entry:
            return -1.0
        while True:
            ring, tail = words[entry + RING], words[entry + TAIL]
            # A position of a later ring would be misread in this one.
            if words[entry + RING] != ring:
                continue
            place = _place(ring, tail)
            # Slots only grow: if the second is newer, the position is right while the first stays.
            oldest = words[place]
            newest = self._slot(ring, tail - 1)
            if (oldest | newest) & CLOSED:
                return -1.0
            if oldest > newest:
                # Its writer has yet to move the position on, or was killed before.
                self._exchange(entry + TAIL, tail, tail + 1)
                continue
            if limit <= 1 << (ring >> SIZE_SHIFT):
                counted = self._slot(ring, tail - limit)
                if self._counts(counted & ~CLOSED, ticks):
                    if words[place] != oldest:
                        continue
                    return (self._window - ticks + (counted >> TURN_BITS)) / TICKS
            if not is_counted:
                return 0.0
            if self._is_full(ring, oldest, ticks):
                return -1.0
            # Fails when another process was faster. A value never comes back to a slot.
            if self._exchange(place, oldest, max(ticks << TURN_BITS | 1, newest + 1)):
                self._exchange(entry + TAIL, tail, tail + 1)
                self.counted += 1
                return 0.0

    def _exchange(self, place: int, found: int, wanted: int) -> bool:
        """Store a word if it is still what was found; the lock makes this one step."""
        if self._words[place] != found:
            return False
        self._words[place] = wanted
        return True

    def _is_full(self, ring: int, oldest: int, ticks: int) -> bool:
        return 1 << (ring >> SIZE_SHIFT) < self._capacity and self._counts(oldest, ticks)

    def _counts(self, stamp: int, ticks: int) -> bool:
        return stamp != 0 and ticks - (stamp >> TURN_BITS) < self._window

    def _slot(self, ring: int, position: int) -> int:
        return self._words[_place(ring, position)]

    def _allowed(self, limit: int) -> int:
        limit = limit or self._limit
        if not 1 <= limit <= self._capacity:
            raise ValueError(f"limit={limit}: expected 1 to {self._capacity}")
        return limit


def _place(ring: int, position: int) -> int:
    """Return where the slot of a position is."""
    return (ring & INDEX) + (position & ((1 << (ring >> SIZE_SHIFT)) - 1))


class _Window(Protocol):
    def wait(self, now: float, limit: int) -> float: ...
    def record(self, now: float) -> None: ...


def take_both(shared: SharedWindow, own: _Window, now: float, limit: int) -> float:
    """Count one more in both windows when both admit it; else in none.

    Returns:
        0.0 when admitted, else the seconds until both would admit.
    """
    wait = own.wait(now, limit)
    if wait > 0.0:
        return max(wait, shared.wait(now, limit))
    wait = shared.take(now, limit)
    if wait == 0.0:
        own.record(now)
    return wait
