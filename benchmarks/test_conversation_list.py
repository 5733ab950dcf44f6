"""What a page of 50 conversations costs, for users with few and with very many of them.

Beside them are as many again of other users, with ten messages in each, five of them unread. One
conversation is long; in "behind" all 50 of a user are, and he has read nothing of it. Wall time is
pytest-benchmark's; ``extra_info`` has the CPU time of one page in PostgreSQL's backend and in this
process, in microseconds.
"""

import asyncio

import asyncpg
import pytest

from benchmarks.reading import Reader
from fastchat.store.backend import BackendTables
from fastchat.store.conversation_list import MOST_UNREAD, ConversationList

MOST = 10_000  # conversations of the user with the most
LONG = 20_000  # messages
ROUNDS = 100

# Rooms are numbered as they began; every second one is of user 1, 2 or 3. The order of their last
# messages has nothing to do with that.
FILL = f"""
INSERT INTO chat_rooms (room_id, seq, rev, last_at)
    SELECT id, 10, 10, now() - random() * interval '300 days' FROM generate_series(1, {{rooms}}) id;
INSERT INTO dm_conversations (conversation_id, room_id, user1_id, user2_id)
    SELECT 'conv_' || id, id, {{owner}}, 'x' || id FROM generate_series(1, {{rooms}}) id;
INSERT INTO room_members (user_id, room_id, read_seq)
    SELECT unnest(ARRAY[{{owner}}, 'x' || id]), id, 5 FROM generate_series(1, {{rooms}}) id;
INSERT INTO chat_messages (room_id, seq, rev, created_at, sender_id, encrypted_content,
    encryption_iv, encryption_scheme)
SELECT id, seq, seq, now(), 'x' || id, repeat('5a', 208), repeat('1f', 16), 'cbc:'
    FROM generate_series(1, 10) seq, generate_series(1, {{rooms}}) id ORDER BY seq, random();
UPDATE chat_rooms SET seq = {LONG}, rev = {LONG}, last_at = now() WHERE room_id = 2;
"""
OWNER = """CASE WHEN id % 2 = 1 THEN 'y' || id
    WHEN id <= 100 THEN '1' WHEN id <= 2100 THEN '2' ELSE '3' END"""
LENGTHEN = """
INSERT INTO chat_messages (room_id, seq, rev, created_at, sender_id, encrypted_content,
    encryption_iv, encryption_scheme)
SELECT id, seq, seq, now(), 'x' || id, repeat('5a', 208), repeat('1f', 16), 'cbc:'
FROM generate_series(11, {length}) seq, unnest($1::bigint[]) id ORDER BY seq, random()
"""
USERS = {"50": "1", "1000": "2", "10000": "3"}


@pytest.fixture
def runner():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def reader(runner, database):
    async def prepare():
        rooms = 2 * (50 + 1000 + MOST)
        connection = await asyncpg.connect(database)
        for table in ("room_members", "dm_conversations"):
            await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {table}_room_id_fkey")
        await connection.execute(FILL.format(rooms=rooms, owner=OWNER))
        await connection.execute(LENGTHEN.format(length=LONG), [2])
        await connection.execute("VACUUM ANALYZE")
        await connection.close()

    runner.run(prepare())
    reader = Reader(runner, database)
    yield reader
    reader.close()


def measure(benchmark, reader, user_id, **arguments):
    conversations = ConversationList(reader.pool, BackendTables(id_type="bigint"))

    def read():
        return reader.run(conversations.page(user_id, 50, **arguments))

    for _ in range(10):
        read()
    with reader.costs(benchmark, lambda: ROUNDS):
        return benchmark.pedantic(read, rounds=ROUNDS)


@pytest.mark.parametrize("offset", [0, 900])
@pytest.mark.parametrize("conversations", USERS)
def test_list(benchmark, reader, conversations, offset):
    page = measure(benchmark, reader, USERS[conversations], offset=offset)
    expected = min(50, max(0, int(conversations) - offset))
    assert len(page.entries) == expected
    assert page.has_more == (int(conversations) > offset + 50)


def test_behind(benchmark, reader):
    rooms = list(range(4, 101, 2))  # those of user 1, but the one that is long already
    reader.run(reader.pool.execute(LENGTHEN.format(length=2 * MOST_UNREAD), rooms))
    moved = "UPDATE chat_rooms SET seq = $1 WHERE room_id = ANY ($2::bigint[])"
    reader.run(reader.pool.execute(moved, 2 * MOST_UNREAD, rooms))
    page = measure(benchmark, reader, "1")
    assert {entry.unread_count for entry in page.entries} == {MOST_UNREAD}
