"""Pages of 50 in a conversation of a million messages, in a table of ten million.

A group of 50 members; every tenth message has reactions and every twentieth mentions; the reader
removed every hundredth for himself, and every five hundredth was deleted for everyone. Its messages
lie between those of 81 000 other conversations, one or two on a database page. Shown is the time
that PostgreSQL takes to execute the one query of a page, at the end and deep inside, names and all:
the least and the median of many runs, on cached data.

    make bench-deep [ROWS=10000000]
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import asyncpg

from fastchat.store import migrations
from fastchat.store.backend import BackendTables
from fastchat.store.embedded import EmbeddedPostgres
from fastchat.store.history import History
from fastchat.store.lookups import QUERY_SETTINGS
from fastchat.store.pool import Pool

CHUNK = 500_000  # rows in one statement
RUNS = 200
READER = "1"
MEMBERS = 50
OTHER_ROOMS = 90_000

BACKEND = f"""
CREATE TABLE users_auth (user_id bigint PRIMARY KEY, username text, email text);
INSERT INTO users_auth SELECT n, 'user' || n FROM generate_series(1, {MEMBERS}) n;
"""
ROOMS = f"""
INSERT INTO chat_rooms (room_id, seq, rev, group_rev)
    SELECT n, CASE n WHEN 1 THEN $1::bigint / 10 ELSE 1000 END, $1::bigint, 1
    FROM generate_series(1, {OTHER_ROOMS} + 1) n
"""
GROUP = f"""
INSERT INTO chat_groups (group_id, room_id, group_name, created_by) VALUES ('group_1', 1, 'G', '1');
INSERT INTO group_participants (room_id, user_id)
    SELECT 1, n::text FROM generate_series(1, {MEMBERS}) n;
INSERT INTO room_members (room_id, user_id, read_seq)
    SELECT 1, n::text, 10 FROM generate_series(1, {MEMBERS}) n;
"""
# Row n: every tenth belongs to the group, in the order in which they came in.
MESSAGES = f"""
INSERT INTO chat_messages (room_id, seq, rev, created_at, sender_id, group_id, conversation_id,
    encrypted_content, encryption_iv, encryption_scheme, changed_rev, is_deleted, mentions)
SELECT CASE WHEN is_in THEN 1 ELSE 2 + n % {OTHER_ROOMS} END,
    CASE WHEN is_in THEN n / 10 ELSE 1 + n / {OTHER_ROOMS} END,
    n, now(), (1 + n / 10 % {MEMBERS})::text, 'group_1', 'group_1',
    repeat('5a', 208), repeat('1f', 16), 'cbc:',
    CASE WHEN is_in AND n % 100 = 0 THEN n END, is_in AND n % 5000 = 0,
    CASE WHEN is_in AND n % 200 = 0 THEN '["2",null,"3"]' END
FROM (SELECT n, n % 10 = 0 AS is_in FROM generate_series($1::bigint, $2::bigint) n) g
"""
REACTIONS = """
INSERT INTO chat_reactions (room_id, seq, user_id, reaction)
    SELECT 1, seq, user_id::text, '+1'
    FROM generate_series(10, $1::bigint / 10, 10) seq, generate_series(1, 3) user_id
"""
REMOVALS = f"""
INSERT INTO message_removals (user_id, room_id, seq)
    SELECT '{READER}', 1, seq FROM generate_series(100, $1::bigint / 10, 100) seq
"""


async def fill(dsn: str, rows: int) -> None:
    connection = await asyncpg.connect(dsn)
    await migrations.migrate(connection)
    await connection.execute(BACKEND)
    await connection.execute("SET synchronous_commit = off")
    await connection.execute(ROOMS, rows)
    await connection.execute(GROUP)
    started = time.monotonic()
    for first in range(1, rows + 1, CHUNK):
        last = min(first + CHUNK - 1, rows)
        await connection.execute(MESSAGES, first, last)
        print(f"\r{last:>12,} rows, {time.monotonic() - started:.0f} s", end="", flush=True)
    print()
    await connection.execute(REACTIONS, rows)
    await connection.execute(REMOVALS, rows)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


async def measure(dsn: str, rows: int) -> None:
    pool = Pool({"dsn": dsn, "server_settings": QUERY_SETTINGS}, min_size=1, max_size=1)
    await pool.start()
    history = History(pool, BackendTables(id_type="bigint"))
    connection = await asyncpg.connect(dsn, server_settings=QUERY_SETTINGS)
    size = await connection.fetchval(
        "SELECT pg_size_pretty(pg_total_relation_size('chat_messages'))"
    )
    print(f"table with its indexes: {size}")
    middle = rows // 20
    places = {
        "end": (history.pages_back_query, 0, 1 << 62),
        f"offset {middle:,}": (history.pages_back_query, middle, 1 << 62),
        f"before {middle:,}": (history.pages_back_query, 0, middle),
        f"after {middle:,}": (history.pages_forward_query, middle, 1 << 62),
    }
    print(f"{'place':>20} {'min ms':>8} {'median ms':>10}")
    for name, (query, start, before) in places.items():
        await connection.execute(f"PREPARE page AS {query}")
        call = (
            "EXPLAIN (ANALYZE, TIMING OFF) EXECUTE page("
            f"ARRAY[0], ARRAY[1]::bigint[], ARRAY['{READER}'], ARRAY[51], "
            f"ARRAY[{start}]::bigint[], ARRAY[{before}]::bigint[])"
        )
        times = []
        for _ in range(RUNS):
            plan = await connection.fetch(call)
            times.append(float(plan[-1][0].split()[2]))
        await connection.execute("DEALLOCATE page")
        print(f"{name:>20} {min(times):8.3f} {statistics.median(times):10.3f}")
    page = await history.page(1, READER, 50, offset=middle)
    assert len(page.messages) == 50
    assert page.has_more
    assert any(row.reactions for row in page.messages)
    assert any(row.mentions for row in page.messages)
    assert all(row.username for row in page.messages)
    await connection.close()
    await pool.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="fastchat-deep-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres(Path(folder) / "data") as postgres:
            asyncio.run(fill(postgres.dsn, rows))
            asyncio.run(measure(postgres.dsn, rows))


if __name__ == "__main__":
    main()
