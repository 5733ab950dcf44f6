"""What workers tell each other: msgpack, typed, never code.

A frame goes from one worker to one other and carries many messages. Messages are numbered per pair
of workers; the beat tells everybody how far the numbers went, so that a loss is noticed, the last
message before a silence included.
"""

from enum import IntEnum
from typing import TypeAlias

import msgspec

MOST_USERS = 1000  # in one message; a longer list goes in several


class Message(msgspec.Struct, array_like=True, gc=False):
    """What one worker tells one other."""


class Person(msgspec.Struct, array_like=True, gc=False):
    """A user as lists of who is online show him."""

    user_id: str
    username: str
    display_name: str


class Joined(Message, tag=1):
    """Users have their first session there now; ``Seen`` with the ticket is the answer."""

    ticket: int
    people: list[Person]


class Left(Message, tag=2):
    """Users have no session there any more."""

    user_ids: list[str]


class Everybody(Message, tag=3):
    """Forget who was there; those who are follow in ``Joined``, with ``Listed`` at their end."""


class Listed(Message, tag=12):
    """That was everybody; ``ticket``: of the question, 0 when nobody has asked."""

    ticket: int


class WhoIsHere(Message, tag=4):
    """Something was lost: ``Everybody`` is the answer, with the ticket at its end."""

    ticket: int


class Seen(Message, tag=5):
    """From now on events for the users of ``Joined`` are sent there."""

    ticket: int


class EventKind(IntEnum):
    """What an event is in the order of its room.

    MESSAGE: a step of it, which can be read again from the database.
    CHANGE: a step of it.
    MENTION: no step; it comes behind the message whose ``rev`` it has.
    """

    MESSAGE = 1
    CHANGE = 2
    MENTION = 3


class Event(Message, tag=6):
    """Something happened in a room; for whom of those who are there, in the room's order.

    ``rev`` is that of the first payload; the others follow one by one, and ``group_rev`` is the
    same for all.
    """

    room_id: int
    rev: int
    group_rev: int
    kind: EventKind
    payloads: list[bytes]
    user_ids: list[str]


class Change(Message, tag=7):
    """As ``Event``, of the kind nobody may miss; ``Taken`` with the ticket is the answer."""

    ticket: int
    room_id: int
    rev: int
    group_rev: int
    payload: bytes
    user_ids: list[str]


class Taken(Message, tag=8):
    """These users of a ``Change`` were not there any more; all others have it."""

    ticket: int
    missed: list[str]


class Live(Message, tag=9):
    """An event that has no place in an order; nobody misses it for long."""

    room_id: int  # what is remembered of this room is out of date; 0: of none
    is_ephemeral: bool
    payload: bytes
    user_ids: list[str]


class Forget(Message, tag=10):
    """What is remembered of a room, and of the group that it may be, is out of date."""

    room_id: int
    group_id: str | None


class Wake(Message, tag=11):
    """Events wait in the database for these users."""

    user_ids: list[str]


class Counted(Message, tag=13):
    """How many messages and how many commands of users were counted there since it last said so."""

    counts: list[tuple[str, int, int]]


class Windows(Message, tag=14):
    """What was counted on the sender's host for a user who has come.

    Seconds since each of his messages and commands within the window, ascending; those that the
    host heard of from others included.
    """

    user_id: str
    messages: list[float]
    commands: list[float]


class Addresses(Message, tag=15):
    """How many connections addresses have there, and how many requests were counted since.

    ``is_all``: whatever it said before of connections counts no more.
    """

    is_all: bool
    counts: list[tuple[str, int, int]]


class Question(Message, tag=20):
    """What the main backend asks of the sessions there; ``Reply`` with the ticket is the answer.

    ``kind`` is a method of ``interfaces.Sessions``, ``subject`` the user or the token it is about.
    """

    ticket: int
    kind: str
    subject: str
    client_id: str | None = None


class Reply(Message, tag=21):
    """How many sessions were ended, or the connections of a user as ``ConnectionInfo`` has them."""

    ticket: int
    closed: int
    connections: list[tuple[str, str, int, float, float]]


AnyMessage: TypeAlias = (
    Joined
    | Left
    | Everybody
    | Listed
    | WhoIsHere
    | Seen
    | Event
    | Change
    | Taken
    | Live
    | Forget
    | Wake
    | Counted
    | Windows
    | Addresses
    | Question
    | Reply
)


class Frame(msgspec.Struct, array_like=True, tag=1):
    """Messages of one worker to one other; the first one has the number ``first``.

    Numbers begin with 1 in each ``epoch``: the sender begins a new one when it meets a worker, or
    meets it again after it had given it up.
    """

    sender: str
    epoch: int
    first: int
    messages: list[AnyMessage]


class Beat(msgspec.Struct, array_like=True, tag=2):
    """A sign of life to everybody: epoch and last number for each worker that is known."""

    sender: str
    numbers: dict[str, tuple[int, int]]


class Farewell(msgspec.Struct, array_like=True, tag=3):
    """The sender ends, in order."""

    sender: str


AnyFrame: TypeAlias = Frame | Beat | Farewell

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyFrame] = msgspec.msgpack.Decoder(AnyFrame)


def encode(frame: AnyFrame) -> bytes:
    """Return what goes over the wire."""
    return _encoder.encode(frame)


def decode(data: bytes) -> AnyFrame | None:
    """Return the frame in some bytes, or None for whatever is none."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
