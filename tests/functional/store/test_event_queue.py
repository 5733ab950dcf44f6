"""Events for users who are not here: stored once, in order, whatever becomes of the answers."""

import asyncio
import json

import pytest

from fastchat.errors import ServiceUnavailable
from fastchat.store import event_queue, fence
from fastchat.store.cipher import Cipher
from fastchat.store.event_memory import EventMemory
from fastchat.store.event_queue import EventQueue, context_of
from tests.functional.store.cutting_proxy import CuttingProxy
from tests.functional.store.queueing import KEYS, UNDELIVERED, make_queue, run_sql, stored
from tests.functional.store.writing import make_message, make_rooms, make_writer, send


@pytest.fixture
async def proxy(database):
    async with CuttingProxy(database) as proxy:
        yield proxy


@pytest.fixture
async def writer(proxy):
    writer = make_writer(proxy.dsn)
    yield writer
    proxy.thaw()
    await writer.stop(10.0)


@pytest.fixture
async def queue(writer):
    return make_queue(writer)


class Row:
    sender_id = ""
    client_message_id = None

    def __init__(self, row):
        self.is_encrypted = row["content"] is None
        self.content = row["content"]
        self.encrypted_content = row["encrypted_content"]
        self.encryption_iv = row["encryption_iv"]
        self.encryption_scheme = row["encryption_scheme"]


async def waiting(database):
    """What each user has yet to get, in the order of delivery."""
    cipher = Cipher(KEYS)
    found: dict[str, list[str]] = {}
    for row in await run_sql(database, UNDELIVERED):
        text = cipher.open(Row(row), context_of(row["room_id"]))
        found.setdefault(row["user_id"], []).append(text)
    return found


async def test_stores_an_event_once_and_a_row_for_each_user(queue, database):
    await stored(queue.put(7, b'{"a":"\xc3\xa4"}', ["1", "2"]), queue.put(7, b"{}", ["2"]))
    assert await waiting(database) == {"1": ['{"a":"ä"}'], "2": ['{"a":"ä"}', "{}"]}
    assert len(await run_sql(database, "SELECT FROM event_bodies")) == 2
    assert queue.queued == 3


async def test_nothing_of_an_event_is_readable_in_the_tables(queue, database):
    await stored(queue.put(7, b'{"text":"secret"}', ["1"]))
    rows = await run_sql(database, UNDELIVERED)
    shown = json.dumps([[str(value) for value in row] for row in rows])
    assert "secret" not in shown
    assert b"secret".hex() not in shown


async def test_many_events_go_in_one_statement_in_their_order(queue, writer, database):
    await stored(queue.put(1, b"first", ["9"]))
    before = writer.lanes[0].fence.batch_no
    futures = [
        queue.put(number, b"%d" % number, ["1", str(number % 3)]) for number in range(2, 202)
    ]
    await stored(*futures)
    assert writer.lanes[0].fence.batch_no == before + 1
    found = await waiting(database)
    assert found["2"] == [str(number) for number in range(2, 202, 3)]
    assert found["0"] == [str(number) for number in range(3, 202, 3)]


async def test_an_event_is_stored_once_although_each_answer_is_lost(proxy, queue, writer, database):
    proxy.cut_every = 23
    sent = []
    for number in range(60):
        sent.append(queue.put(1, b"%d" % number, ["1", "2"]))
        await asyncio.sleep(0.002)
    await stored(*sent)
    proxy.cut_every = 0
    assert proxy.cuts
    assert writer.unknown_outcomes
    expected = [str(number) for number in range(60)]
    assert await waiting(database) == {"1": expected, "2": expected}


async def test_events_wait_in_order_while_the_database_is_away(proxy, queue, database, monkeypatch):
    monkeypatch.setattr(fence, "STATEMENT_DEADLINE", 0.2)
    await stored(queue.put(1, b"0", ["1"]))
    proxy.freeze()
    sent = [queue.put(1, b"1", ["1"])]
    await asyncio.sleep(0.5)
    sent.append(queue.put(1, b"2", ["1"]))
    assert not sent[0].done()
    assert queue.pending("1") is sent[1]
    assert queue.waiting == 2
    proxy.thaw()
    await stored(*sent)
    assert await waiting(database) == {"1": ["0", "1", "2"]}
    assert (queue.pending("1"), queue.waiting) == (None, 0)


async def test_refused_statements_are_tried_again_and_messages_go_on(
    queue, writer, database, monkeypatch
):
    monkeypatch.setattr(event_queue, "PAUSE", 0.2)
    rooms = await make_rooms(database, 1)
    await run_sql(database, "ALTER TABLE event_queue RENAME TO away")
    sent = [queue.put(1, b"%d" % number, ["1"]) for number in range(3)]
    await asyncio.sleep(0.05)
    await send(writer, make_message(rooms[0], "aa"))
    assert not sent[0].done()
    await run_sql(database, "ALTER TABLE away RENAME TO event_queue")
    await stored(*sent)
    assert await waiting(database) == {"1": ["0", "1", "2"]}


async def test_a_value_that_cannot_be_stored_does_not_keep_the_others_from_it(queue, database):
    sent = [queue.put(1, b"%d" % number, ["1"]) for number in range(3)]
    poisoned = queue.put(1, b"3", ["1", "\0"])
    sent += [queue.put(1, b"%d" % number, ["1"]) for number in range(4, 20)]
    await stored(*sent)
    with pytest.raises(ServiceUnavailable):
        await poisoned
    expected = [str(number) for number in range(20) if number != 3]
    assert await waiting(database) == {"1": expected}
    assert queue.dropped == 2


async def test_an_event_for_very_many_users_is_stored_in_parts(queue, database, monkeypatch):
    monkeypatch.setattr(event_queue, "MAX_ROWS", 100)
    users = [f"{number:04}" for number in range(250)]
    first = queue.put(1, b"one", users)
    await stored(first, queue.put(1, b"two", ["0000", "0249"]))
    found = await waiting(database)
    assert len(found) == 250
    assert found["0000"] == found["0249"] == ["one", "two"]
    assert found["0100"] == ["one"]


async def test_what_waits_has_a_bound(queue, writer, proxy):
    proxy.freeze()
    small = make_queue(writer, max_waiting=2)
    sent = [small.put(1, b"x", ["1"]) for _ in range(2)]
    with pytest.raises(ServiceUnavailable):
        small.put(1, b"x", ["1"])
    assert small.dropped == 1
    proxy.thaw()
    await stored(*sent)


async def test_what_was_not_sent_is_stored_by_the_next_lane(proxy, writer, database, monkeypatch):
    monkeypatch.setattr(fence, "STATEMENT_DEADLINE", 0.2)
    queue = make_queue(writer)
    proxy.freeze()
    sent = queue.put(1, b"event", ["1"])
    await writer.stop(0.1)
    assert not sent.done()
    next_writer = make_writer(database)
    queue.use(next_writer.lanes[0])
    await stored(sent)
    await next_writer.stop(1.0)
    assert await waiting(database) == {"1": ["event"]}


async def test_what_cannot_be_stored_in_the_end_is_refused(database):
    queue = EventQueue(Cipher(KEYS), EventMemory())
    sent = queue.put(1, b"event", ["1"])
    queue.stop()
    with pytest.raises(ServiceUnavailable):
        await sent
    with pytest.raises(ServiceUnavailable):
        queue.put(1, b"event", ["1"])
    assert queue.dropped == 2


async def test_a_copy_is_kept_in_memory_for_each_user(writer):
    memory = EventMemory()
    queue = make_queue(writer, memory)
    await stored(queue.put(1, b"one", ["1", "2"]), queue.put(1, b"two", ["1"]))
    assert [memory.get(event_id) for event_id in memory.event_ids("1")] == [b"one", b"two"]
    assert [memory.get(event_id) for event_id in memory.event_ids("2")] == [b"one"]
