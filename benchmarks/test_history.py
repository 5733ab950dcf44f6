"""What a page of 50 messages costs, at the end of a conversation of 100 000 and deep inside.

Wall time is pytest-benchmark's; ``extra_info`` has the CPU time of one page in PostgreSQL's backend
and in this process, in microseconds. Decryption and encoding are only in ``test_pages_together``.
"""

import asyncio
import json
import random

import asyncpg
import pytest

from benchmarks.reading import Reader
from fastchat.handlers.rows import RowEncoder
from fastchat.protocol.events import encode_messages_page
from fastchat.store.backend import BackendTables
from fastchat.store.cipher import Cipher, KeyRing
from fastchat.store.history import PAGES_PER_QUERY, History
from fastchat.store.rooms import Room

MESSAGES = 100_000
OTHERS = 2_000  # conversations beside it, of 20 messages each
ROUNDS = 200
TEXT = "x" * 200

FILL = """
INSERT INTO chat_rooms (room_id, seq, rev)
    SELECT id, CASE id WHEN 1 THEN $1::int ELSE 20 END, 1 FROM generate_series(1, $2::int + 1) id;
"""
FILL_MEMBERS = """
INSERT INTO room_members (user_id, room_id, read_seq)
    SELECT u, id, 10 FROM unnest('{1,2}'::text[]) u, generate_series(1, $1::int + 1) id
"""
# Stored as they came in, the messages of a conversation lie between those of others.
FILL_MESSAGES = """
INSERT INTO chat_messages
    (room_id, seq, rev, created_at, sender_id, client_message_id, encrypted_content, encryption_iv)
SELECT room_id, seq, seq, now(), (1 + seq % 2)::text, 'm-' || seq, $3::text, $4::text
FROM (
    SELECT 1 AS room_id, seq, seq * 1.0 / $1 AS moment FROM generate_series(1, $1::int) seq
    UNION ALL
    SELECT id, seq, random() FROM generate_series(2, $2::int + 1) id, generate_series(1, 20) seq
) m ORDER BY moment
"""
PLACES = {
    "end": {},
    "offset_90000": {"offset": 90_000},
    "before_500": {"before": 500},
    "after_500": {"after": 500},
}


@pytest.fixture
def runner():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def cipher():
    return Cipher(KeyRing("a key for benchmarks, of 32 chars"))


@pytest.fixture
def reader(runner, database, cipher):
    sealed = cipher.seal(TEXT, "conv_1_2", "1")

    async def prepare():
        connection = await asyncpg.connect(database)
        await connection.execute(
            "ALTER TABLE room_members DROP CONSTRAINT room_members_room_id_fkey"
        )
        await connection.execute(FILL.replace("$1", str(MESSAGES)).replace("$2", str(OTHERS)))
        await connection.execute(FILL_MEMBERS, OTHERS)
        await connection.execute(
            FILL_MESSAGES, MESSAGES, OTHERS, sealed.encrypted_content, sealed.encryption_iv
        )
        await connection.execute("VACUUM ANALYZE")
        await connection.close()

    runner.run(prepare())
    reader = Reader(runner, database)
    yield reader
    reader.close()


@pytest.mark.parametrize("hidden", [0, 1000])
@pytest.mark.parametrize("place", PLACES)
def test_page(benchmark, reader, place, hidden):
    if hidden:
        reader.run(
            reader.pool.execute(
                "UPDATE chat_messages SET is_deleted = true WHERE room_id = 1 AND seq % 100 = 1"
            )
        )
    history = History(reader.pool, BackendTables(id_type="bigint"))

    def read():
        return reader.run(history.page(1, "1", 50, **PLACES[place]))

    for _ in range(10):
        read()
    with reader.costs(benchmark, lambda: ROUNDS):
        page = benchmark.pedantic(read, rounds=ROUNDS)
    assert len(page.messages) == 50
    assert page.has_more


def test_pages_together(benchmark, reader, cipher):
    """As many pages as one query brings, at places of their own, as their readers get them."""
    history = History(reader.pool, BackendTables(id_type="bigint"))
    encoder = RowEncoder(cipher)
    room = Room(1, "conv_1_2", "1", "2")
    places = random.Random(1)

    async def show(before):
        page = await history.page(1, "1", 50, before=before)
        messages = encoder.encode(room, page.messages)
        return encode_messages_page(
            room.conversation_id, messages, limit=50, offset=0, has_more=page.has_more
        )

    async def show_all():
        return await asyncio.gather(
            *(show(place) for place in places.sample(range(100, MESSAGES), PAGES_PER_QUERY))
        )

    def read():
        return reader.run(show_all())

    for _ in range(10):
        read()
    with reader.costs(benchmark, lambda: ROUNDS * PAGES_PER_QUERY):
        payloads = benchmark.pedantic(read, rounds=ROUNDS)
    messages = [message for payload in payloads for message in json.loads(payload)["messages"]]
    assert len(messages) == 50 * PAGES_PER_QUERY
    assert {message["content"] for message in messages} == {TEXT}
    assert cipher.undecryptable == 0
