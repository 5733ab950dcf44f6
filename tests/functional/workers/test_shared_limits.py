"""Limits hold over all workers together, whoever asks whom and whichever of them dies."""

import asyncio
import re
from contextlib import AsyncExitStack

import aiohttp

from tests.functional.client import ChatClient
from tests.functional.failure.process import kill, until
from tests.functional.workers.test_workers import connections_of

LIMIT = 10
DEVICES = 16  # so many that each worker has some, but for bad luck
MESSAGES = 24


class Visitors:
    """Connections of one address, opened one after the other."""

    def __init__(self, server):
        self._server = server
        self._stack = AsyncExitStack()
        self.inside = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        await self._stack.aclose()

    async def come(self):
        """Connect; return the close code and reason of a refusal."""
        client = await self._stack.enter_async_context(await ChatClient.open(self._server.url))
        # A refused connection has its handshake, and is then closed.
        async with asyncio.timeout(10):
            while not client.frames and client.close_code is None:
                await asyncio.sleep(0.001)
        if client.close_code is not None:
            return await client.wait_closed()
        self.inside.append(client)
        return None


async def misses(server):
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http{server.url.removeprefix('ws')}/metrics/prometheus") as response,
    ):
        (found,) = re.findall(r"^fastchat_limit_misses_total (\S+)$", await response.text(), re.M)
    return float(found)


async def test_address_has_its_connections_over_all_workers_also_when_one_dies(start):
    server = await start(workers=2, MAX_CONNECTIONS_PER_IP=str(LIMIT))
    refusal = (1008, "Connection limit exceeded")
    async with Visitors(server) as visitors:
        assert [await visitors.come() for _ in range(LIMIT)] == [None] * LIMIT
        # Whichever worker they come to.
        assert [await visitors.come() for _ in range(2 * LIMIT)] == [refusal] * 2 * LIMIT
        each = await connections_of(server, LIMIT)
        victim = max(each, key=each.__getitem__)
        kill(victim)
        await until(lambda: len(server.events("ready")) == 3)
        again = each[victim]
        assert [await visitors.come() for _ in range(again)] == [None] * again
        assert [await visitors.come() for _ in range(LIMIT)] == [refusal] * LIMIT
        # What was closed is free for all, and a rolling restart changes nothing.
        await visitors.inside[-1].close()
        await connections_of(server, LIMIT - 1)
        assert await visitors.come() is None
        assert await visitors.come() == refusal
        await server.roll()
        assert [await visitors.come() for _ in range(LIMIT)] == [None] * LIMIT
        assert [await visitors.come() for _ in range(LIMIT)] == [refusal] * LIMIT
    assert await misses(server) == 0


async def test_devices_of_a_user_share_his_limits_over_all_workers(start):
    server = await start(
        workers=2, MESSAGE_RATE_LIMIT=str(MESSAGES), COMMAND_RATE_LIMIT=str(MESSAGES)
    )
    async with AsyncExitStack() as stack:
        devices = [await stack.enter_async_context(await server.join(1)) for _ in range(DEVICES)]
        assert all((await connections_of(server, DEVICES)).values())

        async def ask(**command):
            """Ask from all devices at once, more often than is admitted."""
            answers = await asyncio.gather(
                *(device.request(**command) for device in devices for _ in range(4))
            )
            limited = [one for one in answers if one["type"] == "error"]
            for one in limited:
                assert one["code"] == "RATE_LIMIT_EXCEEDED"
                assert 30 <= one["retryAfter"] <= 60
            return len(answers) - len(limited)

        message = {"type": "send_private_message", "recipientId": "2", "content": "hello"}
        assert await ask(**message) == MESSAGES
        # A long one is admitted by twice the limit of the same window.
        assert await ask(**message | {"content": "x" * 501}) == MESSAGES
        assert await ask(type="test") == MESSAGES
        # Another user has windows of his own.
        async with await server.join(2) as other:
            assert (await other.request(type="test"))["type"] == "test_response"
    # Coming back, to whichever worker, renews nothing; nor does the end of a worker.
    kill(await server.pid_of(1))
    await until(lambda: len(server.events("ready")) == 3)
    for _ in range(DEVICES):
        async with await server.join(1) as device:
            assert (await device.request(**message))["code"] == "RATE_LIMIT_EXCEEDED"
    assert await misses(server) == 0


async def test_address_makes_its_requests_over_all_workers(start):
    server = await start(workers=2, IP_RATE_LIMIT="20")
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http,
        Visitors(server) as visitors,
    ):
        statuses = []
        for _ in range(40):
            async with http.get(f"http{server.url.removeprefix('ws')}/nowhere") as response:
                statuses.append(response.status)
        assert statuses == [404] * 20 + [429] * 20
        for _ in range(10):
            assert await visitors.come() == (1008, "Rate limit exceeded")
    assert await misses(server) == 0
