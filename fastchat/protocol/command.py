"""What commands are made of: the base, the types of their fields, and what types cannot say.

Source: docs/protocol.md, "Commands".
"""

from typing import Annotated, Any, ClassVar, NamedTuple, get_args, get_origin

from msgspec import Meta, Struct
from msgspec.structs import fields

from fastchat.errors import ValidationError

MOST_PER_PAGE = 200
MOST_ACKS = 1000
MOST_NAMED = 10_000  # conversations in one command
MAX_REACTION = 16  # code points
LAST_EVENT_ID = 2**63 - 1
LAST_OFFSET = 2**53 - 1  # JSON readers keep whole numbers up to here exact; it is sent back

# Lengths are Unicode code points. A conversation id names two users, each of whose characters may
# take three ("%5F").
UserId = Annotated[str, Meta(min_length=1, max_length=128)]
GroupId = Annotated[str, Meta(min_length=1, max_length=128)]
MessageId = Annotated[str, Meta(min_length=1, max_length=64)]
ConversationId = Annotated[str, Meta(min_length=1, max_length=800)]
EventId = Annotated[str, Meta(max_length=64)] | int
# Where an id is expected, a whole number is taken as its decimal text.
ID_TYPES = (UserId, GroupId, MessageId, ConversationId)

RequestId = Annotated[str, Meta(max_length=64)]
# Not only white space, which ``check`` sees to, and at most as long as a setting says.
Content = Annotated[str, Meta(extra_json_schema={"pattern": r"\S"})]
Limit = Annotated[int, Meta(ge=1)]  # above MOST_PER_PAGE: MOST_PER_PAGE
Offset = Annotated[int, Meta(ge=0)]


# The conversation of a group is the group. A command where neither is required also has a field
# `group_id`, in which any value fails, so that the codec looks closer and moves it.
GROUP_SPELLING = {"groupId": "conversationId"}


class Bounds(NamedTuple):
    """What settings allow a command to ask for."""

    message_length: int  # code points, without the white space around it
    group_members: int


class Command(Struct, tag_field="type", rename="camel", kw_only=True):
    """What every command may carry."""

    SPELLINGS: ClassVar[dict[str, str]] = {}  # other names of fields, as on the wire
    AT_LEAST_ONE: ClassVar[tuple[str, ...]] = ()  # of these fields, as on the wire, is there

    request_id: RequestId | None = None

    def check(self, bounds: Bounds) -> None:
        """Refuse what the types cannot express, and bring values into their range.

        Raises:
            ValidationError: with the wire name of the field.
        """


def type_of(kind: type[Struct]) -> str:
    """Return the ``type`` of a command or an event on the wire."""
    return str(kind.__struct_config__.tag)


def find_ids(command_type: type[Command]) -> tuple[str, ...]:
    """Return the wire names of the fields in which whole numbers are taken as their text."""
    optional: list[Any] = [id_type | None for id_type in ID_TYPES]
    id_types = [*ID_TYPES, *optional]
    return tuple(
        field.encode_name
        for field in fields(command_type)
        if field.type in id_types or _item_type(field.type) in ID_TYPES
    )


def _item_type(annotation: Any) -> Any:
    """Return what a list of a field holds, None for a field that is no list."""
    plain = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    return get_args(plain)[0] if get_origin(plain) is list else None


def check_content(content: str, max_length: int) -> None:
    """Refuse content that is empty or too long without the white space around it.

    Raises:
        ValidationError: neither is changed: content is stored as sent.
    """
    if not content or content.isspace():
        raise ValidationError("The field 'content' is empty.", field="content")
    if len(content) > max_length:
        length = len(content.strip())
        if length > max_length:
            raise ValidationError(
                f"The field 'content': expected at most {max_length} characters, got {length}.",
                field="content",
            )
