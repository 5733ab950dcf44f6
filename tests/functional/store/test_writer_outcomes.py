"""The writer when PostgreSQL's answer does not come: nothing lost, nothing stored twice."""

import asyncio
import random

import asyncpg
import pytest

from fastchat.store import fence as fence_module
from fastchat.store import statements
from fastchat.store.batch import Duplicate, Entry, Reason, Refused, Stored, group
from fastchat.store.batch_arguments import direct_arguments
from fastchat.store.fence import CLOSE_FENCE
from tests.functional.store.cutting_proxy import CuttingProxy
from tests.functional.store.writing import (
    append,
    check_history,
    make_message,
    make_rooms,
    make_writer,
    send,
    stored_rows,
)


@pytest.fixture
async def rooms(database):
    return await make_rooms(database, 4)


@pytest.fixture
async def proxy(database):
    async with CuttingProxy(database) as proxy:
        yield proxy


@pytest.mark.parametrize("count", [1, 2, 4])  # one statement, one for each, one for all
async def test_a_lost_answer_to_commit_is_found_again(count, proxy, database, rooms):
    writer = make_writer(proxy.dsn)
    # Prepared beforehand, so that it is the answer to the COMMIT that gets lost.
    await send(writer, *(make_message(room, "aa") for room in rooms[:count]))
    proxy.cut_answers = True
    outcomes = await send(writer, *(make_message(room, "bb") for room in reversed(rooms[:count])))
    await writer.stop(10.0)
    assert [(outcome.seq, outcome.rev) for outcome in outcomes] == [(2, 2)] * count
    assert (proxy.cuts, writer.lanes[0].unknown_outcomes, writer.lanes[0].retries) == (1, 1, 0)
    assert len(await stored_rows(database)) == 2 * count


async def test_many_lost_answers_leave_no_gap_and_nothing_twice(proxy, database, rooms):
    choose = random.Random(3)
    writers = [make_writer(proxy.dsn, max_batch=8) for _ in range(3)]
    sent = []
    for number in range(400):
        message = make_message(choose.choice(rooms), f"{number:04x}")
        message.client_message_id = choose.choice([None, f"c{choose.randrange(40)}"])
        sent.append(append(choose.choice(writers), message))
        if number % 10 == 0:
            await asyncio.sleep(0)
    proxy.cut_every = 19
    for writer in writers:
        await writer.stop(30.0)
    check_history(await stored_rows(database), sent)
    assert proxy.cuts >= 3


async def test_a_frozen_database_is_answered_in_time_and_told_when_it_was_stored_all_the_same(
    proxy, database, rooms, monkeypatch
):
    monkeypatch.setattr(fence_module, "STATEMENT_DEADLINE", 0.3)
    writer = make_writer(proxy.dsn, deadline=0.5)
    await send(writer, make_message(rooms[0], "aa"))
    # The batch reaches PostgreSQL, its answer does not come back.
    proxy.cut_answers = True
    sent = append(writer, make_message(rooms[0], "bb", client_message_id="x"))
    while not proxy.cuts:
        await asyncio.sleep(0.005)
    proxy.freeze()
    waiting = append(writer, make_message(rooms[0], "cc"))
    async with asyncio.timeout(5):
        await sent.first.wait()
        await waiting.first.wait()
    assert sent.outcomes[0] == waiting.outcomes[0] == Refused(Reason.UNAVAILABLE)
    proxy.thaw()
    async with asyncio.timeout(10):
        while len(sent.outcomes) < 2:
            await asyncio.sleep(0.01)
    assert sent.outcomes[1].is_late
    (resent,) = await send(writer, make_message(rooms[0], "dd", client_message_id="x"))
    assert resent == Duplicate(sent.outcomes[1].seq)
    await writer.stop(10.0)
    assert len(waiting.outcomes) == 1
    assert [row["text"] for row in await stored_rows(database)] == ["aa", "bb"]


async def test_a_late_copy_of_a_statement_stores_nothing_once_its_fence_is_closed(database, rooms):
    writer = make_writer(database)
    await send(writer, make_message(rooms[0], "aa"))
    lane, fence = writer.lanes[0], writer.lanes[0].fence
    batch = group([Entry(make_message(rooms[0], "bb"), lambda outcome: None, 0.0)])
    query = statements.batch_statement(lane._columns, check_blocks=True)
    id_types = statements.native_types(lane._columns, check_blocks=True)
    arguments = [fence.lane_id, fence.batch_no, *direct_arguments(batch, id_types)]
    connection = await asyncpg.connect(database)
    await connection.execute(CLOSE_FENCE, fence.lane_id, fence.batch_no)
    assert await connection.fetchval(query, *arguments) is None
    await connection.close()
    await writer.stop(10.0)
    assert [row["text"] for row in await stored_rows(database)] == ["aa"]


async def test_a_late_copy_that_waits_for_the_fence_stores_nothing(database, rooms):
    writer = make_writer(database)
    await send(writer, make_message(rooms[0], "aa"))
    lane, fence = writer.lanes[0], writer.lanes[0].fence
    batch = group([Entry(make_message(rooms[0], "bb"), lambda outcome: None, 0.0)])
    query = statements.batch_statement(lane._columns, check_blocks=True)
    id_types = statements.native_types(lane._columns, check_blocks=True)
    arguments = [fence.lane_id, fence.batch_no, *direct_arguments(batch, id_types)]
    late, closing = await asyncpg.connect(database), await asyncpg.connect(database)
    async with closing.transaction():
        await closing.execute(CLOSE_FENCE, fence.lane_id, fence.batch_no)
        waiting = asyncio.create_task(late.fetchval(query, *arguments))
        await asyncio.wait({waiting}, timeout=0.2)
        assert not waiting.done()
    assert await waiting is None
    await late.close()
    await closing.close()
    await writer.stop(10.0)
    assert [row["text"] for row in await stored_rows(database)] == ["aa"]


async def test_the_writer_starts_without_a_database_and_stores_when_it_is_back(
    proxy, database, rooms, monkeypatch
):
    monkeypatch.setattr(fence_module, "STATEMENT_DEADLINE", 0.3)
    proxy.freeze()
    writer = make_writer(proxy.dsn, deadline=0.5)
    assert await send(writer, make_message(rooms[0])) == [Refused(Reason.UNAVAILABLE)]
    proxy.thaw()
    outcome = Refused(Reason.UNAVAILABLE)
    async with asyncio.timeout(10):
        while not isinstance(outcome, Stored):
            (outcome,) = await send(writer, make_message(rooms[0], "aa"))
    await writer.stop(10.0)
    assert [row["text"] for row in await stored_rows(database)] == ["aa"]
