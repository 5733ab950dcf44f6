"""Queued events reach their user when he logs in: in order, once, and in nobody's way."""

import time

from fastchat.handlers import drain, offline
from tests.functional.chat.queued import (
    KIND,
    all_marked,
    guest_with,
    numbers,
    queue_events,
    undelivered,
    until,
)
from tests.functional.chat.talking import run_sql, say, say_id


async def test_events_come_before_the_answer_to_the_login_and_once(quick):
    alice = await quick.join(1)
    message_id = await say_id(alice, "2")
    for reaction in ("1", "2", "3"):
        await alice.request(type="add_reaction", messageId=message_id, reaction=reaction)
    bob = await quick.guest()
    connected = await bob.authenticate(quick.token(2))
    assert connected["queuedEvents"] == 3
    assert [frame["type"] for frame in bob.frames] == [
        "connected",
        *["reaction_added"] * 3,
        "connected",
    ]
    assert [frame["reaction"]["reaction"] for frame in bob.frames[1:4]] == ["1", "2", "3"]
    assert await undelivered(quick) == 0
    tablet = await quick.guest()
    assert (await tablet.authenticate(quick.token(2)))["queuedEvents"] == 0
    await tablet.assert_nothing()


async def test_a_login_without_events_asks_the_database_nothing_more(quick):
    await quick.join(2)
    assert "event claims" not in quick.server.pool.query_times
    await queue_events(quick, 1, "3")
    await quick.join(3)
    assert quick.server.pool.query_times["event claims"].count == 1


async def test_what_this_worker_queued_is_not_read_again(quick):
    await queue_events(quick, 5)
    bob = await quick.join(2)
    assert numbers(bob) == [0, 1, 2, 3, 4]
    memory = quick.server.event_memory
    assert (memory.hits, memory.misses, len(memory)) == (5, 0, 0)
    assert "events" not in quick.server.pool.query_times


async def test_events_are_delivered_after_a_restart(start_chat):
    chat = await start_chat()
    await queue_events(chat, 5)
    await chat.stop()
    chat = await start_chat(EVENT_DELIVERY_DELAY="0")
    bob = await chat.join(2)
    assert numbers(bob) == [0, 1, 2, 3, 4]
    assert (chat.server.event_memory.hits, chat.server.event_memory.misses) == (0, 5)
    assert await undelivered(chat) == 0


async def test_partly_remembered_events_come_in_order(quick):
    await queue_events(quick, 30)
    memory = quick.server.event_memory
    for event_id in memory.event_ids("2")[::3]:
        memory.forget("2", [event_id])
    bob = await quick.join(2)
    assert numbers(bob) == list(range(30))
    assert (memory.hits, memory.misses) == (20, 10)


async def test_large_events_are_read_in_parts(quick, monkeypatch):
    monkeypatch.setattr("fastchat.store.event_store.MOST_BYTES", 100_000)
    await queue_events(quick, 50, padding=10_000)
    assert sum(quick.server.event_memory.sweep(time.monotonic() + 100_000))
    bob = await quick.join(2)
    assert numbers(bob) == list(range(50))
    assert quick.server.pool.query_times["events"].count >= 10


async def test_at_most_a_thousand_events_come_at_once_and_the_rest_next_time(quick):
    await queue_events(quick, 1003)
    for expected in (range(1000), range(1000, 1003), range(0)):
        bob = await quick.guest()
        connected = await bob.authenticate(quick.token(2))
        assert numbers(bob) == list(expected)
        assert connected["queuedEvents"] == len(expected)
        await bob.close()


async def test_events_are_sent_the_set_delay_apart(start_chat):
    chat = await start_chat(EVENT_DELIVERY_DELAY="20")
    await queue_events(chat, 10)
    began = time.monotonic()
    bob = await chat.join(2)
    took = time.monotonic() - began
    assert numbers(bob) == list(range(10))
    assert took >= 9 * 0.02 * 0.9
    assert took < 2.0


async def test_a_drain_may_take_longer_than_a_command(start_chat):
    chat = await start_chat(EVENT_DELIVERY_DELAY="20")
    chat.server.dispatcher._deadline = 0.2
    await queue_events(chat, 25)
    bob = await guest_with(chat)
    connected = await bob.expect("connected", requestId="login")
    assert connected["queuedEvents"] == 25
    await bob.assert_nothing("error")


async def test_a_drain_delays_neither_commands_nor_messages_nor_other_users(start_chat):
    chat = await start_chat(EVENT_DELIVERY_DELAY="50")
    alice = await chat.join(1)
    await queue_events(chat, 30)
    bob = await guest_with(chat)
    await bob.expect(KIND)
    assert (await say(bob, "1"))["type"] == "message_sent"
    await say(alice, "2")
    await bob.expect("new_private_message")
    await chat.join(3)
    assert len(numbers(bob)) < 20
    await bob.expect("connected")
    assert numbers(bob) == list(range(30))


async def test_live_events_of_these_kinds_wait_behind_the_drain(start_chat):
    chat = await start_chat(EVENT_DELIVERY_DELAY="30")
    alice = await chat.join(1)
    message_id = await say_id(alice, "2")
    await queue_events(chat, 10)
    bob = await guest_with(chat)
    await bob.expect(KIND)
    for reaction in ("1", "2"):
        answer = await alice.request(type="add_reaction", messageId=message_id, reaction=reaction)
        assert answer["type"] == "reaction_added"
    assert len(numbers(bob)) < 10
    await bob.expect("reaction_added")
    await bob.expect("reaction_added")
    frames = [frame for frame in bob.frames if frame["type"] in (KIND, "reaction_added")]
    assert [frame["type"] for frame in frames] == [KIND] * 10 + ["reaction_added"] * 2
    assert [frame["reaction"]["reaction"] for frame in frames[10:]] == ["1", "2"]
    assert await undelivered(chat) == 0


async def test_every_device_gets_what_waited_behind_the_drain_but_the_one_that_knows(start_chat):
    chat = await start_chat(EVENT_DELIVERY_DELAY="30")
    alice = await chat.join(1)
    message_id = await say_id(alice, "2")
    await queue_events(chat, 10)
    tablet = await guest_with(chat)
    await tablet.expect(KIND)
    bob = await chat.join(2)
    await bob.request(type="add_reaction", messageId=message_id, reaction="1")
    await tablet.expect("reaction_added")
    assert numbers(tablet) == list(range(10))
    await bob.assert_nothing("reaction_added")


async def test_what_was_held_is_queued_when_the_connection_drops(start_chat):
    chat = await start_chat(EVENT_DELIVERY_DELAY="50")
    alice = await chat.join(1)
    message_id = await say_id(alice, "2")
    await queue_events(chat, 100)
    bob = await guest_with(chat)
    await bob.expect(KIND)
    await alice.request(type="add_reaction", messageId=message_id, reaction="1")
    await bob.cut()
    await until(lambda: not chat.server.offline.draining)
    got = len(numbers(bob))
    await until(lambda: not chat.server.event_queue.waiting)
    left = await undelivered(chat)
    assert 100 - got <= left <= 101
    chat.server.offline._delay = 0
    phone = await chat.join(2)
    assert phone.frames[-2]["type"] == "reaction_added"
    assert numbers(phone) == list(range(101 - left, 100))


async def test_more_live_events_than_may_be_held_are_queued_and_come_in_order(
    start_chat, monkeypatch
):
    monkeypatch.setattr(offline, "MOST_HELD", 3)
    chat = await start_chat(EVENT_DELIVERY_DELAY="30")
    alice = await chat.join(1)
    message_id = await say_id(alice, "2")
    await queue_events(chat, 15)
    bob = await guest_with(chat)
    await bob.expect(KIND)
    for number in range(10):
        await alice.request(type="add_reaction", messageId=message_id, reaction=str(number))
    for number in range(10):
        event = await bob.expect("reaction_added")
        assert event["reaction"]["reaction"] == str(number)
    await until(lambda: not chat.server.offline.draining)
    assert await undelivered(chat) == 0


async def test_two_devices_that_log_in_at_once_share_the_events(start_chat):
    chat = await start_chat(EVENT_DELIVERY_DELAY="5")
    await queue_events(chat, 40)
    devices = [await guest_with(chat) for _ in range(4)]
    answers = [await device.expect("connected", requestId="login") for device in devices]
    await all_marked(chat)
    assert sorted(n for device in devices for n in numbers(device)) == list(range(40))
    assert sum(answer["queuedEvents"] for answer in answers) == 40


async def test_the_events_of_a_user_whom_another_worker_has_claimed_come_later(quick, monkeypatch):
    monkeypatch.setattr(drain, "RETRY", 0.05)
    await queue_events(quick, 3)
    await run_sql(quick, "INSERT INTO event_drains VALUES ('2', 7, now() + interval '1 minute')")
    bob = await quick.guest()
    assert (await bob.authenticate(quick.token(2)))["queuedEvents"] == 0
    await bob.assert_nothing(KIND)
    await run_sql(quick, "UPDATE event_drains SET turn = 8, claimed_until = now()")
    await bob.expect(KIND, rev=3)
    assert numbers(bob) == [0, 1, 2]


async def test_two_servers_do_not_both_deliver(start_chat):
    one, two = [await start_chat(EVENT_DELIVERY_DELAY="5") for _ in range(2)]
    for start in range(0, 100, 20):
        await queue_events(one, 20, start=start)
        devices = [await guest_with(chat) for chat in (one, two)]
        for device in devices:
            await device.expect("connected", requestId="login")
        await all_marked(one)
        got = sorted(n for device in devices for n in numbers(device))
        assert got == list(range(start, start + 20))
        for device in devices:
            await device.close()
        await until(lambda: not (one.server.offline.draining or two.server.offline.draining))


async def test_another_device_gets_the_rest_when_the_first_one_drops(start_chat):
    chat = await start_chat(EVENT_DELIVERY_DELAY="20")
    await queue_events(chat, 60)
    phone = await guest_with(chat)
    await phone.expect(KIND)
    tablet = await chat.join(2)
    assert tablet.frames[-1]["queuedEvents"] == 0
    await phone.cut()
    await tablet.expect(KIND, rev=60)
    await all_marked(chat)
    first = numbers(tablet)[0]
    assert 0 < first <= len(numbers(phone)) + 1
    assert numbers(tablet) == list(range(first, 60))
