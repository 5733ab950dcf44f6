"""Every event there is, and which of them answer which command.

Source: docs/protocol.md, "Commands".
"""

from fastchat.protocol import group_types as groups
from fastchat.protocol import message_types as messages
from fastchat.protocol import sync_types as sync
from fastchat.protocol import system_types as system
from fastchat.protocol.event import Event, Reply

EVENTS: tuple[type[Event], ...] = (
    *system.SYSTEM_EVENTS,
    *messages.MESSAGE_EVENTS,
    *groups.GROUP_EVENTS,
    *sync.SYNC_EVENTS,
)
# By the type of the command. Any of them may also be answered by ``error``.
REPLIES: dict[str, tuple[type[Reply], ...]] = {
    "authenticate": (system.Connected, system.TokenRefreshed, system.AuthError),
    "ack_events": (system.EventsAcked,),
    "ping": (system.Pong,),
    "test": (system.TestResponse,),
    "sync": (sync.SyncResult,),
    "get_online_users": (system.OnlineUsers,),
    "start_conversation": (messages.ConversationStarted,),
    "send_private_message": (messages.MessageSent,),
    "get_private_messages": (messages.PrivateMessages,),
    "mark_message_read": (messages.MessageRead,),
    "edit_message": (messages.MessageEdited,),
    "delete_message": (messages.MessageDeleted,),
    "add_reaction": (messages.ReactionAdded, messages.ReactionRemoved),
    "remove_reaction": (messages.ReactionRemoved,),
    "pin_message": (messages.MessagePinned,),
    "unpin_message": (messages.MessageUnpinned,),
    "get_pinned_messages": (messages.PinnedMessages,),
    "delete_conversation": (messages.ConversationDeleted,),
    "get_conversations": (messages.Conversations,),
    "typing": (),
    "send_group_message": (groups.GroupMessageSent,),
    "send_announcement": (groups.AnnouncementSent,),
    "get_group_messages": (groups.GroupMessages,),
    "create_group": (groups.GroupCreated,),
    "get_user_groups": (groups.UserGroups,),
    "get_group_members": (groups.GroupMembers,),
    "get_group_info": (groups.GroupInfo,),
    "add_group_member": (groups.MemberAdded,),
    "remove_group_member": (groups.MemberRemoved, groups.MemberLeft),
    "leave_group": (groups.MemberLeft,),
    "transfer_ownership": (groups.OwnershipTransferred,),
    "promote_member": (groups.MemberPromoted,),
    "demote_member": (groups.MemberDemoted,),
    "set_member_permissions": (groups.MemberPermissionsUpdated,),
    "update_group_info": (groups.GroupInfoUpdated,),
    "delete_group": (groups.GroupDeleted,),
}
