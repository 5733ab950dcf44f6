"""Edits and deletions: who may, until when, and who hears of it."""

import pytest

from tests.functional.chat.talking import (
    assert_error,
    block,
    contents,
    page,
    run_sql,
    say,
    say_id,
)


async def edit(client, message_id, content="edited", **fields):
    command = {"messageId": message_id, "content": content, **fields}
    return await client.request(type="edit_message", **command)


async def delete(client, message_id, **fields):
    return await client.request(type="delete_message", messageId=message_id, **fields)


async def two_with_devices(chat):
    """Both users and another device of each; the first has sent a message to the second."""
    alice, bob = await chat.join(1), await chat.join(2)
    others = [bob, await chat.join(1), await chat.join(2)]
    message_id = await say_id(alice, "2", "first")
    for client in others:
        await client.expect("new_private_message")
    return alice, bob, others, message_id


async def assert_all_hear(clients, event):
    event = {name: value for name, value in event.items() if name != "requestId"}
    for client in clients:
        assert await client.expect(event["type"]) == event
        await client.assert_nothing(within=0.02)


async def test_all_other_devices_hear_of_an_edit(chat):
    alice, _, others, message_id = await two_with_devices(chat)
    edited = await edit(alice, message_id, " new text ")
    assert (edited["type"], edited["messageId"]) == ("message_edited", message_id)
    assert edited["conversationId"] == "conv_1_2"
    assert edited["rev"] == 2
    assert edited["message"].pop("editedAt").endswith("Z")
    assert edited["message"] == {"id": message_id, "content": " new text "}
    for client in others:
        event = await client.expect("message_edited")
        assert (event["rev"], event["message"]["content"]) == (2, " new text ")
        await client.assert_nothing(within=0.02)
    await alice.assert_nothing(within=0.02)
    message = (await page(alice, "2"))["messages"][0]
    assert (message["content"], message["seq"], message["rev"]) == (" new text ", 1, 2)
    assert message["editedAt"].endswith("Z")
    assert (await say(alice, "2"))["message"]["rev"] == 3


async def test_other_spellings_of_an_edit_are_understood(chat):
    alice = await chat.join(1)
    message_id = await say_id(alice, "2")
    edited = await alice.request(
        type="edit_private_message",
        messageId=message_id,
        newContent="text",
        conversationId="conv_1_2",
    )
    assert edited["message"]["content"] == "text"


async def test_an_edited_text_follows_the_rules_of_a_new_one(chat):
    alice = await chat.join(1)
    message_id = await say_id(alice, "2")
    for wrong in ("", " \n", "x" * 10_001, None, 7):
        assert_error(await edit(alice, message_id, wrong), "VALIDATION_ERROR", "content")
    assert await contents(alice, "2") == ["hello"]


async def test_only_the_author_edits_or_deletes_for_everyone(chat):
    _, bob, others, message_id = await two_with_devices(chat)
    carol = await chat.join(3)
    assert_error(await edit(bob, message_id), "PERMISSION_DENIED")
    assert_error(await delete(bob, message_id), "PERMISSION_DENIED")
    assert_error(await edit(carol, message_id), "RESOURCE_NOT_FOUND")
    assert_error(await delete(carol, message_id), "RESOURCE_NOT_FOUND")
    assert_error(await delete(carol, message_id, deleteForEveryone=False), "RESOURCE_NOT_FOUND")
    for client in others:
        await client.assert_nothing(within=0.02)
    assert await contents(bob, "1") == ["first"]


async def test_a_message_that_is_nowhere_or_elsewhere_is_not_found(chat):
    alice = await chat.join(1)
    here, elsewhere = await say_id(alice, "2"), await say_id(alice, "3")
    room_id = here.partition("-")[0]
    for message_id in (
        f"{room_id}-2",
        f"{room_id}-0",
        f"0{here}",
        f" {here}",
        "77-1",
        "no id",
        "1",
    ):
        for command in (edit, delete):
            assert_error(await command(alice, message_id), "RESOURCE_NOT_FOUND")
    for command in (edit, delete):
        error = await command(alice, elsewhere, conversationId="conv_1_2")
        assert_error(error, "RESOURCE_NOT_FOUND")
        for wrong in ("", None, "x" * 65, ["x"]):
            assert_error(await command(alice, wrong), "VALIDATION_ERROR", "messageId")


async def test_an_edit_comes_too_late_when_the_window_is_over(chat):
    alice = await chat.join(1)
    message_id = await say_id(alice, "2")
    await run_sql(chat, "UPDATE chat_messages SET created_at = now() - interval '299 s'")
    assert (await edit(alice, message_id))["type"] == "message_edited"
    await run_sql(chat, "UPDATE chat_messages SET created_at = now() - interval '301 s'")
    assert_error(await edit(alice, message_id), "EDIT_WINDOW_EXPIRED")
    assert (await delete(alice, message_id))["type"] == "message_deleted"


async def test_the_edit_window_is_a_setting(start_chat):
    chat = await start_chat(EDIT_WINDOW="0")
    alice = await chat.join(1)
    assert_error(await edit(alice, await say_id(alice, "2")), "EDIT_WINDOW_EXPIRED")


@pytest.mark.parametrize("who", [(1, 2), (2, 1)])
async def test_a_block_stops_edits_but_not_deletions(chat, who):
    alice, _, others, message_id = await two_with_devices(chat)
    await block(chat, *who)
    assert_error(await edit(alice, message_id), "USER_BLOCKED")
    deleted = await delete(alice, message_id)
    assert deleted["type"] == "message_deleted"
    await assert_all_hear(others, deleted)


async def test_a_message_deleted_for_everyone_is_erased(chat):
    alice, bob, others, message_id = await two_with_devices(chat)
    deleted = await delete(alice, message_id)
    assert deleted["rev"] == 2
    assert deleted["deleteForEveryone"] is True
    assert (deleted["messageId"], deleted["conversationId"]) == (message_id, "conv_1_2")
    await assert_all_hear(others, deleted)
    assert await contents(alice, "2") == await contents(bob, "1") == []
    row = (await run_sql(chat, "SELECT * FROM chat_messages"))[0]
    assert row["content"] is row["encrypted_content"] is row["encryption_iv"] is None
    assert (await say(alice, "2"))["message"]["seq"] == 2


async def test_deleting_again_is_answered_and_told_to_nobody(chat):
    alice, bob, others, message_id = await two_with_devices(chat)
    first = await delete(alice, message_id)
    await assert_all_hear(others, first)
    again = await delete(alice, message_id)
    assert again["type"] == "message_deleted"
    assert again["rev"] == first["rev"]
    own = await delete(bob, message_id, deleteForEveryone=False)
    assert own["type"] == "message_deleted"
    for client in others:
        await client.assert_nothing(within=0.02)
    assert_error(await edit(alice, message_id), "RESOURCE_NOT_FOUND")
    assert_error(await delete(bob, message_id), "RESOURCE_NOT_FOUND")


async def test_a_message_removed_for_oneself_stays_with_the_other(chat):
    alice, bob, (_, tablet, phone), message_id = await two_with_devices(chat)
    removed = await delete(bob, message_id, deleteForEveryone=False)
    assert removed["deleteForEveryone"] is False
    assert "rev" not in removed
    await assert_all_hear([phone], removed)
    for client in (alice, tablet):
        await client.assert_nothing(within=0.02)
    assert await contents(bob, "1") == []
    assert await contents(alice, "2") == ["first"]
    assert (await delete(bob, message_id, deleteForEveryone=False))["type"] == "message_deleted"
    await phone.assert_nothing(within=0.02)
    # It is gone for him alone: its author still changes it.
    assert (await edit(alice, message_id))["rev"] == 2


async def test_delete_for_everyone_is_a_boolean_and_true_by_default(chat):
    alice = await chat.join(1)
    message_id = await say_id(alice, "2")
    for wrong in ("false", 0, 1, []):
        error = await delete(alice, message_id, deleteForEveryone=wrong)
        assert_error(error, "VALIDATION_ERROR", "deleteForEveryone")
    deleted = await alice.request(
        type="delete_private_message", messageId=message_id, deleteForEveryone=None
    )
    assert deleted["deleteForEveryone"] is True


async def test_changes_at_the_same_moment_are_told_in_the_order_of_rev(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    ids = [await say_id(alice, "2", str(number)) for number in range(20)]
    for _ in ids:
        await bob.expect("new_private_message")
    for number, message_id in enumerate(ids):
        if number % 2:
            await alice.send(type="edit_message", messageId=message_id, content="edited")
        else:
            await alice.send(type="delete_message", messageId=message_id)
    revs = [(await bob.expect(None))["rev"] for _ in ids]
    assert revs == list(range(21, 41))
