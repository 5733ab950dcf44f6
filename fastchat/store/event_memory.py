"""A copy in memory of events that this worker has just queued, so that they need not be read again.

It only saves reading and decrypting: which events a user has yet to get, the database tells.
"""

from collections.abc import Iterable, Iterator

from fastchat.slices import in_slices

MOST_BYTES = 16 * 1024 * 1024
MAX_AGE = 86_400.0  # seconds; requirements, "Event Queue Cleanup"
ENTRY_SIZE = 256  # bytes that an event takes besides its text, about
USER_SIZE = 128  # bytes that each of its users takes, about


class _Entry:
    __slots__ = ("kept_at", "payload", "size", "user_ids")

    def __init__(self, payload: bytes, user_ids: set[str], kept_at: float) -> None:
        self.payload = payload
        self.user_ids = user_ids
        self.kept_at = kept_at
        self.size = len(payload) + ENTRY_SIZE + USER_SIZE * len(user_ids)


class EventMemory:
    """The newest events that somebody has yet to get, up to a number of bytes and an age.

    Attributes:
        hits: Events that were delivered from here.
        misses: Events that had to be read.
    """

    def __init__(self, most_bytes: int = MOST_BYTES, max_age: float = MAX_AGE) -> None:
        """Take how many bytes are kept, and for how many seconds."""
        self._most_bytes = most_bytes
        self._max_age = max_age
        self._entries: dict[int, _Entry] = {}  # the oldest first
        self._by_user: dict[str, dict[int, None]] = {}  # event ids, ascending
        self.size = 0
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._entries)

    def keep(self, event_id: int, payload: bytes, user_ids: Iterable[str], now: float) -> None:
        """Remember an event for some users; the oldest ones make room for it."""
        entry = self._entries[event_id] = _Entry(payload, set(user_ids), now)
        self.size += entry.size
        for user_id in entry.user_ids:
            self._by_user.setdefault(user_id, {})[event_id] = None
        while self.size > self._most_bytes:
            self._drop(next(iter(self._entries)))

    def event_ids(self, user_id: str) -> list[int]:
        """Return the events that are remembered for a user."""
        return list(self._by_user.get(user_id, ()))

    def get(self, event_id: int) -> bytes | None:
        """Return what an event says; None: it is not remembered."""
        entry = self._entries.get(event_id)
        return None if entry is None else entry.payload

    def forget(self, user_id: str, event_ids: Iterable[int]) -> None:
        """Drop events that a user has got; when the last of their users has, altogether."""
        known = self._by_user.get(user_id)
        if known is None:
            return
        for event_id in event_ids:
            if event_id in known:
                del known[event_id]
                entry = self._entries[event_id]
                entry.user_ids.discard(user_id)
                if not entry.user_ids:
                    self._drop(event_id)
        if not known:
            self._by_user.pop(user_id, None)

    def sweep(self, now: float) -> Iterator[int]:
        """Drop what is too old; yield how many events of each slice."""
        for part in in_slices(self._entries):
            kept = [(key, self._entries[key]) for key in part if key in self._entries]
            old = [key for key, entry in kept if now - entry.kept_at > self._max_age]
            for event_id in old:
                self._drop(event_id)
            yield len(old)

    def _drop(self, event_id: int) -> None:
        entry = self._entries.pop(event_id)
        self.size -= entry.size
        for user_id in entry.user_ids:
            known = self._by_user[user_id]
            del known[event_id]
            if not known:
                del self._by_user[user_id]
