"""What the main backend was told of who is online is one row a user, and it is kept true."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from fastchat.interfaces import User
from tests.functional.chat.hooked import open_backend
from tests.functional.chat.talking import run_sql

OLD = "UPDATE webhook_presence SET changed_at = now() - interval '1 minute'"
GHOST = "INSERT INTO webhook_presence VALUES ($1, 'ghost', 'Ghost', true, '2020-01-01')"


class Somebody(User):
    username = "somebody"
    display_name = "Some Body"

    def __init__(self, user_id):
        self._user_id = user_id

    @property
    def user_id(self):
        return self._user_id


@pytest.fixture
async def backend():
    async with AsyncExitStack() as stack:
        yield await open_backend(stack)


async def stored_changes(chat):
    """What is told of users, once all of it is in the database."""
    async with asyncio.timeout(10):
        while (outbox := chat.server.backend.outbox)._task is not None:
            await asyncio.sleep(0.01)
    webhooks = await outbox.claim(100, 0.0)
    return [webhook.webhook_id for webhook in webhooks]


async def test_only_a_change_is_stored_whatever_is_told_how_often(start_chat):
    chat = await start_chat()
    outbox = chat.server.backend.outbox
    anna, bob = Somebody("anna"), Somebody("bob")
    told = [("1", anna, True), ("2", anna, True), ("3", anna, False), ("4", anna, False)]
    told += [("5", bob, False), ("6", anna, True), ("7", bob, True)]
    for webhook_id, user, is_online in told:
        outbox.put_change(webhook_id, b"{}", user, is_online)
    outbox.put("8", b"{}")
    assert await stored_changes(chat) == ["1", "3", "6", "7", "8"]
    assert outbox.stored == 5


async def test_of_several_who_tell_the_same_one_does_and_none_waits_for_ever(start_workers):
    workers = await start_workers(3)
    people = [Somebody(str(number)) for number in range(100)]
    for is_online in (True, False) * 3:
        before = sum(worker.server.backend.outbox.stored for worker in workers)
        futures = [
            worker.server.backend.outbox.put_change(f"{turn}-{user.user_id}", b"", user, is_online)
            for turn, worker in enumerate(workers)
            for user in people[turn * 30 :] + people[: turn * 30]
        ]
        async with asyncio.timeout(10):
            await asyncio.gather(*futures)
        await run_sql(workers[0], "DELETE FROM webhook_outbox")
        after = sum(worker.server.backend.outbox.stored for worker in workers)
        assert after - before == len(people)


async def test_the_speaker_tells_of_who_is_nowhere_and_each_of_who_is_here(start_workers, backend):
    workers = await start_workers(2, **backend.settings)
    await workers.join(1, 2)
    await backend.wait_for(lambda backend: len(backend.received) == 2)
    speaker, other = sorted(workers, key=lambda worker: not worker.server.others.speaks)
    await run_sql(speaker, OLD)
    checks = [worker.server.backend.presence_check for worker in (speaker, other)]
    assert [await check.look() for check in checks] == [0, 0]
    await run_sql(speaker, GHOST, "77")
    await run_sql(speaker, "DELETE FROM webhook_presence WHERE user_id = '2'")
    backend.received.clear()
    assert await checks[1].look() == (1 if other.server.hub.is_here("2") else 0)
    assert await checks[0].look() == 2 - bool(other.server.hub.is_here("2"))
    await backend.wait_for(lambda backend: len(backend.received) == 2)
    found = {one["type"]: one["data"]["user"] for one in backend.received}
    assert found["user.online"]["username"] == "user2"
    assert found["user.offline"] == {
        "id": "77",
        "userId": "77",
        "username": "ghost",
        "displayName": "Ghost",
    }
    assert [await check.look() for check in checks] == [0, 0]


async def test_nobody_speaks_for_those_whom_he_cannot_hear(start_workers, backend):
    workers = await start_workers(2, **backend.settings)
    await run_sql(workers[0], GHOST, "77")
    (speaker,) = [worker for worker in workers if worker.server.others.speaks]
    (deaf,) = speaker.server.others.exchange.peers
    speaker.server.others.whereabouts.ask(deaf)
    assert await speaker.server.backend.presence_check.look() == 0
    async with asyncio.timeout(10):
        while not speaker.server.others.knows_everybody:
            await asyncio.sleep(0.01)
    assert await speaker.server.backend.presence_check.look() == 1


async def test_who_went_long_ago_is_forgotten(start_chat):
    chat = await start_chat()
    outbox = chat.server.backend.outbox
    for user_id in ("here", "gone", "just gone"):
        await outbox.put_change(f"+{user_id}", b"", Somebody(user_id), True)
    for user_id in ("gone", "just gone"):
        await outbox.put_change(f"-{user_id}", b"", Somebody(user_id), False)
    await run_sql(
        chat,
        "UPDATE webhook_presence SET changed_at = now() - interval '2 hours'"
        " WHERE user_id <> 'just gone'",
    )
    assert await chat.server.backend.chores["webhook_presence"](0.0) == 1
    rows = await run_sql(chat, "SELECT user_id FROM webhook_presence ORDER BY 1")
    assert [row[0] for row in rows] == ["here", "just gone"]


async def test_without_an_address_nothing_is_noted(chat):
    await (await chat.join(1)).close()
    assert chat.server.backend.presence_check is None
    assert await run_sql(chat, "SELECT FROM webhook_presence") == []
