"""A server on the tables that it took over: everybody finds what he left."""

import re
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from fastchat.store.adoption.places import go_back
from tests.functional.adoption.adopting import connected, fresh_database, switch
from tests.functional.adoption.previous import KEY, Previous, opened_as_before
from tests.functional.chat.conftest import ENVIRONMENT, Chat
from tests.functional.chat.talking import contents, page, say

MOVING = Path(__file__).resolve().parents[3] / "docs/moving.md"


@pytest.fixture
async def database(postgres):
    """Address of a database that was taken over from the previous server."""
    assert ENVIRONMENT["CHAT_ENCRYPTION_KEY"] == KEY
    async with fresh_database(postgres.dsn) as dsn:
        async with connected(dsn) as connection:
            previous = Previous(connection)
            await previous.create()
            await previous.fill()
            await previous.say(1, None, "second in group", group="group_1")
        await switch(dsn)
        yield dsn


async def listed(client):
    """Return the unread counts of one's conversations."""
    answer = await client.request(type="get_conversations")
    return {entry["conversationId"]: entry["unreadCount"] for entry in answer["conversations"]}


async def test_history_unread_counts_reactions_groups_and_events_are_those_of_before(chat):
    bob = await chat.join(2)
    # What waited for him comes first.
    edited = await bob.expect("message_edited")
    assert edited["message"]["content"] == "secret"
    assert await listed(bob) == {"conv_1_2": 3, "group_1": 0}
    messages = (await page(bob, "1"))["messages"]
    assert [(m["seq"], m["content"], m["isRead"]) for m in messages] == [
        (1, "first", True),
        (2, "answer", True),
        (3, "unread \N{SNOWMAN}", False),
        (4, "plain", False),
        (5, "broken", False),
    ]
    assert {(r["userId"], r["reaction"]) for r in messages[0]["reactions"]} == {
        ("1", "+1"),
        ("2", "heart"),
    }
    assert messages[1]["replyToMessageId"] == messages[0]["id"]

    # The other one removed the answer for himself, and hid his conversation with 10.
    alice = await chat.join(1)
    assert await contents(alice, "2") == ["first", "unread \N{SNOWMAN}", "plain", "broken"]
    assert await listed(alice) == {"conv_1_2": 0, "group_1": 0}
    assert await contents(alice, "10") == []

    # Things go on from there.
    command = {"type": "mark_message_read", "messageId": messages[2]["id"]}
    assert (await bob.request(**command))["type"] == "message_read"
    assert (await listed(bob))["conv_1_2"] == 2
    reply = await say(bob, "1", "at last", replyTo=messages[4]["id"])
    assert reply["message"]["seq"] == 6
    assert (await listed(alice))["conv_1_2"] == 1
    added = await alice.request(
        type="add_reaction", messageId=messages[3]["id"], reaction="!", conversationId="conv_1_2"
    )
    assert added["type"] == "reaction_added"
    deleted = await alice.request(type="delete_message", messageId=messages[2]["id"])
    assert deleted["type"] == "message_deleted"
    assert await contents(bob, "1") == ["first", "answer", "plain", "broken", "at last"]


async def test_groups_have_their_members_their_messages_and_an_owner(chat):
    alice, carol = await chat.join(1), await chat.join(3)
    answer = await carol.request(type="get_group_messages", groupId="group_1")
    assert [m["content"] for m in answer["messages"]] == ["to all", "second in group"]
    (group,) = (await alice.request(type="get_user_groups"))["groups"]
    assert (group["myRole"], group["memberCount"], group["unreadCount"]) == ("owner", 3, 0)
    sent = await alice.request(type="send_group_message", groupId="group_1", content="hello")
    assert sent["message"]["seq"] == 3
    await carol.expect("new_group_message")
    (group,) = (await carol.request(type="get_user_groups"))["groups"]
    assert (group["myRole"], group["unreadCount"]) == ("member", 1)
    sync = await carol.request(type="sync", conversations={"group_1": {"seq": 2, "rev": 2}})
    (room,) = sync["conversations"]
    assert [m["content"] for m in room["messages"]] == ["hello"]


async def test_the_documented_way_back_takes_along_what_was_said_meanwhile(database):
    async with AsyncExitStack() as stack:
        chat = Chat(database, stack)
        await chat.start()
        async with await chat.guest() as alice:
            await alice.authenticate(chat.token(1))
            await say(alice, "2", "said meanwhile")
            await alice.request(
                type="send_group_message", groupId="group_1", content="to the group"
            )
        await chat.stop()
    statements = re.findall(r"```sql\n(.*?)```", MOVING.read_text("utf-8"), re.DOTALL)
    assert len(statements) == 2
    async with connected(database) as connection:
        await go_back(connection)
    async with connected(database) as connection:
        for statement in statements:
            await connection.execute(statement)
        rows = await connection.fetch(
            "SELECT * FROM chat_messages WHERE created_at > '2025-01-01' ORDER BY created_at"
        )
        assert len(rows) == 2
        for row, text in zip(rows, ("said meanwhile", "to the group"), strict=True):
            assert (row["sender_id"], row["content"], row["is_encrypted"]) == (1, "", True)
            assert opened_as_before(row) == text
        assert (rows[0]["recipient_id"], rows[0]["is_read"]) == (2, False)
        assert rows[1]["group_id"] == "group_1"
