"""The list of conversations, and how one is deleted."""

from tests.functional.chat.talking import assert_error, contents, page, say


async def listed(client, **fields):
    answer = await client.request(type="get_conversations", **fields)
    assert answer["type"] == "conversations"
    return answer["conversations"], answer["pagination"]


async def test_conversations_are_listed_with_last_message_and_unread_count(chat):
    alice, bob, carol = [await chat.join(number) for number in (1, 2, 3)]
    await say(bob, "1", "one")
    await say(bob, "1", "two")
    sent = await say(carol, "1", "three")
    (last, first), pagination = await listed(alice)
    assert pagination == {"limit": 50, "hasMore": False}
    assert last == {
        "conversationId": "conv_1_3",
        "participant": {"userId": "3", "username": "user3", "displayName": "user3"},
        "lastMessage": sent["message"],
        "unreadCount": 1,
        "seq": 1,
        "rev": 1,
    }
    assert first["lastMessage"]["content"] == "two"
    assert (first["unreadCount"], first["seq"]) == (2, 2)
    message_id = first["lastMessage"]["id"]
    await alice.request(type="mark_message_read", messageId=message_id)
    (_, first), _ = await listed(alice)
    assert first["unreadCount"] == 0
    assert (await listed(bob))[0][0]["unreadCount"] == 0


async def test_the_list_goes_on_behind_a_conversation(chat):
    alice = await chat.join(1)
    for number in range(2, 7):
        await say(alice, str(number))
    first, pagination = await listed(alice, limit=3)
    assert pagination["hasMore"]
    rest, pagination = await listed(alice, limit=3, before=first[-1]["conversationId"])
    assert not pagination["hasMore"]
    found = [one["participant"]["userId"] for one in first + rest]
    assert found == ["6", "5", "4", "3", "2"]
    assert_error(
        await alice.request(type="get_conversations", before="conv_1_99"), "RESOURCE_NOT_FOUND"
    )
    for limit in (0, "3", 1.5):
        answer = await alice.request(type="get_conversations", limit=limit)
        assert_error(answer, "VALIDATION_ERROR", "limit")


async def test_a_deleted_conversation_is_hidden_until_a_new_message(chat):
    alice, phone, bob = await chat.join(1), await chat.join(1), await chat.join(2)
    await say(bob, "1", "old")
    answer = await alice.request(type="delete_conversation", conversationId="conv_1_2")
    answer.pop("requestId")
    assert answer == {"type": "conversation_deleted", "conversationId": "conv_1_2"}
    assert await phone.expect("conversation_deleted") == answer
    await bob.assert_nothing("conversation_deleted")
    assert await listed(alice) == ([], {"limit": 50, "hasMore": False})
    assert (await page(alice, "2"))["messages"] == []
    assert await contents(bob, "1") == ["old"]
    await say(bob, "1", "new")
    (one,), _ = await listed(alice)
    assert (one["lastMessage"]["content"], one["unreadCount"]) == ("new", 1)
    assert await contents(alice, "2") == ["new"]
