"""Queued events when connections drop, the database fails, or things happen at the same moment."""

import asyncio
import time

from fastchat.errors import ServiceUnavailable
from fastchat.handlers import drain
from tests.functional.chat.queued import (
    KIND,
    all_marked,
    edit,
    guest_with,
    numbers,
    queue_events,
    stop_reading,
    undelivered,
    until,
)
from tests.functional.chat.talking import run_sql


async def test_what_a_client_did_not_take_comes_next_time(quick):
    count = 200
    await queue_events(quick, count, padding=50_000)
    bob = await quick.guest()
    stop_reading(bob)
    await bob.send(type="authenticate", token=quick.token(2))
    await until(lambda: any(c.backlog for c in quick.server.hub.open_connections("2")))
    (connection,) = quick.server.hub.open_connections("2")
    await asyncio.sleep(0.2)
    assert connection.is_open
    assert connection.backlog < 200_000
    frame = len(edit(100, 50_000)) + 4
    connection.abort()
    await until(lambda: not quick.server.offline.draining)
    left = await undelivered(quick)
    assert abs((count - left) - connection.taken / frame) < 1.5
    phone = await quick.join(2)
    assert numbers(phone) == list(range(count - left, count))
    await bob.cut()  # it would wait for the closing handshake


async def test_events_stored_while_their_user_logs_in_are_not_missed(quick):
    queue = quick.server.event_queue
    lane = queue._lane
    queue._lane = None  # nobody stores
    sent = queue.put(1, edit(0), ["2"])
    bob = await guest_with(quick)
    await bob.assert_nothing()
    queue.use(lane)
    await bob.expect(KIND, rev=1)
    await bob.expect("connected", queuedEvents=1)
    await sent
    assert await undelivered(quick) == 0


async def test_events_stored_after_the_look_at_the_database_are_not_missed(quick, monkeypatch):
    users = quick.server.users
    authenticate = users.authenticate

    async def look_first(jti, user_id):
        found = await authenticate(jti, user_id)
        await queue_events(quick, 1)
        return found

    monkeypatch.setattr(users, "authenticate", look_first)
    bob = await quick.join(2)
    assert numbers(bob) == [0]


async def test_events_stored_when_their_user_has_come_meanwhile_are_delivered(quick):
    bob = await quick.join(2)
    future = quick.server.offline._put(drain.Change(1, edit(0)), ["2"])
    await bob.expect(KIND)
    await future
    await all_marked(quick)


async def test_a_database_that_fails_meanwhile_delays_the_events_and_not_the_answer(
    quick, monkeypatch
):
    monkeypatch.setattr(drain, "RETRY", 0.05)
    store = quick.server.event_store
    claim = store.claim
    failures = 5

    async def failing(*args, **kwargs):
        nonlocal failures
        failures -= 1
        if failures > 0:
            raise ServiceUnavailable
        return await claim(*args, **kwargs)

    monkeypatch.setattr(store, "claim", failing)
    await queue_events(quick, 3)
    bob = await quick.guest()
    assert (await bob.authenticate(quick.token(2)))["queuedEvents"] == 0
    await bob.expect(KIND, rev=3)


async def test_events_that_could_not_be_marked_are_not_delivered_twice(quick, monkeypatch):
    monkeypatch.setattr(drain, "RETRY", 0.1)
    store = quick.server.event_store
    mark = store.mark
    failures = 5

    async def failing(*args, **kwargs):
        nonlocal failures
        failures -= 1
        if failures > 0:
            raise ServiceUnavailable
        return await mark(*args, **kwargs)

    monkeypatch.setattr(store, "mark", failing)
    await queue_events(quick, 3)
    bob = await quick.guest()
    assert (await bob.authenticate(quick.token(2)))["queuedEvents"] == 3
    await bob.close()
    tablet = await quick.join(2)
    await all_marked(quick)
    await until(lambda: not quick.server.offline.draining)
    assert numbers(bob) == [0, 1, 2]
    assert numbers(tablet) == []


async def test_an_event_that_cannot_be_read_does_not_keep_the_others_back(quick):
    await queue_events(quick, 3)
    assert sum(quick.server.event_memory.sweep(time.monotonic() + 100_000))
    await run_sql(
        quick,
        "UPDATE event_bodies SET encryption_scheme = 'gcm:gone' "
        "WHERE event_id = (SELECT min(event_id) + 1 FROM event_bodies)",
    )
    bob = await quick.join(2)
    assert numbers(bob) == [0, 2]
    assert bob.frames[-1]["queuedEvents"] == 2
    assert await undelivered(quick) == 1


async def test_a_shutdown_leaves_the_rest_of_a_drain_for_next_time(start_chat):
    chat = await start_chat(EVENT_DELIVERY_DELAY="20")
    await queue_events(chat, 100)
    bob = await guest_with(chat)
    await bob.expect(KIND, rev=4)
    await chat.stop()
    await bob.wait_closed()
    got = numbers(bob)
    assert got == list(range(len(got)))
    assert await undelivered(chat) == 100 - len(got)
