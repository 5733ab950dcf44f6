"""Users on different workers: everything is as if they were on the same one."""

import asyncio

from tests.functional.chat.queued import until
from tests.functional.chat.talking import contents, run_sql, say, say_id
from tests.functional.chat.test_presence import online
from tests.functional.chat.test_queued_events import changes_of, queued
from tests.functional.grouping import GROUP, make_group

BURST = 200


def texts(client):
    """The texts of the messages that a client got, in the order of arrival."""
    return [f["message"]["content"] for f in client.frames if f["type"] == "new_private_message"]


async def test_a_message_reaches_the_other_user_and_every_device_once(workers):
    alice, bob = await workers.join(1, 2)
    others = [await workers[1].join(1), await workers[0].join(2)]
    stranger = await workers[1].join(3)
    message_id = await say_id(alice, "2")
    for client in (bob, *others):
        assert (await client.expect("new_private_message"))["messageId"] == message_id
    for client in (alice, bob, *others, stranger):
        await client.assert_nothing(within=0.02)


async def test_what_crosses_costs_one_bus_message_for_each_worker_concerned(start_workers):
    workers = await start_workers(3)
    alice, bob = await workers.join(1, 2)
    await workers[1].join(2)
    exchanges = [worker.server.others.exchange for worker in workers]
    before = [exchange.messages_out for exchange in exchanges]
    await say_id(alice, "2")
    await bob.expect("new_private_message")
    after = [exchange.messages_out for exchange in exchanges]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 0, 0]


async def test_messages_in_a_row_are_one_bus_message_and_those_of_one_turn_one_frame(workers):
    alice, bob = await workers.join(1, 2)
    await say_id(alice, "2")
    exchange = workers[0].server.others.exchange
    messages, frames = exchange.messages_out, exchange.frames_out
    await asyncio.gather(*(say(alice, "2", str(number)) for number in range(BURST)))
    await until(lambda: len(texts(bob)) == BURST + 1)
    assert 0 < exchange.frames_out - frames <= exchange.messages_out - messages < BURST / 3


async def test_what_came_of_a_batch_leaves_at_once_and_to_other_workers_first(workers):
    """At the end of the turn it would leave behind the statement of the next batch."""
    alice, bob = await workers.join(1, 2)
    await say_id(alice, "2")
    server = workers[0].server
    exchange, (connection,) = server.others.exchange, server.hub.open_connections("1")
    seen = []

    def watched(flush, name):
        def call():
            seen.append((name, exchange.waiting, connection.backlog > 0))
            flush()
            seen.append((name, exchange.waiting, connection.backlog > 0))

        return call

    for lane in server.writer.lanes:
        lane._after_batch = watched(lane._after_batch, "batch")
    exchange.flush = watched(exchange.flush, "bus")
    await say_id(alice, "2", "again")
    assert seen[:4] == [
        ("batch", 1, True),
        ("bus", 1, True),
        ("bus", 0, True),
        ("batch", 0, False),
    ]
    await until(lambda: texts(bob)[-1:] == ["again"])


async def test_a_conversation_keeps_its_order_whoever_writes_where(start_workers):
    workers = await start_workers(3)
    alice, bob = await workers.join(1, 2)
    watchers = [await workers[2].join(1), await workers[2].join(2), await workers[1].join(1)]

    async def talk(client, other):
        await asyncio.gather(*(say_id(client, other, str(number)) for number in range(BURST)))

    await asyncio.gather(talk(alice, "2"), talk(bob, "1"))
    for watcher in watchers:
        await until(lambda watcher=watcher: len(texts(watcher)) == 2 * BURST)
        seqs = [f["message"]["seq"] for f in watcher.frames if f["type"] == "new_private_message"]
        assert seqs == list(range(1, 2 * BURST + 1))
    assert all(worker.server.others.order.recovered == 0 for worker in workers)


async def test_changes_reach_users_on_other_workers_and_are_queued_for_those_on_none(workers):
    alice, bob = await workers.join(1, 2)
    message_id = await say_id(alice, "2")
    commands = changes_of(message_id)
    for command in commands[:-1]:
        answer = await alice.request(**command)
        await bob.expect(answer["type"], messageId=message_id)
    assert await queued(workers[0]) == {}
    await bob.close()
    await until(lambda: not workers[0].server.hub.is_connected("2"))
    await alice.request(**commands[-1])
    assert await queued(workers[0]) == {"2": 1}
    bob = await workers[1].join(2)
    await bob.expect("message_deleted", messageId=message_id)


async def test_an_event_that_is_stored_while_its_user_comes_to_another_worker_arrives(workers):
    (alice,) = await workers.join(1)
    message_id = await say_id(alice, "2")
    for number in range(20):
        edit = alice.request(type="edit_message", messageId=message_id, content=str(number))
        _, bob = await asyncio.gather(edit, workers[1].join(2))
        await until(
            lambda bob=bob, number=number: (
                any(
                    frame["type"] == "message_edited" and frame["message"]["content"] == str(number)
                    for frame in bob.frames
                )
                or any(frame["type"] == "connected" for frame in bob.frames)
            )
        )
        newest = (await bob.request(type="get_private_messages", recipientId="1"))["messages"][-1]
        assert newest["content"] == str(number)
        await bob.close()
    await until(lambda: not workers[0].server.hub.is_connected("2"))


async def test_a_group_is_one_over_all_workers(start_workers, database):
    workers = await start_workers(3)
    await make_group(database, {str(n): "owner" if n == 1 else "member" for n in range(1, 7)})
    members = await workers.join(*range(1, 7))
    sent = await members[0].request(
        type="send_group_message", groupId=GROUP, content="hello @user5"
    )
    assert sent["type"] == "group_message_sent"
    for client in members[1:]:
        received = await client.expect("new_group_message")
        assert received["message"]["content"] == "hello @user5"
    await members[4].expect("mentioned_in_group")
    removed = await members[0].request(type="remove_group_member", groupId=GROUP, userId="2")
    assert removed["type"] == "member_removed"
    for client in members[1:]:
        await client.expect("member_removed", userId="2")
    await members[2].request(type="send_group_message", groupId=GROUP, content="without him")
    for client in (members[0], *members[3:]):
        await client.expect("new_group_message")
    await members[1].assert_nothing(within=0.05)


async def test_read_marks_and_own_changes_reach_other_devices(workers):
    alice, bob = await workers.join(1, 2)
    other = await workers[0].join(2)
    message_id = await say_id(alice, "2")
    for client in (bob, other):
        await client.expect("new_private_message")
    await bob.request(type="mark_message_read", messageId=message_id)
    for client in (alice, other):
        await client.expect("message_read", messageId=message_id)
    await bob.request(type="delete_message", messageId=message_id, deleteForEveryone=False)
    await other.expect("message_deleted", messageId=message_id)
    await alice.assert_nothing(within=0.02)


async def test_typing_is_seen_on_other_workers(workers):
    alice, bob = await workers.join(1, 2)
    await alice.send(type="typing", recipientId="2", isTyping=True)
    event = await bob.expect("user_typing")
    assert event["isTyping"] is True
    await alice.close()
    assert (await bob.expect("user_typing"))["isTyping"] is False


async def test_one_event_for_each_change_of_presence_over_all_workers(start_workers):
    workers = await start_workers(3, PRESENCE_SCOPE="all", OFFLINE_GRACE_PERIOD_MS="200")
    watchers = [await worker.join(user) for user, worker in enumerate(workers, 11)]
    bob = {"id": "2", "userId": "2", "username": "user2", "displayName": "user2"}

    def changes(watcher):
        return [frame["type"] for frame in watcher.frames if frame.get("user") == bob]

    devices = [await worker.join(2) for worker in workers]
    for watcher in watchers:
        await watcher.expect("user_online", user=bob)
        assert "2" in await online(watcher)
    await devices[0].close()
    await devices[1].close()
    await asyncio.sleep(0.5)  # longer than the grace period: nothing may be said
    for watcher in watchers:
        assert changes(watcher) == ["user_online"]
        assert "2" in await online(watcher)
    await devices[2].close()
    for watcher in watchers:
        await watcher.expect("user_offline", user=bob)
        assert changes(watcher) == ["user_online", "user_offline"]
        assert "2" not in await online(watcher)


async def test_who_moves_to_another_worker_was_never_away(start_workers):
    workers = await start_workers(PRESENCE_SCOPE="all", OFFLINE_GRACE_PERIOD_MS="500")
    alice, bob = await workers.join(1, 2)
    await alice.expect("user_online")
    for index in (0, 1, 0, 1):
        await bob.close()
        bob = await workers[index].join(2)
    await alice.assert_nothing(within=0.8)


async def test_a_page_in_memory_is_not_older_than_what_happened_elsewhere(workers):
    alice, bob = await workers.join(1, 2)
    await say_id(alice, "2", "first")
    assert await contents(bob, "1") == ["first"]
    await bob.close()
    await until(lambda: not workers[0].server.hub.is_connected("2"))
    await say_id(alice, "2", "second")
    bob = await workers[1].join(2)
    assert await contents(bob, "1") == ["first", "second"]


async def test_a_worker_that_ends_is_forgotten(start_workers):
    workers = await start_workers(OFFLINE_GRACE_PERIOD_MS="100")
    alice, _ = await workers.join(1, 2)
    assert await online(alice) == ["2"]
    await workers[1].server.stop()
    await until(lambda: not workers[0].server.hub.is_connected("2"))
    async with asyncio.timeout(5):
        while await online(alice):
            await asyncio.sleep(0.02)
    sent = await say(alice, "2")
    assert sent["type"] == "message_sent"


async def test_a_worker_that_comes_knows_who_is_connected_before_it_serves(start_workers):
    workers = await start_workers(3)
    clients = await workers.join(*range(1, 10))
    known = workers[2].server.hub
    assert all(known.is_connected(str(user)) for user in range(1, 10))
    assert len(clients) == 9
    assert await run_sql(workers[0], "SELECT 1") is not None
