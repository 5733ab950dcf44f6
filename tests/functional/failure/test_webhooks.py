"""Whoever has an acknowledgement may rely on the webhook, whatever happens to the server."""

import asyncio
from contextlib import AsyncExitStack

import asyncpg
import pytest

from tests.functional.chat.hooked import open_backend

SOME = 60


@pytest.fixture
async def backend():
    async with AsyncExitStack() as stack:
        yield await open_backend(stack)


@pytest.fixture
async def server(start, own_database, backend):
    server = await start(NODE_ENV="production", DATABASE_URL=own_database, **backend.settings)
    yield server
    assert server.is_running
    assert not server.bugs()


def told(backend):
    """The ids of messages that the backend was told of."""
    return {
        one["data"]["message"]["id"] for one in backend.received if one["type"] == "message.offline"
    }


async def test_no_webhook_of_an_acknowledged_message_is_lost_by_kills(
    server, backend, own_database
):
    acknowledged = set()

    async def send(author, number):
        sent = await author.request(
            type="send_private_message", recipientId="32", content=str(number)
        )
        acknowledged.add(sent["messageId"])

    for status in (200, 503):
        backend.status = status
        async with await server.join(31) as author:
            sends = [asyncio.create_task(send(author, number)) for number in range(SOME)]
            # In the middle of it.
            while len(acknowledged) < SOME * (1 + (status == 503)) // 2:
                await asyncio.sleep(0)
            await server.kill()
            for task in sends:
                task.cancel()
            await asyncio.gather(*sends, return_exceptions=True)
        await server.start()
    backend.status = 200
    assert len(acknowledged) >= SOME
    # As if the time had passed for which those that were killed had claimed some.
    connection = await asyncpg.connect(own_database)
    try:
        await connection.execute("UPDATE webhook_outbox SET next_attempt_at = now()")
    finally:
        await connection.close()
    await backend.wait_for(lambda backend: acknowledged <= told(backend))
