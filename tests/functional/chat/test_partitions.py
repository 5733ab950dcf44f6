"""The messages split into partitions, as docs/scaling.md says: everything works as before."""

from pathlib import Path

import asyncpg
import pytest

from tests.functional.chat.talking import contents, run_sql, say_id
from tests.functional.chat.test_queued_events import changes_of

SCRIPT = Path(__file__).parents[3] / "docs" / "sql" / "partition_messages.sql"
INDEXES = "SELECT indexdef FROM pg_indexes WHERE tablename = $1 ORDER BY indexname"
OF_A_ROOM = """
SELECT count(*) FROM pg_class c JOIN pg_inherits h ON h.inhrelid = c.oid
WHERE h.inhparent = 'chat_messages'::regclass
"""


async def indexes(database):
    connection = await asyncpg.connect(database)
    rows = await connection.fetch(INDEXES, "chat_messages")
    await connection.close()
    # PostgreSQL writes ONLY where an index is one over partitions.
    return [row[0].replace("ON ONLY ", "ON ") for row in rows]


@pytest.fixture
async def split(start_chat, database):
    """A server whose messages were split when there were some already."""
    chat = await start_chat()
    alice = await chat.join(1)
    await say_id(alice, "2", "before", clientMessageId="c-1")
    await chat.stop()
    before = await indexes(database)
    connection = await asyncpg.connect(database)
    async with connection.transaction():
        await connection.execute(SCRIPT.read_text())
    await connection.close()
    assert await indexes(database) == before
    return await start_chat()


async def test_everything_works_on_partitions(split):
    alice, bob = await split.join(1), await split.join(2)
    assert [row[0] for row in await run_sql(split, OF_A_ROOM)] == [16]
    repeat = await alice.request(
        type="send_private_message", recipientId="2", content="before", clientMessageId="c-1"
    )
    assert repeat["duplicate"] is True
    message_id = await say_id(alice, "2", "after")
    assert (await bob.expect("new_private_message"))["message"]["seq"] == 2
    for command in changes_of(message_id)[:-1]:
        answer = await alice.request(**command)
        await bob.expect(answer["type"], messageId=message_id)
    assert await contents(bob, "1") == ["before", "a secret text"]
    news = await bob.request(type="sync", conversations={})
    assert [message["seq"] for message in news["conversations"][0]["messages"]] == [1, 2]
    await alice.request(**changes_of(message_id)[-1])
    assert await contents(bob, "1") == ["before"]
    listed = await bob.request(type="get_conversations")
    assert len(listed["conversations"]) == 1


async def test_a_page_reads_the_partition_of_its_room_only(split):
    statement = "EXPLAIN SELECT * FROM chat_messages WHERE room_id = 1 AND seq > 5"
    plan = "\n".join(row[0] for row in await run_sql(split, statement))
    assert plan.count("chat_messages_") <= 3, plan  # one table, its index
