"""What ``sync`` answers: everything that a client missed.

Source: docs/protocol.md, "Catching up".
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType, convert

from fastchat.protocol.command import ConversationId, GroupId, MessageId, UserId
from fastchat.protocol.event import Count, Event, Reply, Rev, Seq, Shape
from fastchat.protocol.group_types import Group, Member
from fastchat.protocol.message_types import Message


class Tombstone(Shape):
    """What is left of a message that was deleted for everyone."""

    id: MessageId
    seq: Seq
    rev: Rev
    is_deleted: Literal[True]


# msgspec has no union of two objects that only their fields tell apart.
Changed = Annotated[
    dict[str, Any],
    Meta(extra_json_schema={"anyOf": [{"$ref": "#/$defs/Message"}, {"$ref": "#/$defs/Tombstone"}]}),
]


class ConversationNews(Shape, kw_only=True):
    """What is new in one conversation."""

    conversation_id: ConversationId
    group_id: GroupId | UnsetType = UNSET
    seq: Seq
    rev: Rev
    messages: list[Message]
    changed: list[Changed]
    complete: bool
    read_up_to: dict[UserId, Seq]
    unread_count: Count
    hidden_ids: list[MessageId]
    hidden: bool
    hidden_up_to: Seq | UnsetType = UNSET
    group: Group | UnsetType = UNSET
    members: list[Member] | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse a changed message that is neither a message nor what is left of one."""
        for message in self.changed:
            convert(message, Tombstone if message.get("isDeleted") else Message)


class SyncResult(Reply, tag="sync_result"):
    """Everything that one missed, or with ``next`` a part of it."""

    conversations: list[ConversationNews]
    left: list[GroupId]
    state: str
    next: str | UnsetType = UNSET


SYNC_EVENTS: tuple[type[Event], ...] = (SyncResult,)
