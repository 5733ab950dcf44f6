"""Many changes of presence in one event, for clients that ask for it at the log-in."""

import asyncio
from itertools import pairwise

import pytest

from fastchat.client import Client
from fastchat.protocol.system_types import PresenceChanges, UserOffline, UserOnline
from tests.functional.chat.talking import assert_error, block, say_id
from tests.functional.chat.test_presence import GRACE
from tests.functional.client import TIMEOUT

BATCH = "presence_changes"
SINGLE = ("user_online", "user_offline")
GATHERING = 100  # milliseconds


async def join(chat, user_id):
    """Log in with batches."""
    client = await chat.guest()
    await client.authenticate(chat.token(user_id), presenceBatches=True)
    return client


async def told(client, *user_ids, kind="online"):
    """Wait until a client was told of some users, once each; return the batches."""
    found, batches = [], []
    while not set(user_ids) <= set(found):
        batch = await client.expect(BATCH)
        batches.append(batch)
        found += [user["id"] for user in batch[kind]]
    assert sorted(user_ids) == sorted(user_id for user_id in found if user_id in user_ids)
    return batches


def types(client):
    return {frame["type"] for frame in client.frames} & {BATCH, *SINGLE}


def millis(batch):
    """When a batch was told, in milliseconds of a minute."""
    return int(batch["timestamp"][17:19]) * 1000 + int(batch["timestamp"][20:23])


async def test_who_asks_for_batches_gets_them_in_place_of_single_events(start_chat):
    chat = await start_chat(PRESENCE_SCOPE="all", **GRACE)
    watcher, plain = await join(chat, 1), await chat.join(2)
    bob = await join(chat, 3)
    (*_, batch) = await told(watcher, "2", "3")
    assert batch["online"][-1] == {
        "id": "3",
        "userId": "3",
        "username": "user3",
        "displayName": "user3",
    }
    await plain.expect("user_online", user=batch["online"][-1])
    await bob.close()
    await told(watcher, "3", kind="offline")
    await plain.expect("user_offline", user=batch["online"][-1])
    assert types(watcher) == {BATCH}
    assert types(plain) == {*SINGLE}


async def test_a_batch_is_the_same_for_all_and_has_the_receiver_too(start_chat):
    chat = await start_chat(PRESENCE_SCOPE="all", **GRACE)
    one, other = await join(chat, 1), await join(chat, 2)
    batches = await told(one, "1", "2")
    assert await told(other, "2") == batches[-1:]


async def test_devices_of_one_user_are_told_each_as_it_asked(start_chat):
    chat = await start_chat(PRESENCE_SCOPE="all", **GRACE)
    phone, tablet = await join(chat, 1), await chat.join(1)
    await tablet.assert_nothing(within=0.15)
    await chat.join(2)
    await told(phone, "2")
    await tablet.expect("user_online")
    assert (types(phone), types(tablet)) == ({BATCH}, {"user_online"})


async def test_a_newer_token_changes_nothing_about_batches(start_chat):
    chat = await start_chat(PRESENCE_SCOPE="all", **GRACE)
    watcher = await join(chat, 1)
    await watcher.send(type="authenticate", token=chat.token(1, 7200.0))
    await watcher.expect("token_refreshed")
    await chat.join(2)
    await told(watcher, "2")
    assert types(watcher) == {BATCH}


async def test_one_batch_within_a_gathering_at_most(start_chat):
    chat = await start_chat(PRESENCE_SCOPE="all", **GRACE)
    watcher = await join(chat, 1)
    users = [str(user) for user in range(2, 42)]
    for user in users:
        await chat.join(user)
    batches = await told(watcher, *users)
    times = [millis(batch) for batch in batches]
    assert len(batches) < len(users)
    assert all((later - earlier) % 60_000 >= GATHERING for earlier, later in pairwise(times))


async def test_a_contact_gets_one_batch_with_those_whom_he_knows(start_chat):
    chat = await start_chat(PRESENCE_SCOPE="contacts", **GRACE)
    friend, blocked, stranger = [await join(chat, user) for user in (4, 5, 6)]
    plain = await chat.join(7)
    for user in (4, 5, 7):
        for other in "123":
            await say_id(chat.clients[user - 4], other)
    for user in (1, 2, 3):
        await block(chat, user, 5)
    clients = [await chat.join(user) for user in (1, 2, 3)]
    batches = await told(friend, "1", "2", "3")
    times = [millis(batch) for batch in batches]
    assert all((later - earlier) % 60_000 >= GATHERING for earlier, later in pairwise(times))
    for _ in clients:
        await plain.expect("user_online")
    for client in clients:
        await client.close()
    await told(friend, "1", "2", "3", kind="offline")
    assert (types(blocked), types(stranger)) == (set(), set())


async def test_batches_tell_of_users_on_other_workers(start_workers):
    workers = await start_workers(PRESENCE_SCOPE="all", **GRACE)
    watchers = [await join(worker, user) for worker, user in zip(workers, (1, 2), strict=True)]
    users = [str(user) for user in range(3, 9)]
    clients = await workers.join(*users)
    for watcher in watchers:
        await told(watcher, *users)
    for client in clients:
        await client.close()
    for watcher in watchers:
        await told(watcher, *users, kind="offline")
        assert types(watcher) == {BATCH}


@pytest.mark.parametrize("value", [1, "true", []])
async def test_batches_are_asked_for_with_a_boolean(chat, value):
    guest = await chat.guest()
    await guest.send(type="authenticate", token=chat.token(1), presenceBatches=value)
    assert_error(await guest.expect("error"), "VALIDATION_ERROR", "presenceBatches")


async def test_the_python_client_tells_of_each_user_by_himself(start_chat):
    chat = await start_chat(PRESENCE_SCOPE="all", **GRACE)
    async with Client(chat.url, lambda: chat.token(1)) as client:
        batches = []
        client.on(PresenceChanges, batches.append)
        stream = client.events(UserOnline, UserOffline)
        await client.online()
        watcher = await join(chat, 2)
        bob = await chat.join(3)
        await told(watcher, "3")
        await bob.close()
        found = []
        async with asyncio.timeout(TIMEOUT):
            async for event in stream:
                found.append((type(event), event.user.id))
                assert event.timestamp.endswith("Z")
                if isinstance(event, UserOffline):
                    break
        assert found == [(UserOnline, "2"), (UserOnline, "3"), (UserOffline, "3")]
        assert batches == []
