"""The end of a server: nothing that was accepted stays unanswered."""

import asyncio

import pytest

from tests.functional.chat.talking import run_sql, say_id

BURST = 100


async def answers_until_closed(client):
    """Everything that answers a send, until the server has closed."""
    code, reason = await client.wait_closed()
    assert (code, reason) == (1001, "Server shutting down")
    return [frame for frame in client.frames if "requestId" in frame]


async def send_burst(client, recipient_id, name):
    for number in range(BURST):
        await client.send(
            type="send_private_message",
            recipientId=recipient_id,
            content=f"{name} {number}",
            requestId=f"{name} {number}",
        )


async def test_clients_are_told_before_they_are_closed(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    await chat.stop()
    for client in (alice, bob):
        assert await client.wait_closed() == (1001, "Server shutting down")
        draining = await client.expect("server_draining")
        assert draining["retryAfter"] >= 1


async def test_everything_accepted_is_stored_and_answered_or_never_stored(chat):
    pairs = [(await chat.join(1), "2"), (await chat.join(3), "4"), (await chat.join(5), "6")]
    # One of the conversations has begun; the others need a look-up first.
    await say_id(pairs[0][0], "2", "before")
    for client, other in pairs:
        await send_burst(client, other, other)
    # The last of them may still be on their way; what has arrived is what counts.
    async with asyncio.timeout(5):
        while chat.server.answers.commands < 3 * BURST + 4:
            await asyncio.sleep(0)
    await chat.stop()
    acknowledged = 1
    for client, _ in pairs:
        answers = await answers_until_closed(client)
        answered = [frame for frame in answers if frame["requestId"][0].isdigit()]
        assert len(answered) == BURST
        assert {frame["type"] for frame in answered} == {"message_sent"}
        acknowledged += BURST
    assert len(await run_sql(chat, "SELECT FROM chat_messages")) == acknowledged


async def test_what_comes_during_the_end_is_refused_or_stored_but_answered(chat):
    alice = await chat.join(1)
    await say_id(alice, "2", "before")
    stopping = asyncio.create_task(chat.stop())
    await alice.expect("server_draining")
    await send_burst(alice, "2", "0")
    await stopping
    answers = await answers_until_closed(alice)
    stored = [frame for frame in answers if frame["type"] == "message_sent"]
    others = [frame["code"] for frame in answers if frame["type"] == "error"]
    assert set(others) <= {"SERVICE_UNAVAILABLE"}
    assert len(await run_sql(chat, "SELECT FROM chat_messages")) == len(stored)


async def test_nobody_new_is_let_in_while_the_server_ends(chat):
    alice = await chat.join(1)
    await chat.stop()
    await alice.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        await chat.guest()


async def test_a_stopped_server_can_be_followed_by_another(chat):
    alice = await chat.join(1)
    first = await say_id(alice, "2")
    await chat.stop()
    await chat.start()
    alice = await chat.join(1)
    second = await say_id(alice, "2")
    assert [message_id.partition("-")[2] for message_id in (first, second)] == ["1", "2"]
