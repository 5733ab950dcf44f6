"""What making, showing and changing groups means."""

import uuid

from fastchat.errors import (
    CommandError,
    GroupFull,
    OwnerCannotLeave,
    PermissionDenied,
    ResourceNotFound,
    ServiceUnavailable,
    UserBlocked,
    ValidationError,
)
from fastchat.handlers.delivery import Delivery
from fastchat.handlers.finding import Finder
from fastchat.interfaces import Session
from fastchat.protocol import group_events as events
from fastchat.protocol.membership_commands import (
    DEFAULT_MAX_MEMBERS,
    AddGroupMember,
    CreateGroup,
    DeleteGroup,
    DemoteMember,
    GetGroupInfo,
    GetGroupMembers,
    GetUserGroups,
    LeaveGroup,
    PromoteMember,
    RemoveGroupMember,
    SetMemberPermissions,
    TransferOwnership,
    UpdateGroupInfo,
)
from fastchat.store.contacts import Contacts
from fastchat.store.groups import (
    GroupChanged,
    GroupInfo,
    GroupRefusal,
    Groups,
    GroupWish,
    Kind,
)
from fastchat.store.memberships import MEMBER, OWNER, Member, Memberships
from fastchat.store.relations import Relations
from fastchat.store.rooms import Group, Rooms
from fastchat.store.users import Users

_ERRORS: dict[GroupRefusal, type[CommandError]] = {
    GroupRefusal.NOT_FOUND: ResourceNotFound,
    GroupRefusal.NOT_ALLOWED: PermissionDenied,
    GroupRefusal.FULL: GroupFull,
    GroupRefusal.OWNER: OwnerCannotLeave,
}
ATTEMPTS = 20  # to change what a group is called, while others change it too


class GroupAdministration:
    """Makes and changes groups and tells their members."""

    def __init__(
        self,
        groups: Groups,
        memberships: Memberships,
        rooms: Rooms,
        users: Users,
        relations: Relations,
        contacts: Contacts,
        finder: Finder,
        delivery: Delivery,
        *,
        most_members: int,
    ) -> None:
        """Take the neighbours, and the most members that any group may have."""
        self._groups = groups
        self._memberships = memberships
        self._rooms = rooms
        self._users = users
        self._relations = relations
        self._contacts = contacts
        self._finder = finder
        self._delivery = delivery
        self._most_members = most_members

    async def create(self, session: Session, command: CreateGroup, now: float) -> bytes:
        """Make a group; users who are unknown or blocked either way are left out of it."""
        max_members = command.max_members or min(DEFAULT_MAX_MEMBERS, self._most_members)
        wanted = [each for each in command.initial_members if each != session.user_id]
        known = await self._users.find_many(wanted)
        blocked = await self._contacts.blocked_with(session.user_id) if known else set()
        user_ids = [each for each in dict.fromkeys(wanted) if each in known and each not in blocked]
        if len(user_ids) + 1 > max_members:
            raise GroupFull
        group, info = await self._groups.create(
            f"group_{uuid.uuid4()}",
            command.group_name,
            command.group_description,
            session.user_id,
            max_members,
            [session.user_id, *user_ids],
        )
        persons = {session.user_id: session.user, **known}
        members = [
            events.describe_member(
                Member(
                    user_id,
                    OWNER if user_id == session.user_id else MEMBER,
                    True,
                    False,
                    info.created_at,
                ),
                persons[user_id],
            )
            for user_id in (session.user_id, *user_ids)
        ]
        payload = events.encode_group_created(info, members, rev=1)
        self._delivery.publish(group, payload, session.connection, rev=1, group_rev=1)
        return payload

    async def list_own(self, session: Session, command: GetUserGroups, now: float) -> bytes:
        """Show the user's groups."""
        found = await self._groups.of_user(session.user_id)
        return events.encode_user_groups(
            [
                events.encode_user_group(each.group, each.role, each.joined_at, each.unread_count)
                for each in found
            ]
        )

    async def info(self, session: Session, command: GetGroupInfo, now: float) -> bytes:
        """Show what a group is."""
        group, _ = await self._finder.find_group(session, command.group_id)
        info, _ = await self._find(group)
        return events.encode_group_info(info)

    async def members(self, session: Session, command: GetGroupMembers, now: float) -> bytes:
        """Show who is in a group."""
        group, _ = await self._finder.find_group(session, command.group_id)
        found = await self._memberships.find_all(group.room_id)
        known = await self._users.find_many(member.user_id for member in found)
        members = [events.describe_member(each, known.get(each.user_id)) for each in found]
        return events.encode_group_members(group.conversation_id, members)

    async def update(self, session: Session, command: UpdateGroupInfo, now: float) -> bytes:
        """Change what a group is called, or how large it may be."""
        group, member = await self._finder.find_group(session, command.group_id)
        if not member.is_admin:
            raise PermissionDenied
        for _ in range(ATTEMPTS):
            info, group_rev = await self._find(group)
            name = command.group_name or info.name
            max_members = command.max_members or info.max_members
            description = command.group_description
            if description is None:
                description = info.description
            wish = GroupWish(
                Kind.UPDATE,
                group,
                session.user_id,
                name=name,
                description=description,
                max_members=max_members,
                expected_rev=group_rev,
            )
            done = await self._groups.change(wish)
            if done is GroupRefusal.TOO_FEW:
                raise ValidationError(
                    "The field 'maxMembers': the group has more members than that.",
                    field="maxMembers",
                )
            if done is not GroupRefusal.OVERTAKEN:
                break
        else:
            raise ServiceUnavailable
        changed = _expect(done)
        shown = info._replace(name=name, description=description, max_members=max_members)
        payload = events.encode_group_info_updated(shown, session.user_id, changed.rev)
        return await self._tell(group, session, payload, changed)

    async def delete(self, session: Session, command: DeleteGroup, now: float) -> bytes:
        """Delete a group; its messages stay, but nobody is in it any more."""
        group = await self._find_room(command.group_id)
        for _ in range(ATTEMPTS):
            # Afterwards nobody knows any more who was in it.
            group_rev, members = await self._memberships.fetch_list(group.room_id)
            wish = GroupWish(Kind.DELETE, group, session.user_id, expected_rev=group_rev)
            deleted = await self._groups.change(wish)
            if deleted is not GroupRefusal.OVERTAKEN:
                break
        else:
            raise ServiceUnavailable
        done = _expect(deleted)
        self._rooms.forget(group)
        payload = events.encode_group_deleted(group.conversation_id, session.user_id, done.rev)
        return await self._tell(group, session, payload, done, others=members)

    async def add(self, session: Session, command: AddGroupMember, now: float) -> bytes:
        """Take a user into a group."""
        group, member = await self._finder.find_group(session, command.group_id)
        if not (member.is_admin or member.can_add_members):
            raise PermissionDenied
        person = await self._users.find(command.user_id)
        if person is None:
            raise ResourceNotFound("There is no such user.")
        if await self._relations.blocks_between(session.user_id, command.user_id):
            raise UserBlocked
        done = await self._change(Kind.ADD, session, group, command.user_id)
        payload = events.encode_member_added(
            group.conversation_id, person, session.user_id, done.rev
        )
        return await self._tell(group, session, payload, done)

    async def remove(self, session: Session, command: RemoveGroupMember, now: float) -> bytes:
        """Take a member out of a group; oneself: leave it."""
        if command.user_id == session.user_id:
            return await self.leave(session, LeaveGroup(group_id=command.group_id), now)
        group = await self._find_room(command.group_id)
        done = await self._change(Kind.REMOVE, session, group, command.user_id)
        payload = events.encode_member_removed(
            group.conversation_id, command.user_id, session.user_id, done.rev
        )
        return await self._tell(group, session, payload, done, others=(command.user_id,))

    async def leave(self, session: Session, command: LeaveGroup, now: float) -> bytes:
        """Leave a group."""
        group = await self._find_room(command.group_id)
        done = await self._change(Kind.LEAVE, session, group)
        payload = events.encode_member_left(group.conversation_id, session.user, done.rev)
        # His other connections want to know too.
        self._delivery.publish(
            group,
            payload,
            session.connection,
            rev=done.rev,
            group_rev=done.rev,
            others=(session.user_id,),
        )
        return payload

    async def transfer(self, session: Session, command: TransferOwnership, now: float) -> bytes:
        """Make another member the owner."""
        group = await self._find_room(command.group_id)
        done = await self._change(Kind.TRANSFER, session, group, command.user_id)
        payload = events.encode_ownership_transferred(
            group.conversation_id, command.user_id, session.user_id, done.rev
        )
        return self._tell_live(group, session, payload, done)

    async def promote(self, session: Session, command: PromoteMember, now: float) -> bytes:
        """Make a member an admin."""
        group = await self._find_room(command.group_id)
        done = await self._change(Kind.PROMOTE, session, group, command.user_id)
        payload = events.encode_member_promoted(
            group.conversation_id, command.user_id, session.user_id, done.rev
        )
        return await self._tell(group, session, payload, done)

    async def demote(self, session: Session, command: DemoteMember, now: float) -> bytes:
        """Make an admin a member again."""
        group = await self._find_room(command.group_id)
        done = await self._change(Kind.DEMOTE, session, group, command.user_id)
        payload = events.encode_member_demoted(
            group.conversation_id, command.user_id, session.user_id, done.rev
        )
        return await self._tell(group, session, payload, done)

    async def permit(self, session: Session, command: SetMemberPermissions, now: float) -> bytes:
        """Say what a member may do."""
        group = await self._find_room(command.group_id)
        wish = GroupWish(
            Kind.PERMIT,
            group,
            session.user_id,
            command.user_id,
            command.can_send_messages,
            command.can_add_members,
        )
        done = _expect(await self._groups.change(wish))
        payload = events.encode_member_permissions_updated(
            group.conversation_id,
            command.user_id,
            done.can_send,
            done.can_add,
            session.user_id,
            done.rev,
        )
        return self._tell_live(group, session, payload, done)

    async def _find_room(self, group_id: str) -> Group:
        """Return a group; whether the user is in it, the statement that follows asks."""
        room = await self._rooms.find_by_conversation_id(group_id)
        if not isinstance(room, Group):
            raise ResourceNotFound
        return room

    async def _find(self, group: Group) -> tuple[GroupInfo, int]:
        found = await self._groups.find(group)
        if found is None:
            raise ResourceNotFound
        return found

    async def _change(
        self, kind: Kind, session: Session, group: Group, target_id: str | None = None
    ) -> GroupChanged:
        wish = GroupWish(kind, group, session.user_id, target_id)
        return _expect(await self._groups.change(wish))

    async def _tell(
        self,
        group: Group,
        session: Session,
        payload: bytes,
        done: GroupChanged,
        others: tuple[str, ...] = (),
    ) -> bytes:
        """Tell the members, also those who are not here, and return the reply."""
        if done.is_new:
            await self._delivery.publish_change(
                group,
                payload,
                session.connection,
                rev=done.rev,
                group_rev=done.rev,
                others=others,
            )
        return payload

    def _tell_live(
        self, group: Group, session: Session, payload: bytes, done: GroupChanged
    ) -> bytes:
        """Tell the members who are here, and return the reply."""
        if done.is_new:
            self._delivery.publish(
                group, payload, session.connection, rev=done.rev, group_rev=done.rev
            )
        return payload


def _expect(done: GroupChanged | GroupRefusal) -> GroupChanged:
    if isinstance(done, GroupRefusal):
        raise _ERRORS[done]
    return done
