"""Groups themselves and who is in them, as the members see it on all their devices."""

import asyncio

import pytest

from tests.functional.chat.talking import assert_error, block, run_sql


async def make(client, *members, name="Friends", **fields):
    """Create a group and return its id."""
    answer = await client.request(
        type="create_group", groupName=name, initialMembers=list(members), **fields
    )
    assert answer["type"] == "group_created", answer
    return answer["group"]["groupId"]


async def roles(client, group_id):
    answer = await client.request(type="get_group_members", groupId=group_id)
    assert answer["type"] == "group_members", answer
    return {member["userId"]: member["role"] for member in answer["members"]}


async def say(client, group_id, content="hello"):
    return await client.request(type="send_group_message", groupId=group_id, content=content)


@pytest.fixture
async def people(chat):
    """The users 1 to 4, connected."""
    return [await chat.join(user_id) for user_id in range(1, 5)]


@pytest.fixture
async def group_id(people):
    """A group of 1, who owns it, 2, who is an admin, and 3."""
    owner, admin, member, _ = people
    group_id = await make(owner, "2", "3")
    answer = await owner.request(type="promote_member", groupId=group_id, userId="2")
    assert answer["type"] == "member_promoted"
    for client in (admin, member):
        await client.expect("group_created")
        await client.expect("member_promoted")
    return group_id


async def test_a_new_group_is_told_to_its_members(chat):
    owner, tablet, bob, stranger = [await chat.join(user_id) for user_id in (1, 1, 2, 3)]
    answer = await owner.request(
        type="create_group",
        groupName="Friends",
        groupDescription="of mine",
        initialMembers=["2", "1", "2"],
    )
    assert answer["type"] == "group_created"
    group = answer["group"]
    assert group["groupId"].startswith("group_")
    assert group.pop("createdAt").endswith("Z")
    assert group == {
        "groupId": answer["groupId"],
        "groupName": "Friends",
        "groupDescription": "of mine",
        "createdBy": "1",
        "maxMembers": 50,
        "memberCount": 2,
    }
    shown = [
        (member["userId"], member["username"], member["role"], member["canAddMembers"])
        for member in answer["members"]
    ]
    assert shown == [("1", "user1", "owner", False), ("2", "user2", "member", False)]
    for client in (tablet, bob):
        assert (await client.expect("group_created"))["group"]["groupId"] == group["groupId"]
    await stranger.assert_nothing("group_created")
    info = await bob.request(type="get_group_info", groupId=group["groupId"])
    assert (info["group"]["memberCount"], info["group"]["groupName"]) == (2, "Friends")


async def test_unknown_and_blocked_users_are_left_out(chat, people):
    owner, *_ = people
    await block(chat, 1, 2)
    await block(chat, 3, 1)
    answer = await owner.request(
        type="create_group", groupName="a", memberUserIds=["2", "3", "4", "99999", "x"]
    )
    assert [member["userId"] for member in answer["members"]] == ["1", "4"]


async def test_more_members_than_fit_are_refused(people):
    owner, *_ = people
    command = {"type": "create_group", "groupName": "a", "initialMembers": ["2", "3"]}
    assert_error(await owner.request(**command, maxMembers=2), "GROUP_FULL")
    assert (await owner.request(**command, maxMembers=3))["type"] == "group_created"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"groupName": ""}, "groupName"),
        ({"groupName": "  "}, "groupName"),
        ({"groupName": "a" * 101}, "groupName"),
        ({"groupName": "a", "groupDescription": "a" * 501}, "groupDescription"),
        ({"groupName": "a", "maxMembers": 1}, "maxMembers"),
        ({"groupName": "a", "maxMembers": 501}, "maxMembers"),
        ({"groupName": "a", "initialMembers": ["2"] * 51}, "initialMembers"),
        ({"groupName": "a", "initialMembers": "2"}, "initialMembers"),
        ({}, "groupName"),
    ],
)
async def test_a_group_that_cannot_be_is_refused(chat, fields, field):
    client = await chat.join(1)
    assert_error(await client.request(type="create_group", **fields), "VALIDATION_ERROR", field)


async def test_whole_numbers_are_taken_as_ids_of_members(people):
    owner, *_ = people
    answer = await owner.request(type="create_group", groupName="a", initialMembers=[2, "3"])
    assert [member["userId"] for member in answer["members"]] == ["1", "2", "3"]


async def test_a_member_who_is_added_is_told_and_may_write(people, group_id):
    owner, admin, member, newcomer = people
    await say(owner, group_id, "before")
    answer = await admin.request(type="add_group_member", groupId=group_id, userId="4")
    answer.pop("requestId")
    assert answer == {
        "type": "member_added",
        "groupId": group_id,
        "conversationId": group_id,
        "userId": "4",
        "username": "user4",
        "user": {"userId": "4", "username": "user4"},
        "addedBy": "2",
        "rev": 4,
    }
    for client in (owner, member, newcomer):
        assert await client.expect("member_added") == answer
    sent = await say(newcomer, group_id)
    assert (sent["message"]["seq"], sent["message"]["rev"]) == (2, 5)
    await owner.expect("new_group_message")
    groups = (await newcomer.request(type="get_user_groups"))["groups"]
    assert [(each["groupId"], each["unreadCount"]) for each in groups] == [(group_id, 0)]


async def test_adding_a_member_again_changes_nothing(people, group_id):
    owner, admin, *_ = people
    answer = await owner.request(type="add_group_member", groupId=group_id, userId="3")
    assert (answer["type"], answer["rev"]) == ("member_added", 2)
    await admin.assert_nothing("member_added")


async def test_who_may_not_be_added_is_refused(chat, people, group_id):
    owner, *_ = people
    command = {"type": "add_group_member", "groupId": group_id}
    assert_error(await owner.request(**command, userId="99999"), "RESOURCE_NOT_FOUND")
    await block(chat, 4, 1)
    assert_error(await owner.request(**command, userId="4"), "USER_BLOCKED")


async def test_a_member_may_add_others_when_he_is_allowed_to(people, group_id):
    owner, _, member, newcomer = people
    add = {"type": "add_group_member", "groupId": group_id, "userId": "4"}
    assert_error(await member.request(**add), "PERMISSION_DENIED")
    answer = await owner.request(
        type="set_member_permissions", groupId=group_id, userId="3", canAddMembers=True
    )
    assert (answer["canSendMessages"], answer["canAddMembers"]) == (True, True)
    await member.expect("member_permissions_updated", userId="3", canAddMembers=True)
    assert (await member.request(**add))["type"] == "member_added"
    await newcomer.expect("member_added")


async def test_a_member_who_may_not_send_is_refused(people, group_id):
    owner, admin, member, _ = people
    command = {"type": "set_member_permissions", "groupId": group_id}
    answer = await admin.request(**command, userId="3", canSendMessages=False)
    assert answer["type"] == "member_permissions_updated"
    assert_error(await say(member, group_id), "PERMISSION_DENIED")
    for client, target in ((member, "3"), (admin, "1"), (admin, "2")):
        refused = await client.request(**command, userId=target, canSendMessages=True)
        assert_error(refused, "PERMISSION_DENIED")
    again = await admin.request(**command, userId="3", canSendMessages=False)
    assert again["rev"] == answer["rev"]
    await owner.request(**command, userId="3", canSendMessages=True)
    assert (await say(member, group_id))["type"] == "group_message_sent"
    nothing = await owner.request(**command, userId="3")
    assert_error(nothing, "VALIDATION_ERROR", "canSendMessages")


async def test_a_group_has_no_more_members_than_it_may(people, group_id):
    owner, *_ = people
    answer = await owner.request(type="update_group_info", groupId=group_id, maxMembers=3)
    assert answer["maxMembers"] == 3
    add = await owner.request(type="add_group_member", groupId=group_id, userId="4")
    assert_error(add, "GROUP_FULL")
    fewer = await owner.request(type="update_group_info", groupId=group_id, maxMembers=2)
    assert_error(fewer, "VALIDATION_ERROR", "maxMembers")


async def test_many_at_once_do_not_overfill_a_group(chat, people, group_id):
    owner, admin, *_ = people
    await owner.request(type="update_group_info", groupId=group_id, maxMembers=10)
    answers = await asyncio.gather(
        *(
            (owner, admin)[user_id % 2].request(
                type="add_group_member", groupId=group_id, userId=str(user_id)
            )
            for user_id in range(10, 40)
        )
    )
    kinds = [answer.get("code", answer["type"]) for answer in answers]
    assert (kinds.count("member_added"), kinds.count("GROUP_FULL")) == (7, 23)
    (row,) = await run_sql(chat, "SELECT count(*) FROM group_participants")
    assert row[0] == 10


async def test_a_removed_member_hears_of_it_and_of_nothing_after_it(people, group_id):
    owner, admin, member, _ = people
    answer = await admin.request(type="remove_group_member", groupId=group_id, userId="3")
    answer.pop("requestId")
    assert answer == {
        "type": "member_removed",
        "groupId": group_id,
        "conversationId": group_id,
        "userId": "3",
        "removedBy": "2",
        "rev": 3,
    }
    for client in (owner, member):
        assert await client.expect("member_removed") == answer
    await say(owner, group_id)
    await admin.expect("new_group_message")
    await member.assert_nothing("new_group_message")
    for command in ("get_group_info", "get_group_members", "get_group_messages", "leave_group"):
        refused = await member.request(type=command, groupId=group_id)
        assert_error(refused, "RESOURCE_NOT_FOUND")
    assert_error(await say(member, group_id), "RESOURCE_NOT_FOUND")
    assert (await member.request(type="get_user_groups"))["groups"] == []
    assert (await member.request(type="get_conversations"))["conversations"] == []


async def test_only_admins_remove_and_not_each_other(people, group_id):
    owner, admin, member, stranger = people
    command = {"type": "remove_group_member", "groupId": group_id}
    assert_error(await member.request(**command, userId="2"), "PERMISSION_DENIED")
    assert_error(await admin.request(**command, userId="1"), "PERMISSION_DENIED")
    assert_error(await stranger.request(**command, userId="3"), "RESOURCE_NOT_FOUND")
    assert_error(await owner.request(**command, userId="4"), "RESOURCE_NOT_FOUND")
    assert (await owner.request(**command, userId="2"))["type"] == "member_removed"
    assert await roles(owner, group_id) == {"1": "owner", "3": "member"}


@pytest.mark.parametrize("command", ["leave_group", "remove_group_member"])
async def test_a_member_leaves(people, group_id, command):
    owner, admin, member, _ = people
    answer = await member.request(type=command, groupId=group_id, userId="3")
    assert (answer["type"], answer["userId"], answer["username"]) == ("member_left", "3", "user3")
    for client in (owner, admin):
        await client.expect("member_left", userId="3", rev=3)
    assert_error(await say(member, group_id), "RESOURCE_NOT_FOUND")


async def test_the_owner_cannot_leave_but_hand_the_group_over(people, group_id):
    owner, admin, member, _ = people
    assert_error(await owner.request(type="leave_group", groupId=group_id), "OWNER_CANNOT_LEAVE")
    command = {"type": "transfer_ownership", "groupId": group_id}
    assert_error(await admin.request(**command, userId="2"), "PERMISSION_DENIED")
    assert_error(await owner.request(**command, userId="4"), "RESOURCE_NOT_FOUND")
    answer = await owner.request(**command, userId="3")
    assert (answer["userId"], answer["transferredBy"]) == ("3", "1")
    await member.expect("ownership_transferred", userId="3")
    assert await roles(owner, group_id) == {"1": "admin", "2": "admin", "3": "owner"}
    assert (await owner.request(type="leave_group", groupId=group_id))["type"] == "member_left"


async def test_only_the_owner_promotes_and_demotes(people, group_id):
    owner, admin, member, _ = people
    for client in (admin, member):
        for command in ("promote_member", "demote_member"):
            answer = await client.request(type=command, groupId=group_id, userId="3")
            assert_error(answer, "PERMISSION_DENIED")
    promoted = await owner.request(type="promote_member", groupId=group_id, userId="2")
    assert (promoted["type"], promoted["newRole"], promoted["rev"]) == (
        "member_promoted",
        "admin",
        2,
    )
    await member.assert_nothing("member_promoted")
    demoted = await owner.request(type="demote_member", groupId=group_id, userId="2")
    assert (demoted["newRole"], demoted["demotedBy"], demoted["rev"]) == ("member", "1", 3)
    await admin.expect("member_demoted")
    assert await roles(owner, group_id) == {"1": "owner", "2": "member", "3": "member"}
    own = await owner.request(type="demote_member", groupId=group_id, userId="1")
    assert_error(own, "PERMISSION_DENIED")


async def test_admins_change_what_a_group_is_called(people, group_id):
    owner, admin, member, _ = people
    command = {"type": "update_group_info", "groupId": group_id}
    answer = await admin.request(**command, groupName="Enemies")
    answer.pop("requestId")
    assert answer == {
        "type": "group_info_updated",
        "groupId": group_id,
        "conversationId": group_id,
        "groupName": "Enemies",
        "groupDescription": "",
        "maxMembers": 50,
        "updatedBy": "2",
        "rev": 3,
    }
    assert await member.expect("group_info_updated") == answer
    answer = await owner.request(**command, groupDescription="of mine")
    assert (answer["groupName"], answer["groupDescription"]) == ("Enemies", "of mine")
    again = await owner.request(**command, groupDescription="of mine")
    assert again["rev"] == answer["rev"]
    answer = await owner.request(**command, groupDescription="")
    assert answer["groupDescription"] == ""
    assert_error(await member.request(**command, groupName="x"), "PERMISSION_DENIED")
    assert_error(await admin.request(**command), "VALIDATION_ERROR", "groupName")


async def test_changes_of_one_group_at_once_are_all_kept(people, group_id):
    owner, admin, *_ = people
    answers = await asyncio.gather(
        *(
            (owner, admin)[number % 2].request(
                type="update_group_info",
                groupId=group_id,
                **({"groupName": f"n{number}"} if number < 10 else {"maxMembers": 50 + number}),
            )
            for number in range(20)
        )
    )
    assert {answer["type"] for answer in answers} == {"group_info_updated"}
    last = max(answers, key=lambda answer: answer["rev"])
    group = (await owner.request(type="get_group_info", groupId=group_id))["group"]
    assert (group["groupName"], group["maxMembers"]) == (last["groupName"], last["maxMembers"])
    assert group["groupName"].startswith("n")
    assert group["maxMembers"] > 59


async def test_a_deleted_group_is_gone_for_all_its_members(chat, people, group_id):
    owner, admin, member, _ = people
    await say(owner, group_id)
    for client in (admin, member):
        assert_error(
            await client.request(type="delete_group", groupId=group_id), "PERMISSION_DENIED"
        )
    answer = await owner.request(type="delete_group", groupId=group_id)
    assert (answer["type"], answer["deletedBy"]) == ("group_deleted", "1")
    for client in (admin, member):
        await client.expect("group_deleted", groupId=group_id)
    for client in (owner, admin, member):
        assert_error(await say(client, group_id), "RESOURCE_NOT_FOUND")
        assert (await client.request(type="get_user_groups"))["groups"] == []
        assert (await client.request(type="get_conversations"))["conversations"] == []
        info = await client.request(type="get_group_info", groupId=group_id)
        assert_error(info, "RESOURCE_NOT_FOUND")
    assert (await run_sql(chat, "SELECT count(*) FROM chat_messages"))[0][0] == 1


async def test_strangers_get_the_answer_of_a_group_that_does_not_exist(people, group_id):
    *_, stranger = people
    member = {"userId": "3"}
    commands = [
        ("get_group_info", {}),
        ("get_group_members", {}),
        ("leave_group", {}),
        ("delete_group", {}),
        ("update_group_info", {"groupName": "x"}),
        ("set_member_permissions", {**member, "canAddMembers": True}),
        ("add_group_member", member),
        ("remove_group_member", member),
        ("transfer_ownership", member),
        ("promote_member", member),
        ("demote_member", member),
    ]
    for command, fields in commands:
        answers = [
            await stranger.request(type=command, groupId=each, **fields)
            for each in (group_id, "group_nothing")
        ]
        for answer in answers:
            assert_error(answer, "RESOURCE_NOT_FOUND")
            answer.pop("requestId")
        assert answers[0] == answers[1]


async def test_groups_are_listed_with_what_is_unread(people, group_id):
    owner, admin, *_ = people
    other = await make(owner, "2", name="Others")
    await say(admin, group_id, "one")
    sent = await say(admin, group_id, "two")
    groups = (await owner.request(type="get_user_groups"))["groups"]
    shown = [(each["groupName"], each["myRole"], each["unreadCount"]) for each in groups]
    assert shown == [("Friends", "owner", 2), ("Others", "owner", 0)]
    assert {each["memberCount"] for each in groups} == {3, 2}
    assert other == groups[1]["groupId"]
    (listed,) = (await owner.request(type="get_conversations"))["conversations"]
    assert listed["group"] == {"groupId": group_id, "groupName": "Friends", "memberCount": 3}
    assert (listed["conversationId"], listed["unreadCount"]) == (group_id, 2)
    assert listed["lastMessage"]["content"] == "two"
    await owner.request(type="mark_message_read", messageId=sent["messageId"])
    groups = (await owner.request(type="get_user_groups"))["groups"]
    assert [each["unreadCount"] for each in groups] == [0, 0]
    read = await admin.request(type="get_group_messages", groupId=group_id)
    assert {message["isRead"] for message in read["messages"]} == {False}


async def test_a_member_who_comes_back_finds_the_group_again(people, group_id):
    owner, _, member, _ = people
    await say(owner, group_id, "one")
    await member.request(type="leave_group", groupId=group_id)
    await say(owner, group_id, "two")
    await owner.request(type="add_group_member", groupId=group_id, userId="3")
    await member.expect("member_added", userId="3")
    page = await member.request(type="get_group_messages", groupId=group_id)
    assert [message["content"] for message in page["messages"]] == ["one", "two"]
    (group,) = (await member.request(type="get_user_groups"))["groups"]
    assert group["unreadCount"] == 0
    await say(owner, group_id, "three")
    await member.expect("new_group_message")
