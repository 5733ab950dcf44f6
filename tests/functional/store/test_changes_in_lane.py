"""Changes between batches of messages: the order of ``rev``, lost answers, deadlines."""

import asyncio
import random

import asyncpg
import pytest

from fastchat.errors import ServiceUnavailable, ValidationError
from fastchat.store import fence as fence_module
from fastchat.store.batch import Duplicate, Stored
from fastchat.store.change_statements import change_statement
from fastchat.store.changes import Changes, Deleted, Edited, Refusal, _Change
from fastchat.store.fence import CLOSE_FENCE
from fastchat.store.read_marks import Marked, ReadMarks
from tests.functional.store.changing import Sealed, at, members, open_rooms
from tests.functional.store.cutting_proxy import CuttingProxy
from tests.functional.store.reading import open_pool, tables
from tests.functional.store.writing import append, make_message, make_writer, send


@pytest.fixture
async def rooms(database):
    return await open_rooms(database, 4)


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
async def changes(writer, database):
    async with open_pool(database) as pool:
        yield Changes(writer, pool, tables("bigint"))


async def run_sql(dsn, query, *arguments):
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(query, *arguments)
    finally:
        await connection.close()


async def texts(dsn):
    rows = await run_sql(dsn, "SELECT encrypted_content FROM chat_messages ORDER BY room_id, seq")
    return [row[0] for row in rows]


async def test_messages_and_changes_are_answered_in_the_order_of_rev(writer, changes, rooms):
    room = rooms[0]
    await send(writer, *(make_message(members(room), f"{n:02x}") for n in range(8)))
    told = []
    tasks = []

    async def tell(change):
        outcome = await change
        if isinstance(outcome, Edited) or outcome.is_new:
            told.append(outcome.rev)

    for number in range(100):
        if number % 3:
            writer.append(
                make_message(members(room), f"{number:04x}"),
                lambda outcome: told.append(outcome.rev),
            )
        elif number % 2:
            edit = changes.edit(room, at(room, number % 4 + 1), "1", Sealed())
            tasks.append(asyncio.create_task(tell(edit)))
        else:
            deletion = changes.delete_for_everyone(room, at(room, 5 + number % 4), "1")
            tasks.append(asyncio.create_task(tell(deletion)))
        if number % 10 == 0:
            await asyncio.sleep(0.001)
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks)
        await send(writer, make_message(members(room), "ff"))
    assert len(told) > 80
    assert told == list(range(9, 9 + len(told)))


async def test_changes_of_many_rooms_go_in_one_statement(writer, changes, rooms):
    await send(writer, *(make_message(members(room)) for room in rooms for _ in range(3)))
    outcomes = await asyncio.gather(
        *(
            changes.edit(room, at(room, seq), room.user1_id, Sealed())
            for seq in (1, 2)
            for room in rooms
        ),
        *(changes.delete_for_everyone(room, at(room, 3), room.user1_id) for room in rooms),
        *(changes.edit(room, at(room, 4), room.user1_id, Sealed()) for room in rooms),
    )
    assert [outcome.rev for outcome in outcomes[:8]] == [4] * 4 + [5] * 4
    assert outcomes[8:12] == [Deleted(6, is_new=True)] * 4
    assert outcomes[12:] == [Refusal.NOT_FOUND] * 4
    assert changes._queues[0].runs == 1
    assert (changes.changed, changes.refused) == (12, 4)


async def test_two_changes_of_one_message_see_each_other(writer, changes, rooms, database):
    room = rooms[0]
    await send(writer, make_message(members(room), "aa"), make_message(members(room), "bb"))
    outcomes = await asyncio.gather(
        changes.edit(room, at(room, 1), "1", Sealed(encrypted_content="01")),
        changes.edit(room, at(room, 1), "1", Sealed(encrypted_content="02")),
        changes.edit(room, at(room, 2), "1", Sealed(encrypted_content="03")),
        changes.delete_for_everyone(room, at(room, 2), "1"),
        changes.edit(room, at(room, 2), "1", Sealed(encrypted_content="04")),
    )
    assert [outcome.rev for outcome in outcomes[:4]] == [3, 4, 5, 6]
    assert outcomes[4] is Refusal.NOT_FOUND
    assert await texts(database) == ["02", None]


async def test_a_deleted_message_is_still_known_by_its_client_id(writer, changes, rooms):
    message = make_message(members(rooms[0]), "aa", client_message_id="x")
    await send(writer, make_message(members(rooms[0])), message)
    await changes.delete_for_everyone(rooms[0], at(rooms[0], 2), "1")
    assert await send(writer, message) == [Duplicate(2)]


async def test_a_lost_answer_to_a_change_is_found_again(proxy, writer, changes, rooms, database):
    room = rooms[0]
    await send(writer, make_message(members(room), "aa"), make_message(members(room), "bb"))
    await changes.edit(room, at(room, 1), "1", Sealed())
    proxy.cut_answers = True
    edited, deleted = await asyncio.gather(
        changes.edit(room, at(room, 1), "1", Sealed(encrypted_content="02")),
        changes.delete_for_everyone(room, at(room, 2), "1"),
    )
    assert (edited.rev, deleted) == (4, Deleted(5, is_new=True))
    assert (proxy.cuts, writer.unknown_outcomes, changes._queues[0].retries) == (1, 1, 0)
    assert await texts(database) == ["02", None]


async def test_a_change_is_not_answered_before_its_outcome_is_known(
    proxy, database, rooms, monkeypatch
):
    monkeypatch.setattr(fence_module, "STATEMENT_DEADLINE", 0.2)
    room = rooms[0]
    writer = make_writer(proxy.dsn, deadline=0.3)
    async with open_pool(database) as pool:
        changes = Changes(writer, pool, tables("bigint"))
        await send(writer, make_message(members(room), "aa"), make_message(members(room), "bb"))
        await changes.edit(room, at(room, 1), "1", Sealed())
        proxy.cut_answers = True
        under_way = asyncio.ensure_future(changes.edit(room, at(room, 1), "1", Sealed()))
        while not proxy.cuts:
            await asyncio.sleep(0.005)
        proxy.freeze()
        # One that has not been sent is given up in time and is never made.
        with pytest.raises(ServiceUnavailable):
            await changes.delete_for_everyone(room, at(room, 2), "1")
        assert not under_way.done()
        proxy.thaw()
        async with asyncio.timeout(10):
            assert (await under_way).rev == 4
        await writer.stop(10.0)
    assert await texts(database) == ["c0de", "bb"]


async def test_a_late_copy_of_a_change_does_nothing_once_its_fence_is_closed(
    writer, changes, rooms, database
):
    room = rooms[0]
    await send(writer, make_message(members(room), "aa"))
    fence = writer.lanes[0].fence
    arguments = changes._arguments([_Change(at(room, 1), "1", "2", Sealed())])
    connection = await asyncpg.connect(database)
    await connection.execute(CLOSE_FENCE, fence.lane_id, fence.batch_no)
    late = connection.fetchval(change_statement(None), fence.lane_id, fence.batch_no, *arguments)
    assert await late is None
    assert await connection.fetchval("SELECT rev FROM chat_rooms WHERE seq = 1") == 1
    await connection.close()
    assert await texts(database) == ["aa"]


async def test_one_poisoned_edit_does_not_fail_its_neighbours(writer, changes, rooms):
    room = rooms[0]
    await send(writer, *(make_message(members(room)) for _ in range(4)))
    contents = ["01", "not\0storable", "02", "\ud800"]
    outcomes = await asyncio.gather(
        *(
            changes.edit(room, at(room, seq), "1", Sealed(encrypted_content=content))
            for seq, content in enumerate(contents, 1)
        ),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [
        Edited,
        ValidationError,
        Edited,
        ValidationError,
    ]
    assert not any("storable" in str(outcome) for outcome in outcomes)


async def test_deletions_go_on_where_edits_are_refused_without_blocks(writer, database, rooms):
    room = rooms[0]
    async with open_pool(database) as pool:
        changes = Changes(writer, pool, tables("bigint"), block_check_fail_open=False)
        await send(writer, *(make_message(members(room)) for _ in range(2)))
        await run_sql(database, "DROP TABLE blocked_relationships")
        edited, deleted = await asyncio.gather(
            changes.edit(room, at(room, 1), "1", Sealed()),
            changes.delete_for_everyone(room, at(room, 2), "1"),
            return_exceptions=True,
        )
        assert isinstance(edited, ServiceUnavailable)
        assert deleted == Deleted(3, is_new=True)


async def test_after_the_stop_nothing_is_accepted(writer, changes, rooms):
    await send(writer, make_message(members(rooms[0])))
    last = asyncio.ensure_future(changes.edit(rooms[0], at(rooms[0], 1), "1", Sealed()))
    await asyncio.sleep(0)
    await writer.stop(10.0)
    assert isinstance(await last, Edited)
    with pytest.raises(ServiceUnavailable):
        await changes.edit(rooms[0], at(rooms[0], 1), "1", Sealed())
    with pytest.raises(ServiceUnavailable):
        writer.append(make_message(members(rooms[0])), print)


async def test_a_change_whose_user_is_gone_is_not_sent(writer, changes, rooms, database):
    await send(writer, make_message(members(rooms[0]), "aa"))
    gone = asyncio.ensure_future(changes.edit(rooms[0], at(rooms[0], 1), "1", Sealed()))
    await asyncio.sleep(0)
    gone.cancel()
    assert await changes.edit(rooms[0], at(rooms[0], 2), "1", Sealed()) is Refusal.NOT_FOUND
    assert await texts(database) == ["aa"]


async def test_every_rev_is_told_exactly_once(proxy, database, rooms, caplog):
    """Writers, changes and marks on the same rooms, answers lost and backends killed at random."""
    choose = random.Random(11)
    writers = [make_writer(proxy.dsn, max_batch=8) for _ in range(3)]
    told = {room.room_id: [] for room in rooms}
    await send(writers[0], *(make_message(members(room)) for room in rooms for _ in range(20)))
    for room in rooms:
        told[room.room_id] += range(1, 21)
    late = []

    async def change(changes, room, seq):
        try:
            if choose.random() < 0.7:
                outcome = await changes.edit(room, at(room, seq), room.user1_id, Sealed())
            else:
                outcome = await changes.delete_for_everyone(room, at(room, seq), room.user1_id)
        except ServiceUnavailable:
            return
        if isinstance(outcome, Edited) or (isinstance(outcome, Deleted) and outcome.is_new):
            told[room.room_id].append(outcome.rev)

    async def act(writer, pool):
        changes, marks = Changes(writer, pool, tables("bigint")), ReadMarks(writer)
        tasks = []
        for _ in range(120):
            room = choose.choice(rooms)
            kind = choose.random()
            if kind < 0.5:
                late.append(append(writer, make_message(members(room), f"{len(late):06x}")))
            elif kind < 0.8:
                tasks.append(asyncio.create_task(change(changes, room, choose.randrange(1, 21))))
            else:
                ref = at(room, choose.randrange(1, 21))
                tasks.append(asyncio.create_task(marks.mark(room, ref, room.user2_id)))
            if choose.random() < 0.2:
                await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def kill_backends():
        admin = await asyncpg.connect(database)
        for _ in range(8):
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() "
                "AND query LIKE '%lane_commits%' ORDER BY random() LIMIT 1"
            )
            await asyncio.sleep(choose.random() / 20)
        await admin.close()

    proxy.cut_every = 23
    async with open_pool(database) as pool, asyncio.timeout(60):
        await asyncio.gather(kill_backends(), *(act(writer, pool) for writer in writers))
        for writer in writers:
            await writer.stop(30.0)
    for sent in late:
        told[sent.message.room_id] += [
            outcome.rev for outcome in sent.outcomes if isinstance(outcome, Stored)
        ]
    for row in await run_sql(database, "SELECT room_id, rev FROM chat_rooms"):
        assert sorted(told[row["room_id"]]) == list(range(1, row["rev"] + 1))
    assert proxy.cuts > 3
    assert "bug" not in caplog.text


async def test_marks_and_changes_share_a_lane(writer, changes, rooms):
    room = rooms[0]
    marks = ReadMarks(writer)
    await send(writer, *(make_message(members(room)) for _ in range(3)))
    deleted, marked = await asyncio.gather(
        changes.delete_for_everyone(room, at(room, 3), "1"), marks.mark(room, at(room, 2), "2")
    )
    assert (deleted, marked) == (Deleted(4, is_new=True), Marked(True, 2))
