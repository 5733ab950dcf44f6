"""Which handler answers which command, and what it counts as."""

from dataclasses import dataclass

from fastchat.dispatch import GuestRoute, Route
from fastchat.handlers.annotations import MessageAnnotations
from fastchat.handlers.authentication import Authentication
from fastchat.handlers.catching_up import SyncReplies
from fastchat.handlers.changes import MessageChanges
from fastchat.handlers.group_messages import GroupMessages
from fastchat.handlers.groups import GroupAdministration
from fastchat.handlers.history import Conversations
from fastchat.handlers.messages import Messages
from fastchat.handlers.offline import OfflineEvents
from fastchat.handlers.system import System
from fastchat.handlers.typing import TypingEvents
from fastchat.protocol import commands, group_commands, membership_commands
from fastchat.protocol.command import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """Everything that answers a command."""

    authentication: Authentication
    messages: Messages
    group_messages: GroupMessages
    conversations: Conversations
    changes: MessageChanges
    annotations: MessageAnnotations
    groups: GroupAdministration
    typing: TypingEvents
    offline: OfflineEvents
    sync: SyncReplies
    system: System


def make_guest_routes(handlers: Handlers) -> dict[type[Command], GuestRoute]:
    """Return what needs no session."""
    return {
        commands.Authenticate: GuestRoute(
            handlers.authentication.authenticate, is_counted=False, is_exclusive=True
        ),
        commands.Ping: GuestRoute(handlers.system.ping, is_counted=False),
        commands.Test: GuestRoute(handlers.system.test),
    }


def make_routes(handlers: Handlers) -> dict[type[Command], Route]:
    """Return what needs a session."""
    conversations, changes = handlers.conversations, handlers.changes
    annotations, groups = handlers.annotations, handlers.groups
    return {
        commands.SendPrivateMessage: Route(handlers.messages.send, length=_content_length),
        commands.StartConversation: Route(conversations.start, is_exclusive=True),
        commands.GetPrivateMessages: Route(conversations.page, is_exclusive=True),
        commands.EditMessage: Route(changes.edit),
        commands.DeleteMessage: Route(changes.delete),
        commands.MarkMessageRead: Route(changes.mark_read),
        commands.AddReaction: Route(annotations.add_reaction),
        commands.RemoveReaction: Route(annotations.remove_reaction),
        commands.PinMessage: Route(annotations.pin),
        commands.UnpinMessage: Route(annotations.unpin),
        commands.GetPinnedMessages: Route(annotations.pinned, is_exclusive=True),
        commands.GetConversations: Route(conversations.list, is_exclusive=True),
        commands.Sync: Route(handlers.sync.sync, is_exclusive=True),
        commands.DeleteConversation: Route(conversations.delete),
        commands.AckEvents: Route(handlers.offline.acknowledge),
        commands.Typing: Route(handlers.typing.type),
        commands.GetOnlineUsers: Route(handlers.system.online_users),
        group_commands.SendGroupMessage: Route(
            handlers.group_messages.send, length=_content_length
        ),
        group_commands.SendAnnouncement: Route(
            handlers.group_messages.send, length=_content_length
        ),
        group_commands.GetGroupMessages: Route(conversations.group_page, is_exclusive=True),
        membership_commands.CreateGroup: Route(groups.create),
        membership_commands.GetUserGroups: Route(groups.list_own, is_exclusive=True),
        membership_commands.GetGroupMembers: Route(groups.members, is_exclusive=True),
        membership_commands.GetGroupInfo: Route(groups.info),
        membership_commands.AddGroupMember: Route(groups.add),
        membership_commands.RemoveGroupMember: Route(groups.remove),
        membership_commands.LeaveGroup: Route(groups.leave),
        membership_commands.TransferOwnership: Route(groups.transfer),
        membership_commands.PromoteMember: Route(groups.promote),
        membership_commands.DemoteMember: Route(groups.demote),
        membership_commands.SetMemberPermissions: Route(groups.permit),
        membership_commands.UpdateGroupInfo: Route(groups.update),
        membership_commands.DeleteGroup: Route(groups.delete),
    }


def _content_length(
    command: commands.SendPrivateMessage
    | group_commands.SendGroupMessage
    | group_commands.SendAnnouncement,
) -> int:
    return len(command.content)
