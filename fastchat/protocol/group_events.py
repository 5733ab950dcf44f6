"""Events about groups and their members, as the bytes of one text frame each.

Source: docs/protocol.md, "Groups". Times are epoch seconds.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import orjson

from fastchat.protocol.events import Person, cut_to_fit, name_room
from fastchat.protocol.times import iso_time

_dumps = orjson.dumps


class GroupLike(Protocol):
    """What members see of a group."""

    @property
    def group_id(self) -> str:
        """Id on the wire."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def description(self) -> str:
        """For people; may be empty."""

    @property
    def created_by(self) -> str:
        """User id of who made it."""

    @property
    def max_members(self) -> int:
        """The most members it may have."""

    @property
    def member_count(self) -> int:
        """Members it has."""

    @property
    def created_at(self) -> float:
        """When it was made."""


class MemberLike(Protocol):
    """What members see of each other."""

    @property
    def user_id(self) -> str:
        """Canonical text of the id."""

    @property
    def role(self) -> str:
        """``owner``, ``admin`` or ``member``."""

    @property
    def can_send_messages(self) -> bool:
        """Whether he may write."""

    @property
    def can_add_members(self) -> bool:
        """Whether he may add others, though he is no admin."""

    @property
    def joined_at(self) -> float:
        """When he came."""


def describe_group(group: GroupLike) -> dict[str, Any]:
    """Return a group as the wire shows it."""
    return {
        "groupId": group.group_id,
        "groupName": group.name,
        "groupDescription": group.description,
        "createdBy": group.created_by,
        "maxMembers": group.max_members,
        "memberCount": group.member_count,
        "createdAt": iso_time(group.created_at),
    }


def describe_member(member: MemberLike, person: Person | None) -> dict[str, Any]:
    """Return a member as the wire shows him; one whom nobody knows any more by his id."""
    return {
        "userId": member.user_id,
        "username": member.user_id if person is None else person.username,
        "displayName": member.user_id if person is None else person.display_name,
        "role": member.role,
        "canSendMessages": member.can_send_messages,
        "canAddMembers": member.can_add_members,
        "joinedAt": iso_time(member.joined_at),
    }


def encode_group_created(group: GroupLike, members: Sequence[dict[str, Any]], rev: int) -> bytes:
    """Encode ``group_created``; ``members`` come from ``describe_member``."""
    return _dumps(
        {
            "type": "group_created",
            **name_room(group.group_id, is_group=True),
            "group": describe_group(group),
            "members": members,
            "rev": rev,
        }
    )


def encode_group_info(group: GroupLike) -> bytes:
    """Encode ``group_info``."""
    return _dumps({"type": "group_info", "group": describe_group(group)})


def encode_group_members(group_id: str, members: Sequence[dict[str, Any]]) -> bytes:
    """Encode ``group_members``; they come from ``describe_member``."""
    return _dumps({"type": "group_members", "groupId": group_id, "members": members})


def encode_user_group(group: GroupLike, role: str, joined_at: float, unread_count: int) -> bytes:
    """Encode one entry of ``user_groups``, as the member sees it."""
    return _dumps(
        {
            "groupId": group.group_id,
            "groupName": group.name,
            "groupDescription": group.description,
            "createdBy": group.created_by,
            "myRole": role,
            "memberCount": group.member_count,
            "joinedAt": iso_time(joined_at),
            "unreadCount": unread_count,
        }
    )


def encode_user_groups(groups: Sequence[bytes]) -> bytes:
    """Encode ``user_groups``, as many as fit into one reply."""
    fitting = cut_to_fit(groups, keep_oldest=True)
    return b'{"type":"user_groups","groups":[' + b",".join(fitting) + b"]}"


def encode_member_added(group_id: str, person: Person, added_by: str, rev: int) -> bytes:
    """Encode ``member_added``."""
    return _member_event(
        "member_added",
        group_id,
        person.user_id,
        rev,
        username=person.username,
        user={"userId": person.user_id, "username": person.username},
        addedBy=added_by,
    )


def encode_member_removed(group_id: str, user_id: str, removed_by: str, rev: int) -> bytes:
    """Encode ``member_removed``, also for him who is."""
    return _member_event("member_removed", group_id, user_id, rev, removedBy=removed_by)


def encode_member_left(group_id: str, person: Person, rev: int) -> bytes:
    """Encode ``member_left``."""
    return _member_event("member_left", group_id, person.user_id, rev, username=person.username)


def encode_ownership_transferred(
    group_id: str, user_id: str, transferred_by: str, rev: int
) -> bytes:
    """Encode ``ownership_transferred``; the user is the new owner."""
    return _member_event(
        "ownership_transferred", group_id, user_id, rev, transferredBy=transferred_by
    )


def encode_member_promoted(group_id: str, user_id: str, promoted_by: str, rev: int) -> bytes:
    """Encode ``member_promoted``."""
    return _member_event(
        "member_promoted", group_id, user_id, rev, newRole="admin", promotedBy=promoted_by
    )


def encode_member_demoted(group_id: str, user_id: str, demoted_by: str, rev: int) -> bytes:
    """Encode ``member_demoted``."""
    return _member_event(
        "member_demoted", group_id, user_id, rev, newRole="member", demotedBy=demoted_by
    )


def encode_member_permissions_updated(
    group_id: str, user_id: str, can_send: bool, can_add: bool, updated_by: str, rev: int
) -> bytes:
    """Encode ``member_permissions_updated``."""
    return _member_event(
        "member_permissions_updated",
        group_id,
        user_id,
        rev,
        canSendMessages=can_send,
        canAddMembers=can_add,
        updatedBy=updated_by,
    )


def encode_group_info_updated(group: GroupLike, updated_by: str, rev: int) -> bytes:
    """Encode ``group_info_updated``."""
    return _dumps(
        {
            "type": "group_info_updated",
            **name_room(group.group_id, is_group=True),
            "groupName": group.name,
            "groupDescription": group.description,
            "maxMembers": group.max_members,
            "updatedBy": updated_by,
            "rev": rev,
        }
    )


def encode_group_deleted(group_id: str, deleted_by: str, rev: int) -> bytes:
    """Encode ``group_deleted``."""
    return _dumps(
        {
            "type": "group_deleted",
            **name_room(group_id, is_group=True),
            "deletedBy": deleted_by,
            "rev": rev,
        }
    )


def _member_event(event_type: str, group_id: str, user_id: str, rev: int, **fields: Any) -> bytes:
    return _dumps(
        {
            "type": event_type,
            **name_room(group_id, is_group=True),
            "userId": user_id,
            **fields,
            "rev": rev,
        }
    )
