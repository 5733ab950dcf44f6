"""What commands are made of: the base, the types of their fields, and what types cannot say.

Source: docs/protocol.md, "Commands".
"""

from typing import Annotated, ClassVar, NamedTuple

from msgspec import Meta, Struct

from fastchat.errors import ValidationError

MOST_PER_PAGE = 200
MAX_REACTION = 16  # code points
LAST_OFFSET = 2**53 - 1  # JSON readers keep whole numbers up to here exact; it is sent back

# Lengths are Unicode code points. A conversation id names two users, each of whose characters may
# take three ("%5F").
UserId = Annotated[str, Meta(min_length=1, max_length=128)]
GroupId = Annotated[str, Meta(min_length=1, max_length=128)]
MessageId = Annotated[str, Meta(min_length=1, max_length=64)]
ConversationId = Annotated[str, Meta(min_length=1, max_length=800)]
# Where an id is expected, a whole number is taken as its decimal text.
ID_TYPES = (UserId, GroupId, MessageId, ConversationId)

RequestId = Annotated[str, Meta(max_length=64)]
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

    request_id: RequestId | None = None

    def check(self, bounds: Bounds) -> None:
        """Refuse what the types cannot express, and bring values into their range.

        Raises:
            ValidationError: with the wire name of the field.
        """


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
