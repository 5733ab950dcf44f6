"""Messages to groups through the batched writer, on a real PostgreSQL."""

import asyncio

import asyncpg
import pytest

from fastchat.store.batch import Duplicate, NewMessage, Reason, Refused, Stored
from fastchat.store.groups import Groups, GroupWish, Kind
from tests.functional.grouping import GROUP, insert_group, make_group, remove_member
from tests.functional.store.cutting_proxy import CuttingProxy
from tests.functional.store.reading import open_pool
from tests.functional.store.writing import append, make_message, make_rooms, make_writer, send


@pytest.fixture
async def room_id(database):
    return await make_group(database, {"1": "owner", "2": "admin", "3": "member", "4": "member"})


@pytest.fixture
async def writer(database):
    writer = make_writer(database)
    yield writer
    await writer.stop(10.0)


def to_group(room_id, sender_id, text="00ff", **fields) -> NewMessage:
    return NewMessage(room_id, GROUP, None, None, sender_id, None, None, text, "00", None, **fields)


async def rows_of(database, room_id):
    connection = await asyncpg.connect(database)
    try:
        return await connection.fetch(
            "SELECT * FROM chat_messages WHERE room_id = $1 ORDER BY seq", room_id
        )
    finally:
        await connection.close()


async def test_messages_of_members_get_positions_in_order(writer, room_id, database):
    outcomes = await send(
        writer, *(to_group(room_id, str(n % 4 + 1), f"{n:04x}") for n in range(20))
    )
    assert [outcome.seq for outcome in outcomes] == list(range(1, 21))
    assert [outcome.rev for outcome in outcomes] == list(range(2, 22))  # the group itself is rev 1
    assert {outcome.group_rev for outcome in outcomes} == {1}
    rows = await rows_of(database, room_id)
    assert [row["encrypted_content"] for row in rows] == [f"{n:04x}" for n in range(20)]
    assert {row["group_id"] for row in rows} == {GROUP}
    assert {row["recipient_id"] for row in rows} == {None}


async def test_strangers_are_refused_and_the_rest_of_the_batch_is_stored(writer, room_id):
    outcomes = await send(
        writer, to_group(room_id, "1", "01"), to_group(room_id, "9"), to_group(room_id, "2", "02")
    )
    assert outcomes[1] == Refused(Reason.NOT_MEMBER)
    assert [outcomes[0].seq, outcomes[2].seq] == [1, 2]


async def test_a_group_that_does_not_exist_has_no_members(writer, room_id):
    assert await send(writer, to_group(room_id + 1000, "1")) == [Refused(Reason.NOT_MEMBER)]


async def test_a_muted_member_is_refused(writer, database):
    room_id = await make_group(database, {"1": "owner", "3": "member"}, muted=("3",))
    assert await send(writer, to_group(room_id, "3")) == [Refused(Reason.NOT_ALLOWED)]


async def test_only_admins_announce_and_announcements_are_pinned(writer, room_id, database):
    outcomes = await send(
        writer,
        *(to_group(room_id, sender, is_announcement=True) for sender in ("1", "2", "3")),
    )
    assert [type(outcome) for outcome in outcomes] == [Stored, Stored, Refused]
    assert outcomes[2] == Refused(Reason.NOT_ALLOWED)
    rows = await rows_of(database, room_id)
    assert all(row["is_announcement"] and row["pinned_at"] == row["created_at"] for row in rows)
    assert len(rows) == 2


async def test_a_repeat_is_found_in_the_batch_and_after_it(writer, room_id):
    message = to_group(room_id, "1", client_message_id="a")
    first, second = await send(writer, message, message)
    assert isinstance(first, Stored)
    assert second == Duplicate(first.seq)
    assert await send(writer, message) == [Duplicate(first.seq)]
    (other,) = await send(writer, to_group(room_id, "2", client_message_id="a"))
    assert isinstance(other, Stored)


async def test_a_reply_to_nothing_is_refused(writer, room_id):
    assert await send(writer, to_group(room_id, "1", reply_to="x", reply_seq=7)) == [
        Refused(Reason.REPLY_MISSING)
    ]


async def test_mentions_are_stored(writer, room_id, database):
    await send(writer, to_group(room_id, "1", mentions='["2",null]'))
    assert (await rows_of(database, room_id))[0]["mentions"] == '["2",null]'


async def test_both_kinds_of_messages_share_a_lane(writer, room_id, database):
    (direct,) = await make_rooms(database, 1)
    messages = [
        to_group(room_id, "1", f"{n:04x}") if n % 2 else make_message(direct, f"{n:04x}")
        for n in range(20)
    ]
    outcomes = await send(writer, *messages)
    assert [outcome.seq for outcome in outcomes[::2]] == list(range(1, 11))
    assert [outcome.seq for outcome in outcomes[1::2]] == list(range(1, 11))
    assert writer.depth == 0


async def test_more_groups_than_one_answer_holds_go_in_several_batches(writer, database):
    connection = await asyncpg.connect(database)
    rooms = [await insert_group(connection, {"1": "owner"}, f"group_{n}") for n in range(300)]
    await connection.close()
    outcomes = await send(writer, *(to_group(room_id, "1") for room_id in rooms))
    assert {(outcome.seq, outcome.group_rev) for outcome in outcomes} == {(1, 1)}


async def test_nobody_writes_after_his_removal(database):
    """Sends and removals race on the same group: what is stored is older than the removal."""
    members = {str(n): "member" for n in range(1, 41)}
    room_id = await make_group(database, members)
    writers = [make_writer(database) for _ in range(3)]
    connection = await asyncpg.connect(database)
    removed_at: dict[str, int] = {}
    sent = []
    try:
        for number, user_id in enumerate(members):
            sent += [append(writer, to_group(room_id, user_id)) for writer in writers]
            if number % 2:  # else the removal is sent first
                await sent[-1].first.wait()
            removed_at[user_id] = await remove_member(connection, room_id, user_id)
            sent += [append(writer, to_group(room_id, user_id)) for writer in writers]
        async with asyncio.timeout(20):
            for each in sent:
                await each.first.wait()
    finally:
        await connection.close()
        for writer in writers:
            await writer.stop(10.0)
    rows = await rows_of(database, room_id)
    assert len(rows) >= 20, "the messages that were waited for"
    for row in rows:
        assert row["rev"] < removed_at[row["sender_id"]]
    stored = [each.outcomes[0] for each in sent if isinstance(each.outcomes[0], Stored)]
    assert len(stored) == len(rows)
    refused = [each.outcomes[0] for each in sent if not isinstance(each.outcomes[0], Stored)]
    assert set(refused) == {Refused(Reason.NOT_MEMBER)}


async def test_a_removal_that_the_snapshot_misses_is_noticed(database, room_id):
    """The statement waits for the room's lock while the sender is removed."""
    writer = make_writer(database)
    connection = await asyncpg.connect(database)
    watcher = await asyncpg.connect(database)
    try:
        await send(writer, to_group(room_id, "1"))  # the lane is there, its statement prepared
        transaction = connection.transaction()
        await transaction.start()
        await remove_member(connection, room_id, "3")
        waiting = append(writer, to_group(room_id, "3"))
        async with asyncio.timeout(5):
            while not await watcher.fetchval(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = "
                "(SELECT oid FROM pg_database WHERE datname = current_database()) "
                "OR NOT granted AND locktype = 'transactionid'"
            ):
                await asyncio.sleep(0)
        await transaction.commit()
        async with asyncio.timeout(5):
            await waiting.first.wait()
        assert waiting.outcomes == [Refused(Reason.NOT_MEMBER)]
    finally:
        await connection.close()
        await watcher.close()
        await writer.stop(10.0)


async def test_a_group_is_made_and_changed_once_though_answers_got_lost(database):
    """The answer to a statement is cut off; the lane finds it in its row."""
    async with CuttingProxy(database) as proxy, open_pool(database) as pool:
        writer = make_writer(proxy.dsn)
        groups = Groups(writer, pool)
        await groups.create("group_0", "Zero", "", "1", 50, ["1"])
        proxy.cut_answers = True
        group, made = await groups.create("group_1", "One", "", "1", 50, ["1", "2"])
        assert made.member_count == 2
        await groups.change(GroupWish(Kind.ADD, group, "1", "3"))
        proxy.cut_answers = True
        done = await groups.change(GroupWish(Kind.ADD, group, "1", "4"))
        assert (done.rev, done.is_new, proxy.cuts) == (3, True, 2)
        info, group_rev = await groups.find(group)
        assert (info.member_count, group_rev) == (4, 3)
        rows = await pool.fetch("SELECT FROM chat_groups", timeout=5.0, name="test")
        assert len(rows) == 2
        await writer.stop(10.0)
