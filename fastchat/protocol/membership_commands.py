"""Commands about groups themselves and about who is in them.

Source: docs/protocol.md, "Groups".
"""

from typing import Annotated, ClassVar

from msgspec import Meta

from fastchat.errors import ValidationError
from fastchat.protocol.command import Bounds, Command, GroupId, UserId

MOST_INITIAL_MEMBERS = 50
FEWEST_MEMBERS = 2  # that a group may be limited to
MAX_GROUP_NAME = 100  # code points
MAX_GROUP_DESCRIPTION = 500  # code points
DEFAULT_MAX_MEMBERS = 50

GroupName = Annotated[
    str,
    Meta(min_length=1, max_length=MAX_GROUP_NAME, extra_json_schema={"pattern": r"\S"}),
]
# ``check`` sees to this, and to what a setting allows at most.
MaxMembers = Annotated[int, Meta(extra_json_schema={"minimum": FEWEST_MEMBERS})]
GroupDescription = Annotated[str, Meta(max_length=MAX_GROUP_DESCRIPTION)]


class CreateGroup(Command, tag="create_group"):
    """Make a group with some members; its creator owns it."""

    SPELLINGS: ClassVar[dict[str, str]] = {"memberUserIds": "initialMembers"}

    group_name: GroupName
    group_description: GroupDescription = ""
    initial_members: Annotated[list[UserId], Meta(max_length=MOST_INITIAL_MEMBERS)] = []
    max_members: MaxMembers | None = None
    # The other spelling. Any value fails here, so that the codec looks closer and moves it.
    member_user_ids: None = None

    def check(self, bounds: Bounds) -> None:
        """Refuse a blank name, and a bound out of bounds."""
        _check_name(self.group_name)
        _check_max_members(self.max_members, bounds)


class GetUserGroups(Command, tag="get_user_groups"):
    """Ask for one's groups."""


class GetGroupMembers(Command, tag="get_group_members"):
    """Ask who is in a group."""

    group_id: GroupId


class GetGroupInfo(Command, tag="get_group_info"):
    """Ask what a group is called, and how large it is."""

    group_id: GroupId


class AddGroupMember(Command, tag="add_group_member"):
    """Take a user into a group."""

    group_id: GroupId
    user_id: UserId


class RemoveGroupMember(Command, tag="remove_group_member"):
    """Take a member out of a group."""

    group_id: GroupId
    user_id: UserId


class LeaveGroup(Command, tag="leave_group"):
    """Leave a group."""

    group_id: GroupId


class TransferOwnership(Command, tag="transfer_ownership"):
    """Make another member the owner; the one before becomes an admin."""

    group_id: GroupId
    user_id: UserId


class PromoteMember(Command, tag="promote_member"):
    """Make a member an admin."""

    group_id: GroupId
    user_id: UserId


class DemoteMember(Command, tag="demote_member"):
    """Make an admin a member again."""

    group_id: GroupId
    user_id: UserId


class SetMemberPermissions(Command, tag="set_member_permissions"):
    """Say what a member may do; what is left out stays."""

    AT_LEAST_ONE = ("canSendMessages", "canAddMembers")

    group_id: GroupId
    user_id: UserId
    can_send_messages: bool | None = None
    can_add_members: bool | None = None

    def check(self, bounds: Bounds) -> None:
        """Demand something to change."""
        if self.can_send_messages is None and self.can_add_members is None:
            raise ValidationError(
                "The field 'canSendMessages' or 'canAddMembers' is missing.",
                field="canSendMessages",
            )


class UpdateGroupInfo(Command, tag="update_group_info"):
    """Change what a group is called, or how large it may be; what is left out stays."""

    AT_LEAST_ONE = ("groupName", "groupDescription", "maxMembers")

    group_id: GroupId
    group_name: GroupName | None = None
    group_description: GroupDescription | None = None
    max_members: MaxMembers | None = None

    def check(self, bounds: Bounds) -> None:
        """Demand something to change, and refuse a blank name or a bound out of bounds."""
        if (self.group_name, self.group_description, self.max_members) == (None, None, None):
            raise ValidationError(
                "The field 'groupName', 'groupDescription' or 'maxMembers' is missing.",
                field="groupName",
            )
        if self.group_name is not None:
            _check_name(self.group_name)
        _check_max_members(self.max_members, bounds)


class DeleteGroup(Command, tag="delete_group"):
    """Delete a group; nobody is in it any more."""

    group_id: GroupId


def _check_name(name: str) -> None:
    if name.isspace():
        raise ValidationError("The field 'groupName' is empty.", field="groupName")


def _check_max_members(number: int | None, bounds: Bounds) -> None:
    if number is not None and not FEWEST_MEMBERS <= number <= bounds.group_members:
        raise ValidationError(
            f"The field 'maxMembers': expected {FEWEST_MEMBERS} to {bounds.group_members}.",
            field="maxMembers",
        )


MEMBERSHIP_COMMANDS: tuple[type[Command], ...] = (
    CreateGroup,
    GetUserGroups,
    GetGroupMembers,
    GetGroupInfo,
    AddGroupMember,
    RemoveGroupMember,
    LeaveGroup,
    TransferOwnership,
    PromoteMember,
    DemoteMember,
    SetMemberPermissions,
    UpdateGroupInfo,
    DeleteGroup,
)
