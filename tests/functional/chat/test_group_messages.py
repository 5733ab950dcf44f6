"""Messages in groups, as the members see them on all their devices."""

import asyncpg
import pytest

from tests.functional.chat.talking import assert_error, run_sql
from tests.functional.grouping import GROUP, make_group, remove_member

MEMBERS = {"1": "owner", "2": "admin", "3": "member", "4": "member"}


async def say(client, content="hello", **fields):
    return await client.request(type="send_group_message", groupId=GROUP, content=content, **fields)


@pytest.fixture
async def room_id(chat):
    return await make_group(chat.database, MEMBERS)


@pytest.fixture
async def people(chat, room_id):
    """The owner on two devices, an admin, a member, and one who is in no group."""
    return [await chat.join(user_id) for user_id in (1, 1, 2, 3, 5)]


async def test_a_message_reaches_every_connection_of_the_members_once(people):
    owner, tablet, admin, member, stranger = people
    sent = await say(owner, clientMessageId="a")
    assert sent["type"] == "group_message_sent"
    assert sent["clientMessageId"] == "a"
    message = sent["message"]
    assert sent["messageId"] == message["id"]
    message.pop("timestamp")
    assert message == {
        "id": sent["messageId"],
        "conversationId": GROUP,
        "groupId": GROUP,
        "senderId": "1",
        "username": "user1",
        "content": "hello",
        "isRead": False,
        "replyToMessageId": None,
        "reactions": [],
        "seq": 1,
        "rev": 2,
        "clientMessageId": "a",
    }
    for client in (tablet, admin, member):
        event = await client.expect("new_group_message")
        assert event["message"]["id"] == sent["messageId"]
        assert (event["groupId"], event["conversationId"]) == (GROUP, GROUP)
        await client.assert_nothing("new_group_message")
    await owner.assert_nothing("new_group_message")
    await stranger.assert_nothing("new_group_message")


async def test_a_repeat_is_answered_with_the_first_message(people):
    owner, _, _, member, _ = people
    first = await say(owner, clientMessageId="a")
    again = await say(owner, "other", clientMessageId="a")
    assert again["duplicate"] is True
    assert again["messageId"] == first["messageId"]
    assert again["message"]["content"] == "hello"
    await member.expect("new_group_message")
    await member.assert_nothing("new_group_message")


async def test_strangers_and_unknown_groups_get_the_same_answer(people):
    *_, stranger = people
    assert_error(await say(stranger), "RESOURCE_NOT_FOUND")
    unknown = await stranger.request(type="send_group_message", groupId="group_x", content="a")
    assert_error(unknown, "RESOURCE_NOT_FOUND")
    page = await stranger.request(type="get_group_messages", groupId=GROUP)
    assert_error(page, "RESOURCE_NOT_FOUND")


async def test_a_removed_member_hears_and_says_nothing_more(chat, people, room_id):
    owner, _, admin, member, _ = people
    await say(owner, "before")
    await member.expect("new_group_message")
    connection = await asyncpg.connect(chat.database)
    await remove_member(connection, room_id, "3")
    await connection.close()
    await say(owner, "after")
    await admin.expect("new_group_message")
    await admin.expect("new_group_message")
    await member.assert_nothing("new_group_message")
    assert_error(await say(member), "RESOURCE_NOT_FOUND")
    for command in ("get_group_messages", "get_pinned_messages"):
        assert_error(await member.request(type=command, groupId=GROUP), "RESOURCE_NOT_FOUND")


async def test_a_muted_member_may_not_send(chat):
    await make_group(chat.database, MEMBERS, muted=("3",))
    assert_error(await say(await chat.join(3)), "PERMISSION_DENIED")


async def test_the_history_shows_pages_and_replies(people):
    owner, _, _, member, _ = people
    first = await say(owner, "one")
    await say(member, "two", replyToMessageId=first["messageId"])
    await say(owner, "three", replyTo=first["messageId"])
    answer = await member.request(type="get_group_messages", groupId=GROUP, limit=2)
    assert answer["type"] == "group_messages"
    assert answer["groupId"] == GROUP
    assert answer["pagination"] == {"limit": 2, "offset": 0, "hasMore": True}
    assert [message["content"] for message in answer["messages"]] == ["two", "three"]
    replies = {message["replyToMessageId"] for message in answer["messages"]}
    assert replies == {first["messageId"]}
    older = await member.request(type="get_group_messages", groupId=GROUP, before=2)
    assert [message["content"] for message in older["messages"]] == ["one"]
    newer = await member.request(type="get_group_messages", groupId=GROUP, after=2)
    assert [message["content"] for message in newer["messages"]] == ["three"]


async def test_a_reply_must_name_a_message_of_the_group(people):
    owner, *_ = people
    assert_error(await say(owner, replyToMessageId="999-1"), "RESOURCE_NOT_FOUND")
    assert_error(await say(owner, replyToMessageId="nothing"), "RESOURCE_NOT_FOUND")


async def test_mentioned_members_are_told_and_the_history_names_them(people):
    owner, tablet, admin, member, stranger = people
    sent = await say(owner, "@USER3, @user5 and @user1: x@user2.com (@user2)")
    mentions = [{"type": "user", "userId": "3", "username": "user3"}]
    assert sent["message"]["mentions"] == mentions
    event = await member.expect("mentioned_in_group")
    assert event["messageId"] == sent["messageId"]
    assert (event["groupId"], event["conversationId"]) == (GROUP, GROUP)
    assert (event["mentionedBy"], event["mentionedByUsername"]) == ("1", "user1")
    assert event["message"] == sent["message"]
    for client in (owner, tablet, admin, stranger):
        await client.assert_nothing("mentioned_in_group")
    answer = await admin.request(type="get_group_messages", groupId=GROUP)
    assert answer["messages"][0]["mentions"] == mentions


@pytest.mark.parametrize("word", ["@everyone", "@ALL"])
async def test_everyone_is_mentioned_but_the_sender(people, word):
    owner, tablet, admin, member, stranger = people
    sent = await say(owner, f"hello {word}!")
    assert sent["message"]["mentions"] == [{"type": "everyone"}]
    for client in (admin, member):
        await client.expect("mentioned_in_group")
    for client in (owner, tablet, stranger):
        await client.assert_nothing("mentioned_in_group")


async def test_announcements_are_for_admins_and_pinned(people):
    owner, _, admin, member, _ = people
    sent = await admin.request(type="send_announcement", groupId=GROUP, content="news")
    assert sent["type"] == "announcement_sent"
    assert sent["message"]["isAnnouncement"] is True
    assert sent["message"]["isPinned"] is True
    event = await member.expect("new_group_message")
    assert event["message"] == sent["message"]
    refused = await member.request(type="send_announcement", groupId=GROUP, content="news")
    assert_error(refused, "PERMISSION_DENIED")
    pinned = await member.request(type="get_pinned_messages", groupId=GROUP)
    assert [message["content"] for message in pinned["messages"]] == ["news"]
    assert pinned["messages"][0]["isAnnouncement"] is True
    assert (pinned["groupId"], pinned["conversationId"]) == (GROUP, GROUP)
    await owner.expect("new_group_message")


async def test_changes_are_told_to_the_members_with_the_group(people):
    owner, tablet, admin, member, stranger = people
    message_id = (await say(owner))["messageId"]
    changes = [
        (owner, "edit_group_message", {"content": "changed"}, "message_edited"),
        (member, "add_group_reaction", {"reaction": "+1"}, "reaction_added"),
        (member, "remove_group_reaction", {}, "reaction_removed"),
        (admin, "pin_message", {"groupId": GROUP}, "message_pinned"),
        (owner, "unpin_message", {"groupId": GROUP}, "message_unpinned"),
        (admin, "delete_group_message", {"groupId": GROUP}, "message_deleted"),
    ]
    for rev, (client, command, fields, event_type) in enumerate(changes, 3):
        answer = await client.request(type=command, messageId=message_id, **fields)
        assert answer["type"] == event_type, answer
        answer.pop("requestId")
        assert (answer["groupId"], answer["conversationId"]) == (GROUP, GROUP)
        assert answer["rev"] == rev
        for other in {owner, tablet, admin, member} - {client}:
            assert await other.expect(event_type) == answer
        await stranger.assert_nothing(event_type)


async def test_members_may_neither_pin_nor_change_what_others_wrote(people):
    owner, _, admin, member, stranger = people
    message_id = (await say(owner))["messageId"]
    for command, fields in (
        ("pin_message", {"groupId": GROUP}),
        ("unpin_message", {"groupId": GROUP}),
        ("edit_message", {"content": "x"}),
        ("delete_message", {}),
    ):
        answer = await member.request(type=command, messageId=message_id, **fields)
        assert_error(answer, "PERMISSION_DENIED")
        fields = {"content": "x"} | fields
        answer = await stranger.request(type=command, messageId=message_id, **fields)
        assert_error(answer, "RESOURCE_NOT_FOUND")
    answer = await admin.request(type="edit_message", messageId=message_id, content="x")
    assert_error(answer, "PERMISSION_DENIED")


async def test_a_message_named_with_another_conversation_is_not_found(people):
    owner, *_ = people
    message_id = (await say(owner))["messageId"]
    answer = await owner.request(
        type="add_reaction", messageId=message_id, reaction="a", groupId="x"
    )
    assert_error(answer, "RESOURCE_NOT_FOUND")


async def test_reading_moves_only_ones_own_position(people):
    owner, tablet, admin, member, stranger = people
    message_id = (await say(member))["messageId"]
    answer = await owner.request(type="mark_message_read", messageId=message_id)
    assert (answer["type"], answer["readBy"], answer["groupId"]) == ("message_read", "1", GROUP)
    await tablet.expect("message_read")
    for client in (admin, member):
        await client.assert_nothing("message_read")
    refused = await stranger.request(type="mark_message_read", messageId=message_id)
    assert_error(refused, "RESOURCE_NOT_FOUND")


async def test_a_removal_for_oneself_hides_the_message_from_oneself(people):
    owner, _, _, member, stranger = people
    message_id = (await say(owner))["messageId"]
    command = {"type": "delete_message", "messageId": message_id, "deleteForEveryone": False}
    assert (await member.request(**command))["type"] == "message_deleted"
    assert (await member.request(type="get_group_messages", groupId=GROUP))["messages"] == []
    assert len((await owner.request(type="get_group_messages", groupId=GROUP))["messages"]) == 1
    assert_error(await stranger.request(**command), "RESOURCE_NOT_FOUND")


async def test_typing_is_told_to_the_other_members(people):
    owner, tablet, admin, member, stranger = people
    await owner.send(type="typing", groupId=GROUP, isTyping=True)
    for client in (admin, member):
        event = await client.expect("user_typing")
        assert (event["userId"], event["isTyping"], event["groupId"]) == ("1", True, GROUP)
    await stranger.send(type="typing", groupId=GROUP, isTyping=True)
    await tablet.assert_nothing("user_typing")
    await owner.assert_nothing("user_typing")
    event = await member.expect("user_typing")  # switched off after some silence
    assert event["isTyping"] is False


async def test_the_content_is_stored_encrypted(chat, people):
    owner, *_ = people
    await say(owner, "a secret @user3")
    (row,) = await run_sql(chat, "SELECT * FROM chat_messages")
    assert row["is_encrypted"]
    assert row["content"] is None
    assert row["mentions"] == '["3"]'
    assert "secret" not in str(dict(row))
