"""The newest pages of rooms, encoded, as their readers saw them last. Hot path.

A client that comes back asks for the end of its conversations, and after a network failure all of
them do. A page is kept until anything happens in its room, of whatever kind: nothing is patched, so
nothing can be patched wrongly.
"""

from collections.abc import Callable, Container, Iterator
from typing import NamedTuple

from fastchat.protocol.events import cut_to_fit
from fastchat.slices import in_slices

MOST_KEPT = 100  # messages of a page; requirements, "In-Memory Cache Limits"
CAPACITY = 64 * 1024 * 1024  # bytes of messages
IDLE_AGE = 1800.0  # seconds without use; requirements, "Cleanup Intervals"
AGE = 300.0  # seconds; a name that changed is seen after that at the latest
OVERHEAD = 200  # bytes of a page beside its messages, about


class RecentPage(NamedTuple):
    """Encoded messages, the oldest first, and whether there are older ones."""

    messages: list[bytes]
    has_more: bool


class _Kept(NamedTuple):
    page: RecentPage
    size: int
    read_at: float


class RecentPages:
    """Keeps the newest page of each room and reader.

    Attributes:
        hits: Pages that were served from memory.
        misses: Pages that were not there.
        size: Bytes that are kept.
        kept: The rooms for which ``forget`` does anything, in two containers.
        is_told: Whether all that has happened to a user since a moment was told here; None: it
            always is, for there is no other worker.
    """

    def __init__(
        self, *, capacity: int = CAPACITY, age: float = AGE, idle_age: float = IDLE_AGE
    ) -> None:
        """Take the most bytes, and seconds after which a page is too old, or unused."""
        self._capacity = capacity
        self._age = age
        self._idle_age = idle_age
        self._rooms: dict[int, dict[str, _Kept]] = {}  # the one used last is last
        self._used_at: dict[int, float] = {}
        self._readings: dict[int, set[object]] = {}  # rooms that are being read, and by whom
        self.kept: tuple[Container[int], ...] = (self._rooms, self._readings)
        self.is_told: Callable[[str, float], bool] | None = None
        self.hits = 0
        self.misses = 0
        self.size = 0

    def __len__(self) -> int:
        return len(self._rooms)

    def get(self, room_id: int, user_id: str, limit: int, now: float) -> RecentPage | None:
        """Return the newest ``limit`` messages as the user sees them, if memory has them."""
        kept = self._rooms.get(room_id, {}).get(user_id)
        if kept is not None and self.is_told is not None:
            kept = kept if self.is_told(user_id, kept.read_at) else None
        if kept is None or now >= kept.read_at + self._age:
            self.misses += 1
            return None
        messages, has_more = kept.page
        if limit > len(messages) and has_more:
            self.misses += 1
            return None
        self.hits += 1
        self._rooms[room_id] = self._rooms.pop(room_id)
        self._used_at[room_id] = now
        return RecentPage(messages[-limit:], has_more or limit < len(messages))

    def begin(self, room_id: int) -> object:
        """Take note that a page is about to be read; return the ticket for ``put``."""
        ticket = object()
        self._readings.setdefault(room_id, set()).add(ticket)
        return ticket

    def put(
        self, ticket: object, room_id: int, user_id: str, page: RecentPage | None, now: float
    ) -> None:
        """Keep a page unless something has happened in its room since ``begin``.

        Every ``begin`` wants its ``put``: without a page for one that could not be read.
        """
        readings = self._readings.get(room_id)
        if readings is None or ticket not in readings:
            return  # what was read may be older than what happened
        readings.discard(ticket)
        if not readings:
            del self._readings[room_id]
        if page is None or len(page.messages) > MOST_KEPT:
            return
        size = sum(map(len, page.messages)) + OVERHEAD
        if size > self._capacity // 8 or len(cut_to_fit(page.messages)) < len(page.messages):
            return
        readers = self._rooms.pop(room_id, {})
        old = readers.get(user_id)
        self.size += size - (old.size if old else 0)
        readers[user_id] = _Kept(page, size, now)
        self._rooms[room_id] = readers
        self._used_at[room_id] = now
        while self.size > self._capacity:
            self._drop(next(iter(self._rooms)))

    def forget(self, room_id: int) -> None:
        """Drop what is known of a room in which something happened."""
        self._readings.pop(room_id, None)
        if room_id in self._rooms:
            self._drop(room_id)

    def clear(self) -> None:
        """Drop everything."""
        self._readings.clear()
        self._rooms.clear()
        self._used_at.clear()
        self.size = 0

    def sweep(self, now: float) -> Iterator[int]:
        """Drop the rooms that nobody has used for long; yield how many of each slice."""
        for part in in_slices(self._used_at):
            used = [(room, self._used_at[room]) for room in part if room in self._used_at]
            idle = [room for room, used_at in used if now >= used_at + self._idle_age]
            for room_id in idle:
                self._drop(room_id)
            yield len(idle)

    def _drop(self, room_id: int) -> None:
        for kept in self._rooms.pop(room_id).values():
            self.size -= kept.size
        del self._used_at[room_id]
