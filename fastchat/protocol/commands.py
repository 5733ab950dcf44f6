"""Commands: what a client may ask, one Struct per ``type``. Hot path.

These Structs are the one definition of what comes in on the wire, which says ``camelCase``.
A command is decoded and validated in one step by ``codec``. What types cannot say is in ``check``.
Those of groups are in modules of their own. To add a command, write a Struct and name it in
``COMMANDS``; another spelling of a type or of a
field goes into ``TYPE_SPELLINGS`` or ``SPELLINGS``.

Source: docs/protocol.md, "Commands".
"""

from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct

from fastchat.errors import ValidationError
from fastchat.protocol.command import (
    GROUP_SPELLING,
    LAST_EVENT_ID,
    LAST_OFFSET,
    MAX_REACTION,
    MOST_ACKS,
    MOST_NAMED,
    MOST_PER_PAGE,
    Bounds,
    Command,
    Content,
    ConversationId,
    EventId,
    GroupId,
    Limit,
    MessageId,
    Offset,
    UserId,
    check_content,
)
from fastchat.protocol.group_commands import GROUP_COMMANDS
from fastchat.protocol.membership_commands import MEMBERSHIP_COMMANDS


class Authenticate(Command, tag="authenticate"):
    """Log in, or extend a live session. Whatever is wrong with the token is an ``auth_error``."""

    token: Any = None
    acks: bool = False
    presence_batches: bool = False


class AckEvents(Command, tag="ack_events"):
    """Say which queued events have arrived; ids that are none are passed over."""

    event_ids: Annotated[list[EventId], Meta(max_length=MOST_ACKS)]

    def numbers(self) -> set[int]:
        """Return the ids that may be some."""
        found = {str(event_id) for event_id in self.event_ids}
        numbers = {int(text) for text in found if text.isascii() and text.isdecimal()}
        return {number for number in numbers if number <= LAST_EVENT_ID and str(number) in found}


class Ping(Command, tag="ping"):
    """Ask for a sign of life."""


class Test(Command, tag="test"):
    """Ask whether commands are answered."""

    __test__: ClassVar[bool] = False  # not a test case, whatever its name


class GetOnlineUsers(Command, tag="get_online_users"):
    """Ask who is online."""

    limit: Limit = MOST_PER_PAGE

    def check(self, bounds: Bounds) -> None:
        """Take a limit that is too large as the largest."""
        self.limit = min(self.limit, MOST_PER_PAGE)


class StartConversation(Command, tag="start_conversation"):
    """Open the conversation with another user."""

    recipient_id: UserId


class SendPrivateMessage(Command, tag="send_private_message"):
    """Send a message to another user."""

    SPELLINGS: ClassVar[dict[str, str]] = {"replyTo": "replyToMessageId"}

    recipient_id: UserId
    content: Content
    conversation_id: ConversationId | None = None
    reply_to_message_id: MessageId | None = None
    client_message_id: MessageId | None = None
    # The other spelling. Any value fails here, so that the codec looks closer and moves it.
    reply_to: None = None

    def check(self, bounds: Bounds) -> None:
        """Refuse empty and too long content."""
        check_content(self.content, bounds.message_length)


class GetPrivateMessages(Command, tag="get_private_messages"):
    """Ask for a page of a conversation; ``before`` and ``after`` are values of ``seq``."""

    AT_LEAST_ONE = ("conversationId", "recipientId")

    conversation_id: ConversationId | None = None
    recipient_id: UserId | None = None
    limit: Limit = 50
    offset: Offset = 0
    before: int | None = None
    after: int | None = None

    def check(self, bounds: Bounds) -> None:
        """Demand one of the two ids; take numbers that are too large as the largest."""
        if self.conversation_id is None and self.recipient_id is None:
            raise ValidationError(
                "The field 'conversationId' or 'recipientId' is missing.", field="conversationId"
            )
        self.limit = min(self.limit, MOST_PER_PAGE)
        self.offset = min(self.offset, LAST_OFFSET)


class MarkMessageRead(Command, tag="mark_message_read"):
    """Mark a message and all before it as read."""

    SPELLINGS: ClassVar[dict[str, str]] = GROUP_SPELLING

    message_id: MessageId
    conversation_id: ConversationId | None = None
    group_id: None = None


class EditMessage(Command, tag="edit_message"):
    """Replace the content of an own message."""

    SPELLINGS: ClassVar[dict[str, str]] = {"newContent": "content", **GROUP_SPELLING}

    message_id: MessageId
    content: Content
    conversation_id: ConversationId | None = None
    group_id: None = None

    def check(self, bounds: Bounds) -> None:
        """Refuse empty and too long content."""
        check_content(self.content, bounds.message_length)


class DeleteMessage(Command, tag="delete_message"):
    """Delete a message, for everyone or for oneself."""

    SPELLINGS: ClassVar[dict[str, str]] = GROUP_SPELLING

    message_id: MessageId
    conversation_id: ConversationId | None = None
    group_id: None = None
    delete_for_everyone: bool = True


class AddReaction(Command, tag="add_reaction"):
    """React to a message; the same reaction once more takes it back."""

    SPELLINGS: ClassVar[dict[str, str]] = {"emoji": "reaction", **GROUP_SPELLING}

    message_id: MessageId
    reaction: Annotated[
        str, Meta(min_length=1, max_length=MAX_REACTION, extra_json_schema={"pattern": r"\S"})
    ]
    conversation_id: ConversationId | None = None
    group_id: None = None

    def check(self, bounds: Bounds) -> None:
        """Refuse white space."""
        if not self.reaction.strip():
            raise ValidationError("The field 'reaction' is empty.", field="reaction")


class RemoveReaction(Command, tag="remove_reaction"):
    """Take one's reaction back."""

    SPELLINGS: ClassVar[dict[str, str]] = GROUP_SPELLING

    message_id: MessageId
    conversation_id: ConversationId | None = None
    group_id: None = None


class PinMessage(Command, tag="pin_message"):
    """Pin a message to its conversation."""

    SPELLINGS: ClassVar[dict[str, str]] = GROUP_SPELLING

    message_id: MessageId
    conversation_id: ConversationId


class UnpinMessage(Command, tag="unpin_message"):
    """Undo a pin."""

    SPELLINGS: ClassVar[dict[str, str]] = GROUP_SPELLING

    message_id: MessageId
    conversation_id: ConversationId


class GetPinnedMessages(Command, tag="get_pinned_messages"):
    """Ask for the pinned messages of a conversation."""

    SPELLINGS: ClassVar[dict[str, str]] = GROUP_SPELLING

    conversation_id: ConversationId


class DeleteConversation(Command, tag="delete_conversation"):
    """Hide what a conversation holds now from oneself."""

    conversation_id: ConversationId


class GetConversations(Command, tag="get_conversations"):
    """Ask for one's conversations, the newest first; ``before`` is the last one of a page."""

    limit: Limit = 50
    before: ConversationId | None = None

    def check(self, bounds: Bounds) -> None:
        """Take a limit that is too large as the largest."""
        self.limit = min(self.limit, MOST_PER_PAGE)


class Position(Struct):
    """How far a client knows a conversation."""

    seq: Annotated[int, Meta(ge=0, le=LAST_OFFSET)]
    rev: Annotated[int, Meta(ge=0, le=LAST_OFFSET)]


class Sync(Command, tag="sync"):
    """Ask what one missed; ``state`` and ``next`` are texts of an earlier ``sync_result``."""

    conversations: Annotated[dict[ConversationId, Position], Meta(max_length=MOST_NAMED)] = {}
    state: str | None = None
    next: str | None = None
    limit: Limit = MOST_PER_PAGE

    def check(self, bounds: Bounds) -> None:
        """Take a limit that is too large as the largest."""
        self.limit = min(self.limit, MOST_PER_PAGE)


class Typing(Command, tag="typing"):
    """Say that one is writing, or not any more."""

    AT_LEAST_ONE = ("recipientId", "groupId")

    is_typing: bool
    recipient_id: UserId | None = None
    group_id: GroupId | None = None

    def check(self, bounds: Bounds) -> None:
        """Demand one of the two ids."""
        if self.recipient_id is None and self.group_id is None:
            raise ValidationError(
                "The field 'recipientId' or 'groupId' is missing.", field="recipientId"
            )


COMMANDS: tuple[type[Command], ...] = (
    Authenticate,
    AckEvents,
    Ping,
    Test,
    GetOnlineUsers,
    StartConversation,
    SendPrivateMessage,
    GetPrivateMessages,
    MarkMessageRead,
    EditMessage,
    DeleteMessage,
    AddReaction,
    RemoveReaction,
    PinMessage,
    UnpinMessage,
    GetPinnedMessages,
    DeleteConversation,
    GetConversations,
    Sync,
    Typing,
    *GROUP_COMMANDS,
    *MEMBERSHIP_COMMANDS,
)
TYPE_SPELLINGS = {
    "auth": "authenticate",
    "edit_private_message": "edit_message",
    "delete_private_message": "delete_message",
    "edit_group_message": "edit_message",
    "delete_group_message": "delete_message",
    "add_group_reaction": "add_reaction",
    "remove_group_reaction": "remove_reaction",
}
# What a connection may ask before it has a session.
BEFORE_SESSION: tuple[type[Command], ...] = (Authenticate, Ping, Test)
