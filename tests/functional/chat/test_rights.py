"""Who may do what: every command for every role, and that a refusal changes nothing.

In a conversation of two there are its author and the other one, with a block either way or
without; in a group its owner, an admin, a member, the author of the message, one who wrote a
message and left since, and a stranger to both.
"""

from typing import NamedTuple

import pytest

from fastchat.protocol.commands import COMMANDS
from tests.functional.chat.talking import block, run_sql, say

OK = "ok"
NONE = "RESOURCE_NOT_FOUND"
DENIED = "PERMISSION_DENIED"
BLOCKED = "USER_BLOCKED"
OWNER = "OWNER_CANNOT_LEAVE"

GROUP_ROLES = ("stranger", "former", "member", "author", "admin", "owner")
MEMBERS_MAY = (NONE, NONE, OK, OK, OK, OK)
ADMINS_MAY = (NONE, NONE, DENIED, DENIED, OK, OK)
OWNER_MAY = (NONE, NONE, DENIED, DENIED, DENIED, OK)
EVERYBODY_MAY = (OK,) * 6
# The fields are those of ``Group`` below.
IN_GROUPS = {
    "send_group_message": (("groupId", "content"), MEMBERS_MAY),
    "send_announcement": (("groupId", "content"), ADMINS_MAY),
    "get_group_messages": (("groupId",), MEMBERS_MAY),
    "get_private_messages": (("conversationId",), MEMBERS_MAY),
    "get_pinned_messages": (("groupId",), MEMBERS_MAY),
    "get_group_members": (("groupId",), MEMBERS_MAY),
    "get_group_info": (("groupId",), MEMBERS_MAY),
    "get_user_groups": ((), EVERYBODY_MAY),
    "get_conversations": ((), EVERYBODY_MAY),
    "create_group": (("groupName",), EVERYBODY_MAY),
    "mark_message_read": (("messageId",), MEMBERS_MAY),
    "edit_group_message": (
        ("messageId", "content"),
        (NONE, NONE, DENIED, OK, DENIED, DENIED),
    ),
    "delete_group_message": (("messageId",), (NONE, NONE, DENIED, OK, OK, OK)),
    "delete_message": (("messageId", "deleteForEveryone"), MEMBERS_MAY),
    "add_group_reaction": (("messageId", "reaction"), MEMBERS_MAY),
    "remove_group_reaction": (("messageId",), MEMBERS_MAY),
    "pin_message": (("messageId", "groupId"), ADMINS_MAY),
    "unpin_message": (("messageId", "groupId"), ADMINS_MAY),
    "delete_conversation": (("conversationId",), MEMBERS_MAY),
    "add_group_member": (("groupId", "userId"), ADMINS_MAY),
    "remove_group_member": (("groupId", "memberId"), ADMINS_MAY),
    "set_member_permissions": (("groupId", "memberId", "canSendMessages"), ADMINS_MAY),
    "update_group_info": (("groupId", "groupName"), ADMINS_MAY),
    "leave_group": (("groupId",), (NONE, NONE, OK, OK, OK, OWNER)),
    "transfer_ownership": (("groupId", "memberId"), OWNER_MAY),
    "promote_member": (("groupId", "memberId"), OWNER_MAY),
    "demote_member": (("groupId", "adminId"), OWNER_MAY),
    "delete_group": (("groupId",), OWNER_MAY),
}

DIRECT_ROLES = ("stranger", "other", "author")
# Without a block, with one by the author, with one by the other.
READ = ((NONE, OK, OK),) * 3
UNLESS_BLOCKED = ((NONE, OK, OK), (NONE, BLOCKED, BLOCKED), (NONE, BLOCKED, BLOCKED))
BETWEEN_TWO = {
    "start_conversation": (
        ("recipientId",),
        ((OK, OK, OK), (OK, BLOCKED, BLOCKED), (OK, BLOCKED, BLOCKED)),
    ),
    "send_private_message": (
        ("recipientId", "content"),
        ((OK, OK, OK), (OK, BLOCKED, BLOCKED), (OK, BLOCKED, BLOCKED)),
    ),
    "get_private_messages": (("conversationId",), READ),
    "get_pinned_messages": (("conversationId",), READ),
    "delete_conversation": (("conversationId",), READ),
    "mark_message_read": (("messageId",), READ),
    "edit_message": (
        ("messageId", "content"),
        ((NONE, DENIED, OK), (NONE, DENIED, BLOCKED), (NONE, DENIED, BLOCKED)),
    ),
    "delete_message": (("messageId",), ((NONE, DENIED, OK),) * 3),
    "delete_private_message": (("messageId", "deleteForEveryone"), READ),
    "add_reaction": (("messageId", "reaction"), UNLESS_BLOCKED),
    "remove_reaction": (("messageId",), READ),
    "pin_message": (("messageId", "conversationId"), UNLESS_BLOCKED),
    "unpin_message": (("messageId", "conversationId"), READ),
}
# They are about nobody's things, or have tests of their own.
FREE = {"authenticate", "ack_events", "ping", "sync", "test", "get_online_users", "typing"}


class Cast(NamedTuple):
    """A client for each role, and what the fields of a command are."""

    clients: dict
    fields: dict
    room_id: int
    own_message: str = ""  # of the former member


async def make_group(people):
    """A new group with a message of the author's and one of the former member's."""
    owner = people["owner"]
    answer = await owner.request(
        type="create_group",
        groupName="a",
        initialMembers=["102", "103", "104", "105", "107", "108"],
    )
    group = {"groupId": answer["groupId"]}
    for user_id in ("102", "107"):
        await owner.request(type="promote_member", userId=user_id, **group)
    sent = [
        await people[role].request(type="send_group_message", content="text", **group)
        for role in ("author", "former")
    ]
    await people["former"].request(type="leave_group", **group)
    fields = {
        **group,
        "conversationId": answer["groupId"],
        "messageId": sent[0]["messageId"],
        "content": "other",
        "reaction": "+1",
        "groupName": "b",
        "deleteForEveryone": False,
        "canSendMessages": False,
        "userId": "109",
        "memberId": "108",
        "adminId": "107",
    }
    room_id = int(sent[0]["messageId"].split("-")[0])
    return Cast(people, fields, room_id, sent[1]["messageId"])


async def counters(chat, room_id):
    (row,) = await run_sql(
        chat, "SELECT seq, rev, group_rev FROM chat_rooms WHERE room_id = $1", room_id
    )
    members = await run_sql(
        chat,
        "SELECT user_id, role, can_send_messages FROM group_participants "
        "WHERE room_id = $1 ORDER BY 1",
        room_id,
    )
    marks = await run_sql(
        chat,
        "SELECT user_id, read_seq, left_at FROM room_members WHERE room_id = $1 ORDER BY 1",
        room_id,
    )
    return tuple(row), [tuple(each) for each in members], [tuple(each) for each in marks]


async def attempt(chat, cast, role, command, names):
    """Return "ok" or the code; a refusal must have changed nothing."""
    fields = {name: cast.fields[name] for name in names}
    if role == "former" and "messageId" in fields:
        fields["messageId"] = cast.own_message
    for name in ("memberId", "adminId"):
        if name in fields:
            fields["userId"] = fields.pop(name)
    before = await counters(chat, cast.room_id)
    answer = await cast.clients[role].request(type=command, **fields)
    if answer["type"] != "error":
        return OK
    assert await counters(chat, cast.room_id) == before
    return answer["code"]


@pytest.fixture
async def people(chat):
    ids = {"owner": 101, "admin": 102, "member": 103, "author": 104, "former": 105, "stranger": 106}
    return {role: await chat.join(user_id) for role, user_id in ids.items()}


@pytest.mark.parametrize("command", sorted(IN_GROUPS))
async def test_rights_in_groups(chat, people, command):
    names, expected = IN_GROUPS[command]
    found = []
    for role in GROUP_ROLES:
        cast = await make_group(people)
        found.append(await attempt(chat, cast, role, command, names))
    assert dict(zip(GROUP_ROLES, found, strict=True)) == dict(
        zip(GROUP_ROLES, expected, strict=True)
    )


@pytest.mark.parametrize("command", sorted(BETWEEN_TWO))
async def test_rights_between_two(chat, command):
    names, expected = BETWEEN_TWO[command]
    stranger = await chat.join(190)
    found = []
    for number, blocker in enumerate((None, "author", "other")):
        row = []
        for place, role in enumerate(DIRECT_ROLES):
            author_id = 100 + 20 * number + 2 * place
            other_id = author_id + 1
            author, other = await chat.join(author_id), await chat.join(other_id)
            sent = await say(author, str(other_id))
            if blocker == "author":
                await block(chat, author_id, other_id)
            elif blocker == "other":
                await block(chat, other_id, author_id)
            partner = {"author": other_id, "other": author_id, "stranger": author_id}[role]
            fields = {
                "recipientId": str(partner),
                "conversationId": sent["message"]["conversationId"],
                "messageId": sent["messageId"],
                "content": "other",
                "reaction": "+1",
                "deleteForEveryone": False,
            }
            clients = {"author": author, "other": other, "stranger": stranger}
            cast = Cast(clients, fields, int(sent["messageId"].split("-")[0]))
            row.append(await attempt(chat, cast, role, command, names))
        found.append(tuple(row))
    assert tuple(found) == expected


def test_every_command_has_its_row():
    spellings = {
        "edit_group_message": "edit_message",
        "delete_group_message": "delete_message",
        "delete_private_message": "delete_message",
        "add_group_reaction": "add_reaction",
        "remove_group_reaction": "remove_reaction",
    }
    rows = {spellings.get(name, name) for name in (*IN_GROUPS, *BETWEEN_TWO)}
    assert rows | FREE == {command.__struct_config__.tag for command in COMMANDS}
