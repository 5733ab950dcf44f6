"""One method per command. Those that send return a future, all others are to be awaited.

Every method raises ``CommandFailed`` when the server refuses, and ``ClientClosed`` at the end of
the client. Those that do not send also raise ``ConnectionLost`` when the connection ends before
the answer, and ``TimeoutError`` when there is no connection for as long as the client has patience.
What is sent waits in the outbox for as long as it takes.

Source: docs/protocol.md, "Commands".
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeVar

from fastchat.protocol import commands as c
from fastchat.protocol import group_commands as gc
from fastchat.protocol import group_types as g
from fastchat.protocol import membership_commands as mc
from fastchat.protocol import message_types as m
from fastchat.protocol import system_types as s
from fastchat.protocol.command import MOST_PER_PAGE, Command
from fastchat.protocol.event import Reply

R = TypeVar("R", bound=Reply)


class Commands(ABC):
    """What a user may ask."""

    @abstractmethod
    async def ask(self, command: Command, *kinds: type[R]) -> R:
        """Send a command and return its answer, which is of one of some types."""

    @abstractmethod
    def post(self, command: Command, room: str, kind: type[R]) -> asyncio.Future[R]:
        """Put a message into the outbox; the future has the answer when it is stored.

        Raises:
            OutboxFull: too many wait already.
        """

    @abstractmethod
    def tell(self, command: Command) -> None:
        """Send a command that has no answer, if there is a connection."""

    # Messages

    def send_private_message(
        self,
        recipient_id: str,
        content: str,
        *,
        reply_to: str | None = None,
        client_message_id: str | None = None,
    ) -> asyncio.Future[m.MessageSent]:
        """Send a message to a user; order and being stored once are the client's business."""
        command = c.SendPrivateMessage(
            recipient_id=recipient_id,
            content=content,
            reply_to_message_id=reply_to,
            client_message_id=client_message_id,
        )
        return self.post(command, f"user {recipient_id}", m.MessageSent)

    def send_group_message(
        self,
        group_id: str,
        content: str,
        *,
        reply_to: str | None = None,
        client_message_id: str | None = None,
    ) -> asyncio.Future[g.GroupMessageSent]:
        """Send a message to a group."""
        command = gc.SendGroupMessage(
            group_id=group_id,
            content=content,
            reply_to_message_id=reply_to,
            client_message_id=client_message_id,
        )
        return self.post(command, f"group {group_id}", g.GroupMessageSent)

    def send_announcement(
        self, group_id: str, content: str, *, client_message_id: str | None = None
    ) -> asyncio.Future[g.AnnouncementSent]:
        """Send a message to a group that is pinned at once; admins may."""
        command = gc.SendAnnouncement(
            group_id=group_id, content=content, client_message_id=client_message_id
        )
        return self.post(command, f"group {group_id}", g.AnnouncementSent)

    async def edit_message(self, message_id: str, content: str) -> m.MessageEdited:
        """Replace the content of an own message."""
        return await self.ask(
            c.EditMessage(message_id=message_id, content=content), m.MessageEdited
        )

    async def delete_message(
        self, message_id: str, *, for_everyone: bool = True
    ) -> m.MessageDeleted:
        """Delete a message, for everyone or for oneself."""
        command = c.DeleteMessage(message_id=message_id, delete_for_everyone=for_everyone)
        return await self.ask(command, m.MessageDeleted)

    async def mark_message_read(self, message_id: str) -> m.MessageRead:
        """Mark a message and all before it as read."""
        return await self.ask(c.MarkMessageRead(message_id=message_id), m.MessageRead)

    async def add_reaction(
        self, message_id: str, reaction: str
    ) -> m.ReactionAdded | m.ReactionRemoved:
        """React to a message; the same reaction once more takes it back."""
        command = c.AddReaction(message_id=message_id, reaction=reaction)
        return await self.ask(command, m.ReactionAdded, m.ReactionRemoved)

    async def remove_reaction(self, message_id: str) -> m.ReactionRemoved:
        """Take one's reaction back."""
        return await self.ask(c.RemoveReaction(message_id=message_id), m.ReactionRemoved)

    async def pin_message(self, message_id: str, conversation_id: str) -> m.MessagePinned:
        """Pin a message to its conversation, or group."""
        command = c.PinMessage(message_id=message_id, conversation_id=conversation_id)
        return await self.ask(command, m.MessagePinned)

    async def unpin_message(self, message_id: str, conversation_id: str) -> m.MessageUnpinned:
        """Undo a pin."""
        command = c.UnpinMessage(message_id=message_id, conversation_id=conversation_id)
        return await self.ask(command, m.MessageUnpinned)

    # Conversations

    async def start_conversation(self, recipient_id: str) -> m.ConversationStarted:
        """Open the conversation with another user; it comes with its newest messages."""
        return await self.ask(c.StartConversation(recipient_id=recipient_id), m.ConversationStarted)

    async def get_conversations(
        self, *, limit: int = 50, before: str | None = None
    ) -> m.Conversations:
        """Return a page of one's conversations, the newest first."""
        return await self.ask(c.GetConversations(limit=limit, before=before), m.Conversations)

    async def get_private_messages(
        self,
        conversation_id: str,
        *,
        limit: int = 50,
        offset: int = 0,
        before: int | None = None,
        after: int | None = None,
    ) -> m.PrivateMessages:
        """Return a page of a conversation, the oldest message first."""
        command = c.GetPrivateMessages(
            conversation_id=conversation_id, limit=limit, offset=offset, before=before, after=after
        )
        return await self.ask(command, m.PrivateMessages)

    async def get_pinned_messages(self, conversation_id: str) -> m.PinnedMessages:
        """Return what is pinned in a conversation, or group."""
        command = c.GetPinnedMessages(conversation_id=conversation_id)
        return await self.ask(command, m.PinnedMessages)

    async def delete_conversation(self, conversation_id: str) -> m.ConversationDeleted:
        """Hide what a conversation holds now from oneself."""
        command = c.DeleteConversation(conversation_id=conversation_id)
        return await self.ask(command, m.ConversationDeleted)

    def typing(
        self, is_typing: bool, *, recipient_id: str | None = None, group_id: str | None = None
    ) -> None:
        """Say that one is writing, or not any more; of one of the two. It may get lost."""
        self.tell(c.Typing(is_typing=is_typing, recipient_id=recipient_id, group_id=group_id))

    async def get_online_users(self, *, limit: int = MOST_PER_PAGE) -> s.OnlineUsers:
        """Return who is online."""
        return await self.ask(c.GetOnlineUsers(limit=limit), s.OnlineUsers)

    async def ping(self) -> s.Pong:
        """Ask for a sign of life."""
        return await self.ask(c.Ping(), s.Pong)

    async def test(self) -> s.TestResponse:
        """Ask whether commands are answered."""
        return await self.ask(c.Test(), s.TestResponse)

    # Groups

    async def create_group(
        self,
        group_name: str,
        *,
        description: str = "",
        members: Sequence[str] = (),
        max_members: int | None = None,
    ) -> g.GroupCreated:
        """Make a group and own it; the answer tells who is in."""
        command = mc.CreateGroup(
            group_name=group_name,
            group_description=description,
            initial_members=list(members),
            max_members=max_members,
        )
        return await self.ask(command, g.GroupCreated)

    async def get_group_messages(
        self,
        group_id: str,
        *,
        limit: int = 50,
        offset: int = 0,
        before: int | None = None,
        after: int | None = None,
    ) -> g.GroupMessages:
        """Return a page of a group, the oldest message first."""
        command = gc.GetGroupMessages(
            group_id=group_id, limit=limit, offset=offset, before=before, after=after
        )
        return await self.ask(command, g.GroupMessages)

    async def get_user_groups(self) -> g.UserGroups:
        """Return one's groups."""
        return await self.ask(mc.GetUserGroups(), g.UserGroups)

    async def get_group_members(self, group_id: str) -> g.GroupMembers:
        """Return who is in a group."""
        return await self.ask(mc.GetGroupMembers(group_id=group_id), g.GroupMembers)

    async def get_group_info(self, group_id: str) -> g.GroupInfo:
        """Return what a group is called, and how large it is."""
        return await self.ask(mc.GetGroupInfo(group_id=group_id), g.GroupInfo)

    async def update_group_info(
        self,
        group_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        max_members: int | None = None,
    ) -> g.GroupInfoUpdated:
        """Change what a group is called, or how large it may be; None stays as it is."""
        command = mc.UpdateGroupInfo(
            group_id=group_id,
            group_name=name,
            group_description=description,
            max_members=max_members,
        )
        return await self.ask(command, g.GroupInfoUpdated)

    async def delete_group(self, group_id: str) -> g.GroupDeleted:
        """Delete a group; its owner may."""
        return await self.ask(mc.DeleteGroup(group_id=group_id), g.GroupDeleted)

    async def leave_group(self, group_id: str) -> g.MemberLeft:
        """Leave a group."""
        return await self.ask(mc.LeaveGroup(group_id=group_id), g.MemberLeft)

    async def add_group_member(self, group_id: str, user_id: str) -> g.MemberAdded:
        """Take a user into a group."""
        command = mc.AddGroupMember(group_id=group_id, user_id=user_id)
        return await self.ask(command, g.MemberAdded)

    async def remove_group_member(
        self, group_id: str, user_id: str
    ) -> g.MemberRemoved | g.MemberLeft:
        """Take a member out of a group."""
        command = mc.RemoveGroupMember(group_id=group_id, user_id=user_id)
        return await self.ask(command, g.MemberRemoved, g.MemberLeft)

    async def transfer_ownership(self, group_id: str, user_id: str) -> g.OwnershipTransferred:
        """Make another member the owner."""
        command = mc.TransferOwnership(group_id=group_id, user_id=user_id)
        return await self.ask(command, g.OwnershipTransferred)

    async def promote_member(self, group_id: str, user_id: str) -> g.MemberPromoted:
        """Make a member an admin."""
        command = mc.PromoteMember(group_id=group_id, user_id=user_id)
        return await self.ask(command, g.MemberPromoted)

    async def demote_member(self, group_id: str, user_id: str) -> g.MemberDemoted:
        """Make an admin a member again."""
        command = mc.DemoteMember(group_id=group_id, user_id=user_id)
        return await self.ask(command, g.MemberDemoted)

    async def set_member_permissions(
        self,
        group_id: str,
        user_id: str,
        *,
        can_send_messages: bool | None = None,
        can_add_members: bool | None = None,
    ) -> g.MemberPermissionsUpdated:
        """Say what a member may do; None stays as it is."""
        command = mc.SetMemberPermissions(
            group_id=group_id,
            user_id=user_id,
            can_send_messages=can_send_messages,
            can_add_members=can_add_members,
        )
        return await self.ask(command, g.MemberPermissionsUpdated)
