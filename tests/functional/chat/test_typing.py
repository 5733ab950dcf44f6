"""Who is told that somebody writes."""

from tests.functional.chat.talking import assert_error, block


async def write(client, other, is_typing=True):
    await client.send(type="typing", recipientId=other, isTyping=is_typing)


async def test_all_devices_of_the_other_user_are_told(chat):
    alice, bob, phone = [await chat.join(user) for user in (1, 2, 2)]
    for is_typing in (True, False):
        await write(alice, "2", is_typing)
        for client in (bob, phone):
            assert await client.expect(None) == {
                "type": "user_typing",
                "userId": "1",
                "username": "user1",
                "isTyping": is_typing,
                "conversationId": "conv_1_2",
            }
    await alice.assert_nothing(within=0.02)


async def test_silence_switches_it_off(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    await write(alice, 2)
    await bob.expect("user_typing", isTyping=True)
    await bob.assert_nothing(within=2.5)
    await bob.expect("user_typing", timeout=1.0, isTyping=False)


async def test_leaving_switches_it_off_at_once(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    await write(alice, "2")
    await bob.expect("user_typing", isTyping=True)
    await alice.close()
    await bob.expect("user_typing", timeout=1.0, isTyping=False)


async def test_nobody_is_told_across_a_block_and_nobody_is_answered(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    await block(chat, 2, 1)
    await write(alice, "2")
    await write(bob, "1")
    for client in (alice, bob):
        await client.assert_nothing(within=0.1)


async def test_writing_to_nobody_is_silent(chat):
    alice = await chat.join(1)
    for other in ("1", "2", "999", "02"):
        await write(alice, other)
    await alice.assert_nothing(within=0.1)


async def test_wrong_fields_are_answered(chat):
    alice = await chat.join(1)
    for wrong in ("true", 1, None):
        error = await alice.request(type="typing", recipientId="2", isTyping=wrong)
        assert_error(error, "VALIDATION_ERROR", "isTyping")
    error = await alice.request(type="typing", isTyping=True)
    assert_error(error, "VALIDATION_ERROR", "recipientId")
    error = await alice.request(type="typing", recipientId="", isTyping=True)
    assert_error(error, "VALIDATION_ERROR", "recipientId")
