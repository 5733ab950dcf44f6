"""Read marks."""

from tests.functional.chat.talking import assert_error, block, page, run_sql, say_id


async def mark(client, message_id, **fields):
    return await client.request(type="mark_message_read", messageId=message_id, **fields)


async def test_a_mark_covers_the_message_and_all_before_it(chat):
    alice, bob, tablet, phone = [await chat.join(user) for user in (1, 2, 1, 2)]
    ids = [await say_id(alice, "2", str(number)) for number in range(3)]
    for client in (bob, tablet, phone):
        for _ in ids:
            await client.expect("new_private_message")
    marked = await mark(bob, ids[1])
    marked.pop("requestId")
    assert marked == {
        "type": "message_read",
        "messageId": ids[1],
        "conversationId": "conv_1_2",
        "readBy": "2",
    }
    for client in (alice, tablet, phone):
        assert await client.expect("message_read") == marked
        await client.assert_nothing(within=0.02)
    messages = (await page(alice, "2"))["messages"]
    assert [message["isRead"] for message in messages] == [True, True, False]


async def test_reading_again_or_before_is_answered_and_told_to_nobody(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    ids = [await say_id(alice, "2", str(number)) for number in range(3)]
    await mark(bob, ids[2])
    await alice.expect("message_read")
    for message_id in (ids[2], ids[0]):
        assert (await mark(bob, message_id))["messageId"] == message_id
    await alice.assert_nothing(within=0.05)
    messages = (await page(alice, "2"))["messages"]
    assert all(message["isRead"] for message in messages)


async def test_a_mark_is_no_change_of_the_conversation(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    await mark(bob, await say_id(alice, "2"))
    assert [row[0] for row in await run_sql(chat, "SELECT rev FROM chat_rooms")] == [1]
    assert "rev" not in await alice.expect("message_read")


async def test_only_messages_one_can_see_are_marked(chat):
    alice, bob, carol = [await chat.join(user) for user in (1, 2, 3)]
    message_id, deleted = await say_id(alice, "2"), await say_id(alice, "2")
    await alice.request(type="delete_message", messageId=deleted)
    room_id = message_id.partition("-")[0]
    for client, wrong in (
        (carol, message_id),
        (bob, f"{room_id}-3"),
        (bob, f"0{message_id}"),
        (bob, "999-1"),
        (bob, "no id"),
        (bob, deleted),
    ):
        assert_error(await mark(client, wrong), "RESOURCE_NOT_FOUND")
    error = await mark(bob, message_id, conversationId="conv_2_3")
    assert_error(error, "RESOURCE_NOT_FOUND")
    assert_error(await mark(bob, ""), "VALIDATION_ERROR", "messageId")
    assert (await mark(bob, message_id, conversationId="conv_1_2"))["type"] == "message_read"


async def test_blocked_users_still_read(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    message_id = await say_id(alice, "2")
    await block(chat, 1, 2)
    assert (await mark(bob, message_id))["type"] == "message_read"
    assert (await alice.expect("message_read"))["readBy"] == "2"


async def test_a_mark_survives_a_restart(chat):
    async with await chat.guest() as alice, await chat.guest() as bob:
        await alice.authenticate(chat.token(1))
        await bob.authenticate(chat.token(2))
        await mark(bob, await say_id(alice, "2"))
    await chat.stop()
    await chat.start()
    alice = await chat.join(1)
    assert [m["isRead"] for m in (await page(alice, "2"))["messages"]] == [True]
