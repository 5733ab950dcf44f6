"""Where limits count: in this process's memory, or in that of all workers of the host. Hot path.

One worker counts alone and pays for nothing. Of several, each asks the table that they share
(``table.py``). When that cannot be asked, because it is full or a frozen worker has its lock, a
worker decides from what it knows itself, and that is counted as a miss.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

from fastchat._speedups import SharedWindow, SlidingWindow, admit_both, take_both
from fastchat._speedups.shared_layout import TICKS
from fastchat.admission.table import WindowTable
from fastchat.interfaces import Window


class Ledger(Protocol):
    """What the limits of a worker count in."""

    # Counts in a window of the ledger and in one of a connection, or in none; see ``admit_both``.
    admit_both: Callable[[Any, Any, float, int], float]
    misses: int  # decisions that were made alone although workers share the limits

    def open_window(
        self, kind: str, name: str, limit: int, window: float, capacity: int = 0
    ) -> Window:
        """Return the window of a name; ``kind`` tells names of different sorts apart.

        A process has one at a time, and gives it to ``close_window`` at the end.
        """

    def close_window(self, window: Window, now: float) -> None:
        """Let a window go; what was counted in it is known until it has left the window."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Keep other workers from opening connections meanwhile."""

    def connections_elsewhere(self, window: Window, now: float) -> int:
        """Return how many connections other workers have of the name of a window."""

    def set_connections(self, window: Window, connections: int) -> None:
        """Tell how many connections this worker has of the name of a window."""


class OwnLedger:
    """Of a worker that is alone."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self.admit_both: Callable[[Any, Any, float, int], float] = admit_both
        self.misses = 0
        self._nothing = nullcontext()

    def open_window(
        self, kind: str, name: str, limit: int, window: float, capacity: int = 0
    ) -> Window:
        """Return a new window."""
        return SlidingWindow(limit, window, capacity)

    def close_window(self, window: Window, now: float) -> None:
        """Do nothing: it is forgotten with its owner."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Do nothing: there is nobody else."""
        return self._nothing

    def connections_elsewhere(self, window: Window, now: float) -> int:
        """Return 0: there is nobody else."""
        return 0

    def set_connections(self, window: Window, connections: int) -> None:
        """Do nothing: nobody asks."""


class SharedLedger:
    """Of one of several workers; the windows that it is given are those that it has opened."""

    def __init__(self, table: WindowTable, seat: int, run: int) -> None:
        """Take the table, the seat of this process and its number; from now on it counts."""
        table.join(seat, run)
        self.admit_both: Callable[[Any, Any, float, int], float] = take_both
        self.misses = 0
        self._table = table
        self._seat = seat
        self._alone: dict[int, SlidingWindow] = {}  # by key: what decides when the table cannot

    def open_window(
        self, kind: str, name: str, limit: int, window: float, capacity: int = 0
    ) -> SharedWindow:
        """Return the window of a name that all workers share."""
        table = self._table
        key = table.key_of(kind, name)
        # It gets its entry when it is first asked: who is only connected costs none.
        return SharedWindow(table.words, table.lock, self._repair, key, limit, window, capacity)

    def close_window(self, window: Any, now: float) -> None:
        """Let a window go."""
        self._alone.pop(window.key, None)
        if window.entry:
            self._table.release(window.key, window.entry, self._seat, now)
            window.entry = 0

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other workers from opening connections, unless one is frozen doing that."""
        is_got = self._table.lock.acquire()
        if not is_got:
            self.misses += 1
        try:
            yield
        finally:
            if is_got:
                self._table.lock.release()

    def connections_elsewhere(self, window: Any, now: float) -> int:
        """Return how many connections the other workers have; 0 when the table is full."""
        if not window.entry and not self._hold(window, now):
            self.misses += 1
            return 0
        return self._table.connections_elsewhere(window.entry, self._seat)

    def set_connections(self, window: Any, connections: int) -> None:
        """Tell the other workers how many connections this one has."""
        if window.entry:
            self._table.set_connections(window.entry, self._seat, connections)

    def _hold(self, window: SharedWindow, now: float) -> bool:
        """Give a window its entry."""
        table = self._table
        if not table.lock.acquire():
            return False
        try:
            window.entry = table.hold(window.key, window.window, self._seat, now)
        finally:
            table.lock.release()
        return window.entry != 0

    def _repair(self, window: SharedWindow, now: float) -> SlidingWindow | None:
        """Make a window one that can be asked again, or return what to ask instead."""
        table = self._table
        if window.entry:
            if table.lock.acquire():
                try:
                    is_well = table.make_room(window, now)
                finally:
                    table.lock.release()
                if is_well:
                    return None
        elif self._hold(window, now):
            return None
        self.misses += 1
        own = self._alone.get(window.key)
        if own is None:
            length = window.window / TICKS
            own = self._alone[window.key] = SlidingWindow(window.capacity, length)
        return own
