"""The batched writer on a real PostgreSQL."""

import asyncio
import random
import re

import asyncpg
import pytest

from fastchat.errors import ServiceUnavailable
from fastchat.store.batch import Duplicate, Reason, Refused, Stored
from fastchat.store.group_send_statement import GROUP_BATCH
from fastchat.store.single_statement import single_statement
from fastchat.store.statements import batch_statement
from fastchat.store.writer import MessageWriter
from tests.functional.store.writing import (
    Columns,
    append,
    check_history,
    connect_lane,
    make_message,
    make_rooms,
    make_writer,
    send,
    stored_rows,
)


@pytest.fixture
async def rooms(database):
    return await make_rooms(database, 8)


@pytest.fixture
async def writer(database):
    writer = make_writer(database)
    yield writer
    await writer.stop(10.0)


async def run_sql(dsn, query, *arguments):
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(query, *arguments)
    finally:
        await connection.close()


async def test_messages_get_positions_in_the_order_of_their_arrival(writer, rooms, database):
    messages = [make_message(rooms[n % 2], f"{n:04x}", back=n % 3 == 0) for n in range(40)]
    outcomes = await send(writer, *messages)
    for start in (0, 1):
        assert [outcome.seq for outcome in outcomes[start::2]] == list(range(1, 21))
    rows = await stored_rows(database)
    assert [row["text"] for row in rows[:20]] == [f"{n:04x}" for n in range(0, 40, 2)]


async def test_whoever_sends_the_answers_is_told_after_each_batch(rooms, database):
    sent = []
    answered = []
    writer = MessageWriter(lambda: connect_lane(database), Columns(), max_batch=2)
    writer.start(lambda: answered.append(sum(len(one.outcomes) for one in sent)))
    sent += [append(writer, make_message(rooms[n], f"{n:02x}")) for n in range(5)]
    async with asyncio.timeout(20):
        for one in sent:
            await one.first.wait()
    assert answered == [2, 4, 5]
    await writer.stop(10.0)


async def test_a_repeated_client_id_is_answered_with_the_first_message(writer, rooms, database):
    first, repeat, other = await send(
        writer,
        make_message(rooms[0], "aa", client_message_id="x"),
        make_message(rooms[0], "bb", client_message_id="x"),
        make_message(rooms[0], "cc"),
    )
    assert (first.seq, repeat, other.seq) == (1, Duplicate(1), 2)
    later, fresh = await send(
        writer,
        make_message(rooms[0], "dd", client_message_id="x"),
        make_message(rooms[0], "ee", client_message_id="y"),
    )
    assert (later, fresh.seq) == (Duplicate(1), 3)
    assert len(await stored_rows(database)) == 3


async def test_a_client_id_is_known_per_sender_and_room(writer, rooms):
    outcomes = await send(
        writer,
        make_message(rooms[0], "aa", client_message_id="x"),
        make_message(rooms[0], "bb", client_message_id="x", back=True),
        make_message(rooms[1], "cc", client_message_id="x"),
    )
    assert [outcome.seq for outcome in outcomes] == [1, 2, 1]


@pytest.mark.parametrize("direction", [(1, 2), (2, 1)])
async def test_a_block_either_way_refuses_the_room_and_not_its_neighbours(
    writer, rooms, database, direction
):
    await run_sql(database, "INSERT INTO blocked_relationships VALUES ($1, $2)", *direction)
    blocked, stored = await send(writer, make_message(rooms[0]), make_message(rooms[1], "aa"))
    assert blocked == Refused(Reason.BLOCKED)
    assert stored.seq == 1
    await run_sql(database, "DELETE FROM blocked_relationships")
    (outcome,) = await send(writer, make_message(rooms[0]))
    assert outcome.seq == 1


async def test_an_unknown_user_is_refused(writer, rooms):
    unknown = (rooms[0][0], "1", "0002")
    assert await send(writer, make_message(unknown)) == [Refused(Reason.UNKNOWN_RECIPIENT)]


async def test_a_fallback_user_is_known(writer, rooms, database):
    await run_sql(database, "INSERT INTO chat_users (user_id, username) VALUES ('guest', 'guest')")
    (outcome,) = await send(writer, make_message((rooms[0][0], "1", "guest")))
    assert outcome.seq == 1


async def test_a_reply_to_nothing_is_refused_and_the_rest_of_the_room_stored(writer, rooms):
    outcomes = await send(
        writer,
        make_message(rooms[0], "aa"),
        make_message(rooms[0], "bb", reply_to="x", reply_seq=7),
        make_message(rooms[0], "cc"),
    )
    assert [type(outcome) for outcome in outcomes] == [Stored, Refused, Stored]
    assert outcomes[1] == Refused(Reason.REPLY_MISSING)
    assert outcomes[2].seq == 2
    (reply,) = await send(writer, make_message(rooms[0], "dd", reply_to="x", reply_seq=2))
    assert reply.seq == 3


async def test_a_guessed_id_is_no_reply_to_oneself(writer, rooms):
    message = make_message(rooms[0], reply_to="x", reply_seq=1)
    assert await send(writer, message) == [Refused(Reason.REPLY_MISSING)]


async def test_one_poisoned_message_does_not_fail_its_neighbours(writer, rooms):
    poisoned = make_message(rooms[0], "not\0storable")
    outcomes = await send(
        writer, make_message(rooms[0], "aa"), poisoned, make_message(rooms[1], "bb")
    )
    assert outcomes[1] == Refused(Reason.INVALID)
    assert (outcomes[0].seq, outcomes[2].seq) == (1, 1)


@pytest.mark.parametrize("id_type", ["integer", "bigint", "text", "uuid", None])
async def test_members_are_found_in_every_type_of_id(database, rooms, id_type):
    users = {
        "uuid": ("0b0e4b4e-0000-4000-8000-000000000001", "0b0e4b4e-0000-4000-8000-000000000002"),
        None: ("guest1", "guest2"),
    }.get(id_type, ("1", "2"))
    if id_type in ("integer", "text", "uuid"):
        await run_sql(database, "TRUNCATE users_auth")
        await run_sql(
            database,
            f"ALTER TABLE users_auth ALTER user_id TYPE {id_type} USING NULL::{id_type}",
        )
        await run_sql(
            database,
            f"INSERT INTO users_auth SELECT u::{id_type}, u FROM unnest($1::text[]) u",
            list(users),
        )
    elif id_type is None:
        await run_sql(database, "DROP TABLE users_auth")
        await run_sql(
            database,
            "INSERT INTO chat_users (user_id, username) SELECT u, u FROM unnest($1::text[]) u",
            list(users),
        )
    writer = make_writer(database, Columns(id_type, "bigint"))
    known, unknown = await send(
        writer,
        make_message((rooms[0][0], *users)),
        make_message((rooms[1][0], users[0], "nobody")),
    )
    await writer.stop(10.0)
    assert known.seq == 1
    assert unknown == Refused(Reason.UNKNOWN_RECIPIENT)


async def test_messages_pass_when_only_the_blocks_cannot_be_read(writer, rooms, database):
    await run_sql(database, "DROP TABLE blocked_relationships")
    (outcome,) = await send(writer, make_message(rooms[0]))
    assert outcome.seq == 1
    assert writer.lanes[0].block_check_fail_opens == 1


async def test_another_table_that_cannot_be_read_is_not_taken_for_the_blocks(
    writer, rooms, database
):
    await run_sql(database, "ALTER TABLE chat_messages RENAME COLUMN sender_id TO sender")
    assert await send(writer, make_message(rooms[0], "aa")) == [Refused(Reason.UNAVAILABLE)]
    assert writer.block_check_fail_opens == 0
    await run_sql(database, "ALTER TABLE chat_messages RENAME COLUMN sender TO sender_id")
    (outcome,) = await send(writer, make_message(rooms[0], "bb"))
    assert outcome.seq == 1


async def test_messages_are_refused_without_blocks_when_told_so(database, rooms):
    await run_sql(database, "DROP TABLE blocked_relationships")
    writer = make_writer(database, block_check_fail_open=False)
    assert await send(writer, make_message(rooms[0])) == [Refused(Reason.UNAVAILABLE)]
    await writer.stop(10.0)


async def test_a_completion_that_fails_does_not_stop_the_lane(writer, rooms, caplog):
    def fail(outcome):
        raise ZeroDivisionError

    writer.append(make_message(rooms[0]), fail)
    (outcome,) = await send(writer, make_message(rooms[0], "aa"))
    assert outcome.seq == 2
    assert "a completion failed" in caplog.text


async def test_what_is_beyond_the_bound_is_not_accepted(database, rooms):
    writer = make_writer(database, max_pending=2)
    sent = [append(writer, make_message(rooms[0], f"{n}")) for n in range(2)]
    with pytest.raises(ServiceUnavailable):
        writer.append(make_message(rooms[0]), lambda outcome: None)
    await writer.stop(10.0)
    assert [each.outcomes[0].seq for each in sent] == [1, 2]


async def test_stop_stores_everything_that_was_accepted(database, rooms):
    writer = make_writer(database, max_batch=16)
    sent = [append(writer, make_message(rooms[n % 8], f"{n:x}")) for n in range(500)]
    await writer.stop(10.0)
    check_history(await stored_rows(database), sent)
    assert all(isinstance(each.outcomes[0], Stored) for each in sent)


async def test_many_writers_leave_no_gap_and_lose_nothing(database, rooms, caplog):
    """Concurrent lanes on the same rooms, repeated client ids, backends killed at random."""
    choose = random.Random(7)
    writers = [make_writer(database, lanes=2, max_batch=32) for _ in range(4)]
    sent = []

    async def send_some(writer, name):
        for number in range(250):
            room = choose.choice(rooms)
            # Few client ids, so that writers repeat each other's, in a batch and across batches.
            client_id = choose.choice([None, f"c{choose.randrange(60)}"])
            text = f"{name:x}{number:04x}"
            message = make_message(room, text, back=choose.random() < 0.5)
            message.client_message_id = client_id
            sent.append(append(writer, message))
            if choose.random() < 0.2:
                await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def kill_backends():
        admin = await asyncpg.connect(database)
        for _ in range(12):
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() "
                "ORDER BY random() LIMIT 2"
            )
            await asyncio.sleep(choose.random() / 20)
        await admin.close()

    await asyncio.gather(
        kill_backends(), *(send_some(writer, name) for name, writer in enumerate(writers, 1))
    )
    for writer in writers:
        await writer.stop(30.0)
    check_history(await stored_rows(database), sent)
    answered = [each.outcomes[0] for each in sent]
    assert sum(isinstance(outcome, Stored) for outcome in answered) > 100
    assert sum(isinstance(outcome, Duplicate) for outcome in answered) > 40
    lanes = [lane for writer in writers for lane in writer.lanes]
    assert sum(lane.unknown_outcomes for lane in lanes) > 0
    assert not any(outcome == Refused(Reason.INVALID) for outcome in answered)
    assert "bug" not in caplog.text


@pytest.mark.parametrize("rows", [0, 50, 200, 300, 3000])
@pytest.mark.parametrize(
    "query",
    [
        batch_statement(Columns(), check_blocks=True),
        single_statement(Columns(), check_blocks=True),
        GROUP_BATCH,
    ],
    ids=["batch", "single", "group"],
)
async def test_client_ids_are_found_by_their_index_whatever_the_size_when_planned(
    database, query, rows
):
    filling = await connect_lane(database)
    await filling.execute(
        """INSERT INTO chat_messages (room_id, seq, rev, created_at, conversation_id, sender_id,
            recipient_id, client_message_id, content, is_encrypted)
        SELECT n % 50, n, n, now(), 'conv_1_2', '1', '2', repeat('x', 30) || n, 'text', false
        FROM generate_series(1, $1::int) n""",
        rows,
    )
    await filling.close()
    connection = await connect_lane(database)
    await connection.execute(f"PREPARE planned AS {query}")
    count = max(int(number) for number in re.findall(r"\$(\d+)", query))
    nothing = ", ".join(["NULL"] * count)
    plan = "\n".join(
        row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE planned ({nothing})")
    )
    await connection.close()
    assert "chat_messages_client_id on chat_messages" in plan, plan
