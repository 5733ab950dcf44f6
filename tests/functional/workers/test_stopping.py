"""SIGTERM: all workers drain, and say so."""

import asyncio
import json
import signal
from contextlib import AsyncExitStack

import asyncpg
import pytest

from tests.functional.failure.process import is_alive

USERS = range(1, 31)
DRAIN_TIME = 8.0  # seconds; far below SHUTDOWN_TIMEOUT


async def test_all_clients_are_told_when_to_come_back_and_closed_1001(start):
    server = await start(workers=3)
    pids = server.worker_pids()
    async with AsyncExitStack() as stack:
        clients = await server.join_all(USERS)
        for client in clients:
            await stack.enter_async_context(client)
        server.terminate()
        async with asyncio.timeout(DRAIN_TIME):
            assert await server.ended() == 0
        waits = [(await client.expect("server_draining"))["retryAfter"] for client in clients]
        for client in clients:
            assert (await client.wait_closed())[0] == 1001
    # Spread evenly over the clients of each worker.
    assert set(waits) == set(range(1, max(waits) + 1))
    assert max(waits.count(wait) for wait in waits) <= 3 * -(-len(USERS) // 10)
    assert not any(map(is_alive, pids))
    assert len(server.events("drained")) == 3
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)


class KeptConnection:
    """An HTTP connection that asks again and again."""

    def __init__(self, reader, writer):
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port):
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def get(self, path):
        """The status and the body of a page."""
        async with asyncio.timeout(5):
            self._writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            body = await self._reader.readexactly(length)
        return int(head.split()[1]), json.loads(body)

    async def close(self):
        self._writer.close()
        await self._writer.wait_closed()


async def test_server_that_drains_is_not_ready_and_acknowledges_what_it_accepted(start, database):
    server = await start()
    locks = await asyncpg.connect(database)
    page = await KeptConnection.open(server.port)
    async with AsyncExitStack() as stack:
        clients = await server.join_all(USERS)
        for client in clients:
            await stack.enter_async_context(client)
        assert (await page.get("/ready"))[0] == 200
        async with locks.transaction():
            # No message can be stored, so that all workers have something to wait for.
            await locks.execute("LOCK TABLE chat_messages IN EXCLUSIVE MODE")
            for client in clients:
                await client.send(type="send_private_message", recipientId="99", content="in time")
                await client.request(type="ping")
            server.send(signal.SIGTERM)
            for client in clients:
                await client.expect("server_draining")
            status, body = await page.get("/ready")
            assert (status, body["draining"]) == (503, True)
            _, body = await page.get("/health")
            assert (body["status"], body["problems"]) == (
                "degraded",
                ["the server is shutting down"],
            )
            assert (await page.get("/live"))[0] == 200
        for client in clients:
            assert (await client.expect("message_sent"))["message"]["content"] == "in time"
            assert (await client.wait_closed())[0] == 1001
    assert await server.ended() == 0
    await page.close()
    await locks.close()
