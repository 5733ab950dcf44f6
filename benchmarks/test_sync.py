"""What it costs to tell a user what he missed, with few and with very many conversations.

Of his conversations ten moved on by three messages, or none did; or the client knows nothing yet
and gets the first part of everything. Beside them are as many again of other users. Wall time is
pytest-benchmark's; ``extra_info`` has the CPU time of one question in PostgreSQL's backend and in
this process, and the execution time that EXPLAIN ANALYZE tells, in microseconds.
"""

import asyncio
import json

import asyncpg
import pytest

from benchmarks.reading import Reader
from fastchat.protocol.commands import Position
from fastchat.store.backend import BackendTables
from fastchat.store.catching_up import CatchingUp
from fastchat.store.lookups import QUERY_SETTINGS

LENGTH = 10  # messages of a conversation
ROUNDS = 50
PART = 512 * 1024
USERS = {1000: "1", 10_000: "2"}

# Rooms are numbered as they began; every second one is of user 1 or 2.
FILL = f"""
CREATE TEMPORARY TABLE owners AS SELECT id AS room_id,
    CASE WHEN id % 2 = 1 THEN 'y' || id WHEN id <= 2000 THEN '1' ELSE '2' END AS user_id
    FROM generate_series(1, 22000) id;
INSERT INTO chat_rooms (room_id, seq, rev) SELECT room_id, {LENGTH}, {LENGTH} FROM owners;
INSERT INTO dm_conversations (conversation_id, room_id, user1_id, user2_id)
    SELECT 'conv_' || user_id || '_x' || room_id, room_id, user_id, 'x' || room_id FROM owners;
INSERT INTO room_members (user_id, room_id, read_seq)
    SELECT unnest(ARRAY[user_id, 'x' || room_id]), room_id, 5 FROM owners;
INSERT INTO chat_messages (room_id, seq, rev, created_at, sender_id, encrypted_content,
    encryption_iv, encryption_scheme)
SELECT room_id, seq, seq, now(), 'x' || room_id, repeat('5a', 208), repeat('1f', 16), 'cbc:'
    FROM generate_series(1, {LENGTH}) seq, owners ORDER BY seq, random();
"""


@pytest.fixture
def runner():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def reader(runner, database):
    async def prepare():
        connection = await asyncpg.connect(database)
        for table in ("room_members", "dm_conversations"):
            await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {table}_room_id_fkey")
        await connection.execute(FILL)
        await connection.execute("VACUUM ANALYZE")
        await connection.close()

    runner.run(prepare())
    reader = Reader(runner, database)
    yield reader
    reader.close()


async def explain(dsn, query, arguments):
    """Return the microseconds that the prepared query runs for, the least of several times."""
    connection = await asyncpg.connect(dsn, server_settings=QUERY_SETTINGS)
    try:
        await connection.execute(f"PREPARE it AS {query}")
        shown = ", ".join(
            f"$arg${argument}$arg$" if isinstance(argument, str) else str(argument)
            for argument in arguments
        )
        statement = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE it({shown})"
        times = []
        for _ in range(10):
            (plan,) = json.loads(await connection.fetchval(statement))
            times.append(plan["Execution Time"])
        return round(min(times) * 1000)
    finally:
        await connection.close()


@pytest.mark.parametrize("moved", ["ten", "none", "everything"])
@pytest.mark.parametrize("conversations", USERS)
def test_sync(benchmark, runner, database, reader, conversations, moved):
    user_id = USERS[conversations]
    catching_up = CatchingUp(reader.pool, BackendTables(id_type="bigint"))
    asked = []

    def ask(positions, state):
        question = catching_up.fetch(user_id, positions, state, None, limit=200, size=PART)
        return reader.run(question)

    first = ask({}, None)
    rooms = range(2, 2001, 2) if user_id == "1" else range(2002, 22_001, 2)
    positions = {f"conv_{user_id}_x{room}": Position(LENGTH, LENGTH) for room in rooms}
    assert len(positions) == conversations
    state = first.horizon
    if moved == "ten":
        for name in list(positions)[:: conversations // 10]:
            positions[name] = Position(LENGTH - 3, LENGTH - 3)
    elif moved == "everything":
        positions, state = {}, None

    def read():
        return ask(positions, state)

    for _ in range(5):
        read()
    fetch = reader.pool.fetch
    reader.pool.fetch = lambda *arguments, **options: (
        asked.append(arguments) or fetch(*arguments, **options)
    )
    with reader.costs(benchmark, lambda: ROUNDS):
        news = benchmark.pedantic(read, rounds=ROUNDS)
    assert len(asked) == ROUNDS  # one query each
    query, *arguments = asked[0]
    benchmark.extra_info["explained_us"] = runner.run(explain(database, query, arguments))
    if moved == "everything":
        assert news.is_cut
        assert all(len(room.messages) == LENGTH for room in news.rooms)
    else:
        assert len(news.rooms) == (10 if moved == "ten" else 0)
        assert all(len(room.messages) == 3 for room in news.rooms)
