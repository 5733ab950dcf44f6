"""A bounded memory of look-ups: least recently used out first, and never older than its time."""

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from fastchat.slices import in_slices

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """Keeps the values that were used last.

    Attributes:
        hits: Reads that found a value.
        misses: Reads that found none, or one that was too old.
    """

    def __init__(self, capacity: int, max_age: float = float("inf")) -> None:
        """Take how many values are kept, and for how many seconds."""
        self._capacity = capacity
        self._max_age = max_age
        # In the order of use, the oldest first; each value with the moment when it gets too old.
        self._entries: dict[K, tuple[float, V]] = {}
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K, now: float = 0.0) -> V | None:
        """Return the value, or None when it is unknown or too old."""
        entry = self._entries.pop(key, None)
        if entry is None or entry[0] <= now:
            self.misses += 1
            return None
        self._entries[key] = entry
        self.hits += 1
        return entry[1]

    def put(self, key: K, value: V, now: float = 0.0) -> None:
        """Remember a value from now on."""
        self._entries.pop(key, None)
        self._entries[key] = (now + self._max_age, value)
        if len(self._entries) > self._capacity:
            del self._entries[next(iter(self._entries))]

    def sweep(self, now: float) -> Iterator[int]:
        """Drop the values that are too old; yield how many of each slice."""
        for part in in_slices(self._entries):
            old = [key for key in part if key in self._entries and self._entries[key][0] <= now]
            for key in old:
                del self._entries[key]
            yield len(old)

    def forget(self, key: K) -> None:
        """Drop a value that is no longer true."""
        self._entries.pop(key, None)
