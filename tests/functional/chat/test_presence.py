"""Who is online, and who is told."""

from tests.functional.chat.talking import assert_error, block, follow, run_sql, say_id

GRACE = {"OFFLINE_GRACE_PERIOD_MS": "100"}


async def online(client, **fields):
    answer = await client.request(type="get_online_users", **fields)
    assert answer["type"] == "online_users", answer
    assert answer["count"] == len(answer["users"])
    return [user["userId"] for user in answer["users"]]


async def test_everybody_is_told_when_presence_is_for_all(start_chat):
    chat = await start_chat(PRESENCE_SCOPE="all", **GRACE)
    await run_sql(chat, "INSERT INTO user_profile_info VALUES (2, 'Grace', 'Hopper')")
    watcher, alice, guest = await chat.join(3), await chat.join(1), await chat.guest()
    assert (await watcher.expect("user_online"))["user"]["id"] == "1"
    await watcher.close()
    await alice.expect("user_offline")
    alice.unread.clear()
    bob = await chat.join(2)
    for _ in range(2):
        event = await alice.expect("user_online")
        assert event.pop("timestamp").endswith("Z")
        assert event["user"] == {
            "id": "2",
            "userId": "2",
            "username": "user2",
            "displayName": "Grace Hopper",
        }
        await bob.assert_nothing(within=0.02)
        await bob.close()
        event = await alice.expect("user_offline")
        assert event["user"]["id"] == "2"
        bob = await chat.join(2)
    await guest.assert_nothing(within=0.02)


async def test_a_user_with_several_devices_comes_and_goes_once(start_chat):
    chat = await start_chat(PRESENCE_SCOPE="all", **GRACE)
    alice = await chat.join(1)
    devices = [await chat.join(2) for _ in range(3)]
    await alice.expect("user_online")
    for device in devices[:2]:
        await device.close()
    await alice.assert_nothing(within=1.3)
    assert await online(alice) == ["2"]
    await devices[2].close()
    await alice.expect("user_offline")
    await alice.assert_nothing(within=0.05)
    assert await online(alice) == []


async def test_who_returns_within_the_grace_period_was_never_away(start_chat):
    chat = await start_chat(PRESENCE_SCOPE="all")
    alice, bob = await chat.join(1), await chat.join(2)
    await alice.expect("user_online")
    await bob.close()
    assert await online(alice) == ["2"]
    started = await alice.request(type="start_conversation", recipientId="2")
    assert started["participant"]["online"] is True
    bob = await chat.join(2)
    await alice.assert_nothing(within=0.05)
    assert await online(bob) == ["1"]


async def test_only_contacts_are_told_when_presence_is_for_contacts(start_chat):
    chat = await start_chat(PRESENCE_SCOPE="contacts", **GRACE)
    friend, follower, blocked, stranger = [await chat.join(user) for user in (2, 3, 4, 5)]
    for client, other in ((friend, "1"), (blocked, "1")):
        await say_id(client, other)
    await follow(chat, 3, 1)
    await block(chat, 1, 4)
    alice = await chat.join(1)
    for client in (friend, follower):
        assert (await client.expect("user_online"))["user"]["id"] == "1"
    await alice.close()
    for client in (friend, follower):
        assert (await client.expect("user_offline"))["user"]["id"] == "1"
    for client in (blocked, stranger):
        await client.assert_nothing(within=0.02)


async def test_nobody_is_told_when_presence_is_for_none(chat):
    alice = await chat.join(1)
    await chat.join(2)
    await alice.assert_nothing(within=0.1)
    assert await online(alice) == ["2"]


async def test_the_online_list_shows_neither_oneself_nor_blocked_users(chat):
    await run_sql(chat, "INSERT INTO user_profile_info VALUES (2, 'Grace', 'Hopper')")
    clients = [await chat.join(user) for user in (1, 2, 3, 4, 4)]
    await chat.guest()
    await block(chat, 1, 3)
    await block(chat, 4, 1)
    answer = await clients[0].request(type="get_online_users")
    assert answer["users"] == [{"userId": "2", "username": "user2", "displayName": "Grace Hopper"}]
    assert await online(clients[1]) == ["1", "3", "4"]
    assert await online(clients[2]) == ["2", "4"]
    assert await online(clients[3]) == ["2", "3"]


async def test_the_online_list_is_as_long_as_asked_for(chat):
    alice = await chat.join(1)
    for user in range(2, 6):
        await chat.join(user)
    assert await online(alice, limit=2) == ["2", "3"]
    assert await online(alice, limit=10**30) == ["2", "3", "4", "5"]
    for wrong in (0, -1, "2", 1.5):
        error = await alice.request(type="get_online_users", limit=wrong)
        assert_error(error, "VALIDATION_ERROR", "limit")
