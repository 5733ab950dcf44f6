"""``fastchat adopt`` on ten million messages, killed in the middle, while somebody writes.

A tenth of the messages is in 2000 groups of 20, one in a hundred in one conversation, the rest in
90 000 others. Every message has its plaintext beside the ciphertext, of 40 to 240 characters; every
twentieth has a reaction. A writer sends, edits, reads, reacts and deletes, some fifty changes in a
second, from before the copy until the switch. The copy is killed with SIGKILL once 40 % of the
messages are there, and started again.

    python -m benchmarks.adopt_ten_million [--rows 10000000] [--folder FOLDER]

With a folder the database stays there, and is used again by the next run if that one did not get
as far as the switch.
"""

import argparse
import asyncio
import base64
import os
import random
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

import asyncpg
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fastchat.store.cipher import derive_key
from fastchat.store.embedded import EmbeddedPostgres

KEY = "a key for tests, 32 characters !"
CHUNK = 500_000  # rows in one statement
TEXTS = 5000  # different ones
GROUPS = 2000
MEMBERS = 20
PAIRS = 90_000
USERS = 20_000
SHARED_BUFFERS = "2GB"
SLICE = "50000"
PAUSE = 0.02  # seconds between two changes of the writer
KILLED_AT = 0.4

TABLES = """
CREATE TABLE users_auth (user_id integer PRIMARY KEY, username text, email text);
CREATE TABLE dm_conversations (conversation_id varchar(255) PRIMARY KEY, user1_id integer,
    user2_id integer, created_at timestamptz DEFAULT now());
CREATE TABLE chat_groups (group_id varchar(255) PRIMARY KEY, group_name varchar(255),
    group_description text, created_by integer, max_members integer,
    created_at timestamptz DEFAULT now());
CREATE TABLE group_participants (group_id varchar(255), user_id integer, role varchar(20),
    joined_at timestamptz DEFAULT now(), PRIMARY KEY (group_id, user_id));
CREATE TABLE chat_messages (message_id uuid PRIMARY KEY, conversation_id varchar(255),
    sender_id integer, recipient_id integer, group_id varchar(255), content text,
    encrypted_content text, encryption_iv varchar(255), is_encrypted boolean, reply_to uuid,
    created_at timestamptz, updated_at timestamptz, is_read boolean);
CREATE TABLE chat_reactions (id bigserial PRIMARY KEY, message_id uuid, user_id integer,
    reaction varchar(16), created_at timestamptz DEFAULT now());
CREATE TABLE message_removals (message_id uuid, user_id integer,
    deleted_at timestamptz DEFAULT now(), PRIMARY KEY (message_id, user_id));
CREATE TABLE conversation_removals (conversation_id varchar(255), user_id integer,
    deleted_at timestamptz DEFAULT now(), PRIMARY KEY (conversation_id, user_id));
CREATE TABLE offline_events (id bigserial PRIMARY KEY, user_id integer, event_type varchar(50),
    event_data jsonb, created_at timestamptz DEFAULT now(), delivered_at timestamptz);
CREATE TABLE texts (n integer PRIMARY KEY, content text, encrypted text, iv text);
"""
ROOMS = f"""
INSERT INTO users_auth SELECT n, 'user' || n FROM generate_series(1, {USERS}) n;
INSERT INTO chat_groups (group_id, group_name, created_by, max_members)
    SELECT 'group_' || n, 'Group ' || n, 1 + n % {USERS}, 50
    FROM generate_series(0, {GROUPS - 1}) n;
INSERT INTO group_participants (group_id, user_id, role)
    SELECT 'group_' || n, 1 + (n + m) % {USERS}, CASE m WHEN 0 THEN 'owner' ELSE 'member' END
    FROM generate_series(0, {GROUPS - 1}) n, generate_series(0, {MEMBERS - 1}) m;
"""
# Message n: the pair is made of two users that differ.
MESSAGES = f"""
INSERT INTO chat_messages
SELECT gen_random_uuid(),
    CASE WHEN is_in THEN 'group_' || grp ELSE 'conv_' || least(a, b) || '_' || greatest(a, b) END,
    CASE WHEN g.n % 2 = 0 THEN a ELSE b END,
    CASE WHEN NOT is_in THEN CASE WHEN g.n % 2 = 0 THEN b ELSE a END END,
    CASE WHEN is_in THEN 'group_' || grp END,
    t.content, t.encrypted, t.iv, true, NULL,
    '2024-01-01'::timestamptz + g.n * interval '5 seconds', NULL, g.n < $3::bigint * 0.98
FROM (
    SELECT n, n % 10 = 3 AS is_in, n / 10 % {GROUPS} AS grp, 1 + pair % {USERS} AS a,
        1 + (pair % {USERS} + 1 + pair / {USERS}) % {USERS} AS b
    FROM (SELECT n, CASE WHEN n % 100 = 0 THEN 0 ELSE n * 7919 % {PAIRS} END AS pair
        FROM generate_series($1::bigint, $2::bigint) n) g
) g JOIN texts t ON t.n = g.n % {TEXTS}
"""
OTHERS = """
INSERT INTO dm_conversations SELECT DISTINCT ON (conversation_id) conversation_id,
    least(sender_id, recipient_id), greatest(sender_id, recipient_id), created_at
    FROM chat_messages WHERE group_id IS NULL ORDER BY conversation_id, created_at;
INSERT INTO chat_reactions (message_id, user_id, reaction)
    SELECT message_id, sender_id, '+1' FROM chat_messages
    WHERE get_byte(uuid_send(message_id), 0) < 13;
INSERT INTO message_removals (message_id, user_id)
    SELECT message_id, sender_id FROM chat_messages WHERE get_byte(uuid_send(message_id), 1) < 2;
INSERT INTO offline_events (user_id, event_type, event_data)
    SELECT n, 'message_edited', json_build_object('type', 'message_edited', 'messageId', n)
    FROM generate_series(1, 10000) n;
CREATE INDEX ON chat_messages (conversation_id);
CREATE INDEX ON chat_messages (created_at);
CREATE INDEX ON chat_reactions (message_id);
"""


def texts() -> list[tuple[int, str, str, str]]:
    """Return texts as the previous server sealed them."""
    key = derive_key(KEY, "salt")
    found = []
    for n in range(TEXTS):
        content = f"Message {n}: " + "lorem ipsum " * (2 + n % 18)
        iv = os.urandom(16)
        padder = padding.PKCS7(128).padder()
        padded = padder.update(content.encode()) + padder.finalize()
        encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
        found.append(
            (n, content, (encryptor.update(padded) + encryptor.finalize()).hex(), iv.hex())
        )
    return found


async def fill(dsn: str, rows: int) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(TABLES)
    await connection.execute("SET synchronous_commit = off")
    await connection.copy_records_to_table("texts", records=texts())
    await connection.execute("ANALYZE texts")
    await connection.execute(ROOMS)
    started = time.monotonic()
    for first in range(1, rows + 1, CHUNK):
        last = min(first + CHUNK - 1, rows)
        await connection.execute(MESSAGES, first, last, rows)
        print(f"filled {last:,} rows, {time.monotonic() - started:.0f} s", flush=True)
    await connection.execute(OTHERS)
    await connection.execute("VACUUM ANALYZE")
    size = await connection.fetchval("SELECT pg_size_pretty(pg_database_size(current_database()))")
    print(f"the old database: {size}", flush=True)
    await connection.close()


async def write(dsn: str, counts: dict[str, int]) -> None:
    """Be the previous server until cancelled; its longest wait is a figure, too."""
    connection = await asyncpg.connect(dsn)
    sample = await connection.fetch(
        "SELECT message_id FROM chat_messages TABLESAMPLE SYSTEM (0.1) LIMIT 20000"
    )
    ids = [row[0] for row in sample]
    send = """INSERT INTO chat_messages SELECT gen_random_uuid(), 'conv_1_2', 1, 2, NULL, t.content,
        t.encrypted, t.iv, true, NULL, now() - $2::float * interval '1 second', NULL, false
        FROM texts t WHERE t.n = $1"""
    edit = """UPDATE chat_messages m SET content = t.content, encrypted_content = t.encrypted,
        encryption_iv = t.iv, updated_at = now() FROM texts t
        WHERE t.n = $1 AND m.message_id = $2"""
    while True:
        number, chosen = random.randrange(TEXTS), random.choice(ids)
        started = time.monotonic()
        kind = random.choices(("send", "edit", "read", "react", "delete"), (60, 15, 15, 8, 2))[0]
        if kind == "send":
            await connection.execute(send, number, random.choice((0.0, 0.0, 30.0)))
        elif kind == "edit":
            await connection.execute(edit, number, chosen)
        elif kind == "read":
            query = "UPDATE chat_messages SET is_read = true WHERE message_id = $1"
            await connection.execute(query, chosen)
        elif kind == "react":
            query = "INSERT INTO chat_reactions (message_id, user_id, reaction) VALUES ($1, 7, 'x')"
            await connection.execute(query, chosen)
        else:
            await connection.execute("DELETE FROM chat_messages WHERE message_id = $1", chosen)
        counts[kind] = counts.get(kind, 0) + 1
        took = round((time.monotonic() - started) * 1000)
        counts["longest wait, ms"] = max(counts.get("longest wait, ms", 0), took)
        await asyncio.sleep(PAUSE)


async def adopt(dsn: str, *options: str, killed_at: float = 2.0) -> float:
    """Run the command; return seconds. It is killed once this share of messages is copied."""
    environ = os.environ | {
        "DATABASE_URL": dsn,
        "DB_SSL": "false",
        "JWT_SECRET": base64.b64encode(bytes(range(48))).decode(),
        "CHAT_ENCRYPTION_KEY": KEY,
    }
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fastchat", "adopt", *options),
        stdout=asyncio.subprocess.PIPE,
        env=environ,
    )
    assert process.stdout is not None
    step, last = "", ""
    async for raw in process.stdout:
        line = raw.decode().rstrip()
        if step and not line.startswith(step):
            print(f"    {last}")
        match = re.match(r"([a-z ]+): ([\d,]+) of ([\d,]+),", line)
        step, last = (match[1], line) if match else ("", "")
        if match is None:
            print(f"    {line}")
        elif match[1] == "messages":
            done, total = (int(match[n].replace(",", "")) for n in (2, 3))
            if done > killed_at * total and process.returncode is None:
                process.send_signal(signal.SIGKILL)
    code = await process.wait()
    seconds = time.monotonic() - started
    print(f"adopt {' '.join(options)}: exit code {code}, {seconds:.1f} s", flush=True)
    assert code == (-signal.SIGKILL if killed_at < 1 else 0)
    return seconds


async def prepare(dsn: str, rows: int) -> None:
    """Fill the database, or make one ready again that is full."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"ALTER SYSTEM SET shared_buffers = '{SHARED_BUFFERS}'")
    is_full = await connection.fetchval("SELECT to_regclass('chat_messages') IS NOT NULL")
    await connection.close()
    if is_full:
        await adopt(dsn, "--abandon")
    else:
        await fill(dsn, rows)


async def run(dsn: str) -> None:
    await adopt(dsn)
    counts: dict[str, int] = {}
    writer = asyncio.create_task(write(dsn, counts))
    seconds = await adopt(dsn, "--copy", "--slice", SLICE, killed_at=KILLED_AT)
    seconds += await adopt(dsn, "--copy", "--slice", SLICE)
    print(f"copied in {seconds:.0f} s; the writer meanwhile: {counts}")
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)
    await adopt(dsn, "--switch")
    connection = await asyncpg.connect(dsn)
    row = await connection.fetchrow(
        "SELECT count(*), count(content), count(*) FILTER (WHERE encrypted_content IS NULL) "
        "FROM chat_messages"
    )
    print(f"rows {row[0]:,}, with plaintext {row[1]:,}, without ciphertext {row[2]:,}")
    wrong = await connection.fetchval(
        "SELECT count(*) FROM (SELECT count(*) <> max(m.seq) OR max(m.seq) <> min(r.seq) AS wrong "
        "FROM chat_messages m JOIN chat_rooms r USING (room_id) GROUP BY room_id) x WHERE wrong"
    )
    assert wrong == 0, wrong
    size = await connection.fetchval(
        "SELECT pg_size_pretty(pg_total_relation_size('chat_messages'))"
    )
    print(f"the new table with its indexes: {size}")
    await connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, help="for the database; default: a temporary one")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fastchat-adopt-") as temporary:
        Path(temporary).chmod(0o755)
        folder = (args.folder or Path(temporary)) / "data"
        with EmbeddedPostgres(folder) as postgres:
            asyncio.run(prepare(postgres.dsn, args.rows))
        with EmbeddedPostgres(folder) as postgres:
            asyncio.run(run(postgres.dsn))


if __name__ == "__main__":
    main()
