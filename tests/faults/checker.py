"""Hold what devices saw against what is stored and who was a member.

Pure: takes histories, returns violations. A run comes in parts; of each, everything that was
sent has been answered and everything that was stored has had time to arrive. Only the names of some
parts and the latest positions are kept, so a run may be of any length; who reads further back in
the history is not checked.
"""

from collections import ChainMap, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from tests.faults.history import (
    NEVER,
    Acked,
    DeviceHistory,
    Login,
    Read,
    Received,
    Sent,
    Stay,
    Stays,
    Stored,
)

# Parts before the present one. Some take two seconds; who logs in is told what was just before.
REMEMBERED = 3

Place = tuple[str, int]  # room and seq


class Kind(StrEnum):
    """What may not happen."""

    LOST = "lost"
    DUPLICATED = "duplicated"
    REORDERED = "reordered"
    PHANTOM = "phantom"
    TRESPASS = "delivered to a non-member"


class Violation(NamedTuple):
    """Something that happened all the same."""

    kind: Kind
    text: str


@dataclass(slots=True)
class Message:
    """What its sender knows of a message."""

    device: str
    sender: str
    room: str
    sent_at: float
    connection: int  # of the device, in this part
    attempts: int = 1
    acks: list[Acked] = field(default_factory=list)


class Checker:
    """Checks a run, part by part."""

    def __init__(self) -> None:
        """Begin with empty rooms."""
        self._tops: dict[str, int] = {}
        # At the beginning of each part that is remembered.
        self._earlier_tops: deque[dict[str, int]] = deque(maxlen=REMEMBERED + 1)
        # By part, the present one first.
        self._messages: ChainMap[str, Message] = ChainMap()
        self._names: ChainMap[Place, str] = ChainMap()
        # What the present connection of a device has got, as high as that, by room.
        self._latest: dict[str, dict[str, int]] = {}
        self._violations: list[Violation] = []

    def check(
        self, devices: Sequence[DeviceHistory], stored: Iterable[Stored], stays: Stays
    ) -> list[Violation]:
        """Return everything that is wrong in the next part.

        Args:
            devices: All devices, also those that saw nothing.
            stored: The messages that were stored since the part before, by room and ``seq``.
            stays: Who was in which room when, over the whole run.
        """
        self._violations = []
        self._earlier_tops.append(dict(self._tops))
        self._names = ChainMap({}, *self._names.maps[:REMEMBERED])
        self._messages = ChainMap(collect(devices), *self._messages.maps[:REMEMBERED])
        self._take_acks(devices)
        rows = list(stored)
        self._check_stored(rows)
        self._check_acks()
        self._check_order_of_sending()
        held = {device.device: self._check_device(device, stays) for device in devices}
        self._check_arrival(rows, devices, held, stays)
        return self._violations

    def _report(self, kind: Kind, text: str) -> None:
        self._violations.append(Violation(kind, text))

    def _take_acks(self, devices: Iterable[DeviceHistory]) -> None:
        """Look at acknowledgements of what was sent earlier, or never."""
        for device in devices:
            for event in device.events:
                if isinstance(event, Acked) and event.name not in self._messages.maps[0]:
                    if event.name in self._messages:
                        self._messages[event.name].acks.append(event)
                    else:
                        self._report(Kind.PHANTOM, f"{device.device}: {event} was never sent")

    def _is_forgotten(self, room: str, seq: int) -> bool:
        is_full = len(self._earlier_tops) == self._earlier_tops.maxlen
        return is_full and seq <= self._earlier_tops[0].get(room, 0)

    def _check_stored(self, rows: Sequence[Stored]) -> None:
        """Each message is there once, as it was sent, and no position is empty."""
        places: dict[str, Place] = {name: place for place, name in self._names.items()}
        for row in rows:
            expected = self._tops.get(row.room, 0) + 1
            if row.seq > expected:
                self._report(Kind.LOST, f"{row.room}: nothing is stored at {expected}")
            elif row.seq < expected:
                self._report(Kind.DUPLICATED, f"{row} is stored at a position that was taken")
            self._tops[row.room] = max(row.seq, expected - 1)
            place = (row.room, row.seq)
            self._names[place] = row.name
            message = self._messages.get(row.name)
            if message is None or (message.room, message.sender) != (row.room, row.sender):
                self._report(Kind.PHANTOM, f"{row} is stored, sent was {message}")
            if places.setdefault(row.name, place) != place:
                self._report(Kind.DUPLICATED, f"{row} is stored at {places[row.name]}, too")

    def _check_acks(self) -> None:
        """Each message was acknowledged, and is where the acknowledgement says."""
        stored = set(self._names.values())
        for name, message in self._messages.maps[0].items():
            if not message.acks:
                self._report(Kind.LOST, f"{name} was never acknowledged: {message}")
            elif name not in stored:
                self._report(Kind.LOST, f"{message.acks[0]} is not stored")
        for name, message in self._messages.items():
            for ack in message.acks:
                found = self._names.get((ack.room, ack.seq))
                if found != name and name in stored:
                    self._report(Kind.DUPLICATED, f"{ack}, but there is {found}")

    def _check_order_of_sending(self) -> None:
        """What went over one connection and needed no repetition is in the order of sending."""
        latest: dict[tuple[str, int, str], Acked] = {}
        for message in self._messages.maps[0].values():
            if message.attempts > 1 or not message.acks:
                continue
            ack = message.acks[0]
            before = latest.setdefault((message.device, message.connection, message.room), ack)
            if ack.seq < before.seq:
                self._report(Kind.REORDERED, f"{ack} was sent after {before}")
            latest[message.device, message.connection, message.room] = ack

    def _check_device(self, device: DeviceHistory, stays: Stays) -> set[Place]:
        """Look at what came to one device; return what it has."""
        held: set[Place] = set()
        latest = self._latest.setdefault(device.device, {})
        live: set[Place] = set()
        for event in device.events:
            match event:
                case Login():
                    latest.clear()
                    live.clear()
                case Acked(name, room, seq):
                    held.add((room, seq))
                case Received(name, room, seq):
                    self._check_known(device, event)
                    if (room, seq) in live:
                        self._report(Kind.DUPLICATED, f"{device.device} got {event} again")
                    elif seq <= latest.get(room, 0):
                        self._report(
                            Kind.REORDERED, f"{device.device}: {event} after {latest[room]}"
                        )
                    else:
                        latest[room] = seq
                    live.add((room, seq))
                    held.add((room, seq))
                    if message := self._messages.get(name):
                        self._check_member(device, event, message, stays)
                case Read(name, room, seq) if not self._is_forgotten(room, seq):
                    self._check_known(device, event)
                    held.add((room, seq))
                    if message := self._messages.get(name):
                        self._check_member(device, event, message, stays)
        return held

    def _check_known(self, device: DeviceHistory, event: Received | Read) -> None:
        found = self._names.get((event.room, event.seq))
        if found != event.name:
            self._report(Kind.PHANTOM, f"{device.device}: {event}, stored is {found}")

    def _check_member(
        self, device: DeviceHistory, event: Received | Read, message: Message, stays: Stays
    ) -> None:
        """He may have been in the room at some moment after it was sent, before it came.

        Whoever is in may read what happened there before. What is told to him as it happens, he
        may have been in for when it was stored: before it was acknowledged.
        """
        own = stays.get(message.room, {}).get(device.user, ())
        latest = event.at
        if isinstance(event, Received) and message.acks:
            latest = min(latest, message.acks[0].at)
        if not any(stay.asked <= latest and message.sent_at <= stay.until for stay in own):
            self._report(Kind.TRESPASS, f"{device.device}: {event}, sent by {message.sender}")

    def _check_arrival(
        self,
        rows: Iterable[Stored],
        devices: Sequence[DeviceHistory],
        held: dict[str, set[Place]],
        stays: Stays,
    ) -> None:
        """Each device of each member has each message."""
        for device, row in due(rows, devices, self._messages.maps[0], stays):
            if (row.room, row.seq) not in held[device]:
                self._report(Kind.LOST, f"{device} has never got {row}")


def collect(devices: Iterable[DeviceHistory]) -> dict[str, Message]:
    """Return what was sent in a part, by name, with its acknowledgements."""
    messages: dict[str, Message] = {}
    for device in devices:
        connection = 0
        for event in device.events:
            match event:
                case Login():
                    connection += 1
                case Sent(name, room, at) if name in messages:
                    messages[name].attempts += 1
                case Sent(name, room, at):
                    messages[name] = Message(device.device, device.user, room, at, connection)
                case Acked(name) if name in messages:
                    messages[name].acks.append(event)
    return messages


def due(
    rows: Iterable[Stored],
    devices: Iterable[DeviceHistory],
    messages: dict[str, Message],
    stays: Stays,
) -> Iterator[tuple[str, Stored]]:
    """Yield which device has to have which message."""
    by_user: dict[str, list[str]] = {}
    for device in devices:
        by_user.setdefault(device.user, []).append(device.device)
    for row in rows:
        message = messages.get(row.name)
        if message is None:
            continue
        for user, own in stays.get(row.room, {}).items():
            if is_owed(own, message.sent_at):
                for device in by_user.get(user, ()):
                    yield device, row


def is_owed(stays: Iterable[Stay], sent_at: float) -> bool:
    """Tell whether somebody was surely in a room when something was sent, and is still.

    Who has left can no longer ask for what did not reach him before.
    """
    return any(stay.since <= sent_at and stay.leaving == NEVER for stay in stays)
