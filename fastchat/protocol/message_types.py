"""What the server says about messages, and about conversations as a whole.

Source: docs/protocol.md, "Messages and conversations".
"""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from fastchat.protocol.command import ConversationId, GroupId, MessageId, UserId
from fastchat.protocol.event import Change, Count, Event, Reply, Rev, Seq, Shape, Time
from fastchat.protocol.system_types import Person


class Reaction(Shape):
    """What one user feels about a message."""

    user_id: UserId
    username: str
    reaction: str


class MemberMention(
    Struct, tag_field="type", tag="user", rename="camel", forbid_unknown_fields=True
):
    """A member who is named in a message."""

    user_id: UserId
    username: str


class EveryoneMention(Struct, tag_field="type", tag="everyone", forbid_unknown_fields=True):
    """All members are named in a message."""


class Message(Shape, kw_only=True):
    """A message as one user sees it; it has a recipient or a group."""

    EXACTLY_ONE = ("recipient_id", "group_id")

    id: MessageId
    conversation_id: ConversationId
    sender_id: UserId
    recipient_id: UserId | UnsetType = UNSET
    group_id: GroupId | UnsetType = UNSET
    username: str
    content: str
    timestamp: Time
    is_read: bool
    reply_to_message_id: MessageId | None
    reactions: list[Reaction]
    mentions: list[MemberMention | EveryoneMention] | UnsetType = UNSET
    edited_at: Time | UnsetType = UNSET
    is_pinned: Literal[True] | UnsetType = UNSET
    is_announcement: Literal[True] | UnsetType = UNSET
    is_deleted: Literal[True] | UnsetType = UNSET
    seq: Seq
    rev: Rev
    client_message_id: MessageId | UnsetType = UNSET


class Pagination(Shape):
    """Which page it is, and whether there are more in the direction of reading."""

    limit: Count
    offset: Count
    has_more: bool


class Participant(Person):
    """The other user of a conversation."""

    online: bool


class ConversationStarted(Reply, tag="conversation_started"):
    """The conversation with another user, and its newest messages, the oldest first."""

    conversation_id: ConversationId
    participant: Participant
    messages: list[Message]


class MessageSent(Reply, tag="message_sent"):
    """The message is durable."""

    message_id: MessageId
    message: Message
    client_message_id: MessageId | UnsetType = UNSET
    duplicate: Literal[True] | UnsetType = UNSET


class NewPrivateMessage(Event, tag="new_private_message"):
    """A message between oneself and another user."""

    message: Message
    message_id: MessageId
    conversation_id: ConversationId


class PrivateMessages(Reply, tag="private_messages"):
    """A page of a conversation, the oldest first."""

    conversation_id: ConversationId
    messages: list[Message]
    pagination: Pagination


class MessageRead(Reply, tag="message_read", kw_only=True):
    """A user has read this message and all before it."""

    message_id: MessageId
    conversation_id: ConversationId
    group_id: GroupId | UnsetType = UNSET
    read_by: UserId


class MessageChange(Change, kw_only=True):
    """What every event about the change of a message has; in groups the id is there twice."""

    message_id: MessageId
    conversation_id: ConversationId
    group_id: GroupId | UnsetType = UNSET


class EditedMessage(Shape):
    """What an edit changed."""

    id: MessageId
    content: str
    edited_at: Time


class MessageEdited(MessageChange, tag="message_edited"):
    """A message has other content now."""

    message: EditedMessage
    rev: Rev


class MessageDeleted(MessageChange, tag="message_deleted"):
    """A message is gone: for everyone (with ``rev``), or for oneself."""

    delete_for_everyone: bool
    rev: Rev | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Demand ``rev`` exactly when the message is gone for everyone."""
        if self.delete_for_everyone == (self.rev is UNSET):
            raise ValueError("expected rev exactly with deleteForEveryone")


class ReactionAdded(MessageChange, tag="reaction_added"):
    """A user reacted; this replaces another reaction of the same user."""

    reaction: Reaction
    rev: Rev


class ReactionRemoved(MessageChange, tag="reaction_removed"):
    """A user took a reaction back."""

    user_id: UserId
    rev: Rev


class MessagePinned(MessageChange, tag="message_pinned"):
    """A message is pinned."""

    pinned_by: UserId
    rev: Rev


class MessageUnpinned(MessageChange, tag="message_unpinned"):
    """A message is pinned no more; ``pinnedBy`` is who did that."""

    pinned_by: UserId
    rev: Rev


class PinnedMessages(Reply, tag="pinned_messages", kw_only=True):
    """The newest pinned messages, the oldest of them first."""

    conversation_id: ConversationId
    group_id: GroupId | UnsetType = UNSET
    messages: list[Message]


class UserTyping(Event, tag="user_typing"):
    """A user is writing, or not any more."""

    user_id: UserId
    username: str
    is_typing: bool
    conversation_id: ConversationId
    group_id: GroupId | UnsetType = UNSET


class ConversationDeleted(Reply, tag="conversation_deleted"):
    """The user hid what a conversation held."""

    conversation_id: ConversationId


class ListedGroup(Shape):
    """What a list of conversations shows of a group."""

    group_id: GroupId
    group_name: str
    member_count: Count


class Conversation(Shape, kw_only=True):
    """A conversation in a list: with another user, or a group."""

    EXACTLY_ONE = ("participant", "group")

    conversation_id: ConversationId
    participant: Person | UnsetType = UNSET
    group: ListedGroup | UnsetType = UNSET
    last_message: Message
    unread_count: Count
    seq: Seq
    rev: Rev


class ListPagination(Shape):
    """How long the page is, and whether there are more behind it."""

    limit: Count
    has_more: bool


class Conversations(Reply, tag="conversations"):
    """A page of one's conversations, the newest first."""

    conversations: list[Conversation]
    pagination: ListPagination


MESSAGE_EVENTS: tuple[type[Event], ...] = (
    ConversationStarted,
    MessageSent,
    NewPrivateMessage,
    PrivateMessages,
    MessageRead,
    MessageEdited,
    MessageDeleted,
    ReactionAdded,
    ReactionRemoved,
    MessagePinned,
    MessageUnpinned,
    PinnedMessages,
    UserTyping,
    ConversationDeleted,
    Conversations,
)
