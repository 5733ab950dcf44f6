"""What the server says about groups, their messages and their members.

Source: docs/protocol.md, "Groups".
"""

from typing import Literal

from msgspec import UNSET, UnsetType

from fastchat.protocol.command import ConversationId, GroupId, MessageId, UserId
from fastchat.protocol.event import Change, Count, Event, Reply, Rev, Shape, Time
from fastchat.protocol.message_types import Message, Pagination
from fastchat.protocol.system_types import Person

Role = Literal["owner", "admin", "member"]


class Group(Shape):
    """What members see of a group."""

    group_id: GroupId
    group_name: str
    group_description: str
    created_by: UserId
    max_members: Count
    member_count: Count
    created_at: Time


class Member(Person):
    """What members see of each other."""

    role: Role
    can_send_messages: bool
    can_add_members: bool
    joined_at: Time


class UserGroup(Shape):
    """A group as one of its members sees it."""

    group_id: GroupId
    group_name: str
    group_description: str
    created_by: UserId
    my_role: Role
    member_count: Count
    joined_at: Time
    unread_count: Count


class GroupMessageSent(Reply, tag="group_message_sent"):
    """The message is durable."""

    message_id: MessageId
    message: Message
    client_message_id: MessageId | UnsetType = UNSET
    duplicate: Literal[True] | UnsetType = UNSET


class AnnouncementSent(Reply, tag="announcement_sent"):
    """The announcement is durable, and pinned."""

    message_id: MessageId
    message: Message
    client_message_id: MessageId | UnsetType = UNSET
    duplicate: Literal[True] | UnsetType = UNSET


class NewGroupMessage(Event, tag="new_group_message"):
    """A message in one of one's groups."""

    message: Message
    message_id: MessageId
    group_id: GroupId
    conversation_id: ConversationId


class MentionedInGroup(Event, tag="mentioned_in_group"):
    """A message names oneself, or everyone."""

    message_id: MessageId
    group_id: GroupId
    conversation_id: ConversationId
    message: Message
    mentioned_by: UserId
    mentioned_by_username: str


class GroupMessages(Reply, tag="group_messages"):
    """A page of a group, the oldest first."""

    group_id: GroupId
    messages: list[Message]
    pagination: Pagination


class GroupInfo(Reply, tag="group_info"):
    """A group."""

    group: Group


class GroupMembers(Reply, tag="group_members"):
    """Who is in a group."""

    group_id: GroupId
    members: list[Member]


class UserGroups(Reply, tag="user_groups"):
    """One's groups."""

    groups: list[UserGroup]


class NamedUser(Shape):
    """A user and his login name."""

    user_id: UserId
    username: str


class GroupChange(Change):
    """What every event about the change of a group has; its id is there twice."""

    group_id: GroupId
    conversation_id: ConversationId
    rev: Rev


class GroupCreated(GroupChange, tag="group_created"):
    """There is a new group, with these members."""

    group: Group
    members: list[Member]


class MemberAdded(GroupChange, tag="member_added"):
    """A user came into a group."""

    user_id: UserId
    username: str
    user: NamedUser
    added_by: UserId


class MemberRemoved(GroupChange, tag="member_removed"):
    """A user was taken out of a group; he hears of it, too."""

    user_id: UserId
    removed_by: UserId


class MemberLeft(GroupChange, tag="member_left"):
    """A user left a group."""

    user_id: UserId
    username: str


class OwnershipTransferred(GroupChange, tag="ownership_transferred"):
    """A group has another owner: ``userId``."""

    user_id: UserId
    transferred_by: UserId


class MemberPromoted(GroupChange, tag="member_promoted"):
    """A member is an admin now."""

    user_id: UserId
    new_role: Role
    promoted_by: UserId


class MemberDemoted(GroupChange, tag="member_demoted"):
    """An admin is a member now."""

    user_id: UserId
    new_role: Role
    demoted_by: UserId


class MemberPermissionsUpdated(GroupChange, tag="member_permissions_updated"):
    """A member may do other things now."""

    user_id: UserId
    can_send_messages: bool
    can_add_members: bool
    updated_by: UserId


class GroupInfoUpdated(GroupChange, tag="group_info_updated"):
    """A group is called otherwise, or may have another number of members."""

    group_name: str
    group_description: str
    max_members: Count
    updated_by: UserId


class GroupDeleted(GroupChange, tag="group_deleted"):
    """A group is gone."""

    deleted_by: UserId


GROUP_EVENTS: tuple[type[Event], ...] = (
    GroupMessageSent,
    AnnouncementSent,
    NewGroupMessage,
    MentionedInGroup,
    GroupMessages,
    GroupInfo,
    GroupMembers,
    UserGroups,
    GroupCreated,
    MemberAdded,
    MemberRemoved,
    MemberLeft,
    OwnershipTransferred,
    MemberPromoted,
    MemberDemoted,
    MemberPermissionsUpdated,
    GroupInfoUpdated,
    GroupDeleted,
)
