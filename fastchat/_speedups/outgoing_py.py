"""What is to be said to other workers: the reference of ``outgoing_c``. Hot path.

Everything for one worker leaves together at the end of a turn. Events of one room that follow each
other, for the same users, become one message. Cost: benchmarks/test_crossing.py.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

LONGEST_RUN = 32  # events of a room in one message
LARGEST_IN_RUN = 16 * 1024  # bytes of an event


class MakeEvent(Protocol):
    """Makes a message of an event; see ``broker.messages.Event``."""

    def __call__(
        self,
        room_id: int,
        rev: int,
        group_rev: int,
        kind: Any,
        payloads: list[bytes],
        user_ids: list[str],
        /,
    ) -> Any: ...


class _Box:
    """What is to be said to one worker; the rest is of the last message while that may grow."""

    __slots__ = ("group_rev", "messages", "next_rev", "payloads", "room_id", "user_ids")

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.payloads: list[bytes] | None = None  # None: it may not
        self.room_id = 0
        self.next_rev = 0
        self.group_rev = 0
        self.user_ids: list[str] = []


class Outgoing:
    """Messages to other workers, by worker and in the order of the saying."""

    def __init__(
        self, on_first: Callable[[], object], make_event: MakeEvent, run_kind: object
    ) -> None:
        """Begin without any worker.

        Args:
            on_first: Called when something is to be said and nothing was before.
            make_event: Makes the message that ``tell`` says.
            run_kind: Events of this kind may share a message.
        """
        self._on_first = on_first
        self._make_event = make_event
        self._run_kind = run_kind
        self._boxes: dict[str, _Box] = {}
        self._filled: dict[str, _Box] = {}

    @property
    def waiting(self) -> int:
        """Messages that are to be said."""
        return sum(len(box.messages) for box in self._filled.values())

    def open(self, peer: str) -> None:
        """Begin to take what is to be said to a worker."""
        self._boxes[peer] = _Box()

    def close(self, peer: str) -> None:
        """Drop what is to be said to a worker, and take nothing more for it."""
        self._boxes.pop(peer, None)
        self._filled.pop(peer, None)

    def post(self, peer: str, message: Any) -> None:
        """Say something to a worker; nothing is said to one that is not open."""
        box = self._boxes.get(peer)
        if box is None:
            return
        if not box.messages:
            self._fill(peer, box)
        box.messages.append(message)
        box.payloads = None

    def tell(
        self,
        places: Mapping[str, Iterable[str]],
        user_ids: Iterable[str],
        room_id: int,
        rev: int,
        group_rev: int,
        kind: object,
        payload: bytes,
    ) -> None:
        """Say an event of a room to the workers that some of the users are connected to.

        Args:
            places: User id → workers.
            user_ids: Whom it concerns; who has no place is passed over.
            room_id: Where it happened.
            rev: Its place among the events of the room.
            group_rev: That of the room.
            kind: What it is in their order.
            payload: The event, encoded.
        """
        found: dict[str, list[str]] = {}
        for user_id in user_ids:
            for peer in places.get(user_id, ()):
                found.setdefault(peer, []).append(user_id)
        for peer, there in found.items():
            box = self._boxes.get(peer)
            if box is None:
                continue
            if (
                box.payloads is not None
                and kind is self._run_kind
                and box.room_id == room_id
                and box.next_rev == rev
                and box.group_rev == group_rev
                and len(box.payloads) < LONGEST_RUN
                and len(payload) <= LARGEST_IN_RUN
                and box.user_ids == there
            ):
                box.payloads.append(payload)
                box.next_rev += 1
                continue
            payloads = [payload]
            if not box.messages:
                self._fill(peer, box)
            box.messages.append(self._make_event(room_id, rev, group_rev, kind, payloads, there))
            box.payloads = payloads if kind is self._run_kind else None
            box.room_id, box.next_rev, box.group_rev = room_id, rev + 1, group_rev
            box.user_ids = there

    def take(self) -> dict[str, list[Any]]:
        """Return what is to be said, by worker; from now on that is nothing."""
        filled, self._filled = self._filled, {}
        taken = {}
        for peer, box in filled.items():
            taken[peer], box.messages = box.messages, []
            box.payloads = None
        return taken

    def _fill(self, peer: str, box: _Box) -> None:
        if not self._filled:
            self._on_first()
        self._filled[peer] = box
