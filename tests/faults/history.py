"""What is recorded of a run: what each device did and was told, who was where, what is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

NEVER = inf


class Login(NamedTuple):
    """A connection of the device began; the one before is gone."""

    at: float


class Sent(NamedTuple):
    """The device sent a message, maybe not for the first time."""

    name: str
    room: str
    at: float


class Acked(NamedTuple):
    """The server said that it stored a message, now or earlier."""

    name: str
    room: str
    seq: int
    at: float


class Received(NamedTuple):
    """An event brought a message."""

    name: str
    room: str
    seq: int
    at: float


class Read(NamedTuple):
    """An answer to ``sync`` or a page of the history had a message."""

    name: str
    room: str
    seq: int
    at: float


Event = Login | Sent | Acked | Received | Read


@dataclass
class DeviceHistory:
    """What one device of a user saw, in the order in which it saw it."""

    device: str
    user: str
    events: list[Event] = field(default_factory=list)


class Stay(NamedTuple):
    """A time in which a user is in a room, as those saw it who asked for it and were answered.

    He is surely in between ``since`` and ``leaving``, and surely out before ``asked`` and after
    ``until``. All are times of the clock that the events have.
    """

    asked: float = -inf
    since: float = -inf
    leaving: float = NEVER
    until: float = NEVER


class Stored(NamedTuple):
    """A message as the database has it."""

    room: str
    seq: int
    sender: str
    name: str


Stays = Mapping[str, Mapping[str, Sequence[Stay]]]  # by room and user
