"""Exact sliding windows: the reference of ``sliding_window_c``. Hot path.

A window is a ring of the newest accepted stamps. One more is admitted when the ``limit``-th newest
has left the window, so a check looks at one entry, whatever the limit. The ring grows on demand.
"""

from typing import Protocol

FIRST_SIZE = 8


class SlidingWindow:
    """The stamps accepted within the last ``window`` seconds.

    Equal to keeping every accepted stamp, dropping those that are ``window`` old or older, and
    admitting while fewer than ``limit`` are left. ``now`` is monotonic seconds and must not go
    back.

    Attributes:
        counted: Stamps that were ever recorded.
    """

    __slots__ = ("_capacity", "_count", "_limit", "_next", "_ring", "_window", "counted")

    def __init__(self, limit: int, window: float, capacity: int = 0) -> None:
        """Make an empty window.

        Args:
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
        self._limit = limit
        self._window = window
        self._capacity = capacity
        self._ring = [0.0] * min(FIRST_SIZE, capacity)
        self._next = 0  # where the next stamp goes
        self._count = 0  # stamps in the ring, the newest before _next
        self.counted = 0

    def wait(self, now: float, limit: int = 0) -> float:
        """Return 0.0 when one more is admitted now, else the seconds until it is.

        Raises:
            ValueError: ``limit`` is above the capacity.
        """
        limit = limit or self._limit
        if not 1 <= limit <= self._capacity:
            raise ValueError(f"limit={limit}: expected 1 to {self._capacity}")
        if self._count < limit:
            return 0.0
        age = now - self._ring[(self._next - limit) % len(self._ring)]
        return 0.0 if age >= self._window else self._window - age

    def record(self, now: float) -> None:
        """Add one accepted stamp."""
        size = len(self._ring)
        if self._count == size and size < self._capacity:
            self._grow(now)
        self._ring[self._next] = now
        self._next = (self._next + 1) % len(self._ring)
        self._count = min(self._count + 1, len(self._ring))
        self.counted += 1

    def take(self, now: float, limit: int = 0) -> float:
        """Record and return 0.0 when one more is admitted now, else the seconds until it is."""
        wait = self.wait(now, limit)
        if wait == 0.0:
            self.record(now)
        return wait

    def admit(self, now: float, limit: int = 0) -> bool:
        """Record and return True when one more is admitted now."""
        if self.wait(now, limit) > 0.0:
            return False
        self.record(now)
        return True

    def is_idle(self, now: float) -> bool:
        """Whether every stamp has left the window."""
        if not self._count:
            return True
        return now - self._ring[(self._next - 1) % len(self._ring)] >= self._window

    def _grow(self, now: float) -> None:
        # Full, so the oldest stamp is where the next one goes; it may be overwritten when it counts
        # no more. Asked first: what follows costs as much as the ring is long.
        if now - self._ring[self._next] >= self._window:
            return
        size = len(self._ring)
        stamps = [self._ring[(self._next + index) % size] for index in range(size)]
        self._ring = stamps + [0.0] * (min(2 * size, self._capacity) - size)
        self._next = size


class _Window(Protocol):
    def wait(self, now: float, limit: int) -> float: ...
    def record(self, now: float) -> None: ...


def admit_both(first: _Window, second: _Window, now: float, limit: int) -> float:
    """Record in both windows when both admit; else record in none.

    Returns:
        0.0 when admitted, else the seconds until both would admit.
    """
    wait = max(first.wait(now, limit), second.wait(now, limit))
    if wait == 0.0:
        first.record(now)
        second.record(now)
    return wait
