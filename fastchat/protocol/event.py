"""What the definitions of events are made of: the bases, and the types of their fields.

The server writes events by hand (``events`` and its neighbours), which is faster. These Structs say
what it writes: documents are generated from them, and tests hold the functions that encode against
them.

Source: docs/protocol.md.
"""

from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, Struct, UnsetType

from fastchat.protocol.command import RequestId

Time = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
        description="ISO 8601, UTC, with milliseconds",
        extra_json_schema={"format": "date-time"},
    ),
]
Millis = Annotated[int, Meta(ge=0, description="milliseconds since 1970")]
Seconds = Annotated[int, Meta(ge=1, description="seconds until another try makes sense")]
Count = Annotated[int, Meta(ge=0)]
Seq = Annotated[int, Meta(ge=0, description="position in the conversation: 1, 2, 3 …")]
Rev = Annotated[int, Meta(ge=0, description="number of the last change of the conversation")]
EventId = Annotated[str, Meta(pattern=r"^\d+$", description="for `ack_events`")]


class Shape(Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """An object on the wire. A field that may be missing has the default ``UNSET``."""

    EXACTLY_ONE: ClassVar[tuple[str, ...]] = ()  # of these fields, as in Python, is there

    def __post_init__(self) -> None:
        """Refuse what the types cannot express.

        Raises:
            ValueError: with the names of the fields.
        """
        there = [name for name in self.EXACTLY_ONE if getattr(self, name) is not UNSET]
        if self.EXACTLY_ONE and len(there) != 1:
            raise ValueError(f"expected exactly one of {', '.join(self.EXACTLY_ONE)}")


class Event(Shape, tag_field="type"):
    """What every event has: its type."""


class Reply(Event, kw_only=True):
    """An event that may be the direct answer to a command; it then has the command's id."""

    request_id: RequestId | UnsetType = UNSET


class Change(Reply, kw_only=True):
    """An answer that others get as an event, and later where they are away."""

    event_id: EventId | UnsetType = UNSET
