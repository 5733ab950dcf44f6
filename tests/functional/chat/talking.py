"""What tests of a conversation share: one line per command, and SQL on the server's database."""

import json
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg


async def say(client, recipient_id, content="hello", **fields):
    """Send one message and return the answer, be it an error."""
    command = {"recipientId": recipient_id, "content": content, **fields}
    return await client.request(type="send_private_message", **command)


async def say_id(client, recipient_id, content="hello", **fields):
    """Send one message and return its id."""
    sent = await say(client, recipient_id, content, **fields)
    assert sent["type"] == "message_sent", sent
    return sent["messageId"]


async def page(client, recipient_id, **fields):
    """Return the answer to ``get_private_messages``."""
    command = {"recipientId": recipient_id, **fields}
    return await client.request(type="get_private_messages", **command)


async def contents(client, recipient_id, **fields):
    """Return the texts of a page."""
    answer = await page(client, recipient_id, **fields)
    assert answer["type"] == "private_messages", answer
    return [message["content"] for message in answer["messages"]]


def assert_error(answer, code, field=None):
    assert (answer["type"], answer["code"]) == ("error", code), answer
    assert answer["message"]
    assert answer["details"]
    assert answer.get("field") == field, answer


async def run_sql(chat, statement, *arguments):
    """Run SQL on the server's database and return the rows."""
    connection = await asyncpg.connect(chat.database)
    try:
        return await connection.fetch(statement, *arguments)
    finally:
        await connection.close()


async def block(chat, blocker_id, blocked_id):
    statement = "INSERT INTO blocked_relationships VALUES ($1, $2)"
    await run_sql(chat, statement, blocker_id, blocked_id)


async def follow(chat, follower_id, followee_id):
    await run_sql(chat, "INSERT INTO user_follows VALUES ($1, $2)", follower_id, followee_id)


@asynccontextmanager
async def database_away(chat):
    """No connection to the database is left, and none can be made."""
    parts = urlsplit(chat.database)
    name = parts.path[1:]
    admin = await asyncpg.connect(chat.database.rpartition("/")[0] + "/postgres")
    try:
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
        )
        yield
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    finally:
        await admin.close()


async def whole_table(chat, table):
    """Return everything that is stored in a table, as one text."""
    rows = await run_sql(chat, f"SELECT * FROM {table}")
    return json.dumps([[str(value) for value in row] for row in rows], ensure_ascii=False)
