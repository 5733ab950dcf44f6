"""How far each room has been told, and what is next: the reference of ``room_steps_c``. Hot path.

Cost: benchmarks/test_crossing.py.
"""

from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any, Generic, TypeVar

S = TypeVar("S", bound="RoomStep")


class RoomStep:
    """How far one room has been told.

    Attributes:
        last: The newest ``rev`` that was told, or below the first; None: nothing is known.
        told_at: When that was, in its order; seconds.
        held: What waits for its turn, by ``rev``.
        is_halted: Nothing may be told in its order now.
    """

    __slots__ = ("held", "is_halted", "last", "told_at")

    def __init__(self) -> None:
        """Begin with nothing known."""
        self.last: int | None = None
        self.told_at = float("-inf")
        self.held: dict[int, list[Any]] = {}
        self.is_halted = False


class RoomSteps(Generic[S]):
    """Tells events of rooms whose turn it is."""

    def __init__(
        self,
        rooms: "OrderedDict[int, S]",
        publish: Callable[[Iterable[str], bytes, Any], int],
        follow: Callable[[S], object],
    ) -> None:
        """Take the neighbours.

        Args:
            rooms: By id; the one used last becomes the last one.
            publish: ``publish(user_ids, payload, skip)`` tells an event; returns how many it told.
            follow: Called with a room that has advanced while something is held.
        """
        self._rooms = rooms
        self._publish = publish
        self._follow = follow

    def advance(self, room_id: int, rev: int, count: int, now: float) -> S | None:
        """Take note that ``count`` events from ``rev`` on are told now, if it is their turn.

        Returns:
            The room, which has advanced; None: it is unknown, halted or somewhere else.
        """
        room = self._rooms.get(room_id)
        if room is None or room.is_halted or room.last is None or room.last != rev - 1:
            return None
        self._rooms.move_to_end(room_id)
        room.last += count
        room.told_at = now
        return room

    def publish(
        self, room_id: int, rev: int, user_ids: Iterable[str], payload: bytes, skip: Any, now: float
    ) -> int:
        """Tell an event if it is its turn.

        Returns:
            What ``publish`` did; -1: it is not.
        """
        room = self.advance(room_id, rev, 1, now)
        if room is None:
            return -1
        count = self._publish(user_ids, payload, skip)
        if room.held:
            self._follow(room)
        return count

    def publish_run(
        self, room_id: int, rev: int, user_ids: Iterable[str], payloads: Sequence[bytes], now: float
    ) -> bool:
        """Tell events that follow each other, the first of them ``rev``; False: it is not."""
        room = self.advance(room_id, rev, len(payloads), now)
        if room is None:
            return False
        for payload in payloads:
            self._publish(user_ids, payload, None)
        if room.held:
            self._follow(room)
        return True


class Arrivals:
    """Takes what other workers say: tells the events whose turn it is, and passes on the rest."""

    def __init__(
        self,
        steps: RoomSteps[Any],
        event_type: type,
        unordered: object,
        *,
        kept: Sequence[Container[int]],
        note: Callable[[int, int], object],
        is_known_by: Callable[[str], bool],
        on_other: Callable[[str, Any], object],
        on_error: Callable[[], object],
    ) -> None:
        """Take the neighbours.

        Args:
            steps: Tells events.
            event_type: Of events; see ``broker.messages.Event``.
            unordered: Events of this kind have no turn.
            kept: Rooms of which something is remembered.
            note: ``note(room_id, group_rev)`` drops what is remembered of a room.
            is_known_by: Whether a worker knows all users whom its events concern here. During
                ``take`` only what is passed on may change that, so telling must end no session.
            on_other: ``on_other(peer, message)`` takes everything else.
            on_error: Called in the handler of what was raised by any of them.
        """
        self._steps = steps
        self._event_type = event_type
        self._unordered = unordered
        self._kept = tuple(kept)
        self._note = note
        self._is_known_by = is_known_by
        self._on_other = on_other
        self._on_error = on_error

    def take(self, peer: str, messages: Iterable[Any], now: float) -> None:
        """Take what a worker says, in its order; never raises."""
        is_known: bool | None = None
        for message in messages:
            try:
                if type(message) is self._event_type:
                    if is_known is None:
                        is_known = self._is_known_by(peer)
                    if is_known and self._tell(message, now):
                        continue
                is_known = None
                self._on_other(peer, message)
            except Exception:
                self._on_error()

    def _tell(self, event: Any, now: float) -> bool:
        if event.kind is self._unordered:
            return False
        room_id, group_rev = event.room_id, event.group_rev
        if group_rev or any(room_id in rooms for rooms in self._kept):
            self._note(room_id, group_rev)
        return self._steps.publish_run(room_id, event.rev, event.user_ids, event.payloads, now)
