"""SIGHUP: one worker after the other is replaced, and nobody is refused meanwhile."""

import asyncio
import signal
import ssl
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from tests.functional.certificates import make_certificate, spoil_certificate
from tests.functional.failure.load import Crowd
from tests.functional.failure.process import until
from tests.functional.transport.raw_client import upgrade_head

USERS = range(1, 21)
VISITORS = 8  # loops that connect without a pause
SOME = 200
PATIENCE = 20.0


class Visitors:
    """Clients that connect, wait for the greeting and go, all the time, each over a new socket."""

    def __init__(self, port):
        self._port = port
        self.visits = 0
        self.failures = []

    @asynccontextmanager
    async def coming(self):
        tasks = [asyncio.create_task(self._visit()) for _ in range(VISITORS - 1)]
        tasks.append(asyncio.create_task(self._ask()))
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def further(self, visits):
        goal = self.visits + visits
        await until(lambda: self.failures or self.visits >= goal)

    async def _visit(self):
        while True:
            await self._try(upgrade_head(), b'"requiresAuth":true')

    async def _ask(self):
        page = b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        while True:
            await self._try(page, b"HTTP/1.1 200 ")

    async def _try(self, head, wanted):
        writer = None
        received = b""
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.write(head)
                while wanted not in received:
                    data = await reader.read(4096)
                    if not data:
                        raise ConnectionError("the connection ended too early")
                    received += data
            self.visits += 1
        except (OSError, TimeoutError) as error:
            self.failures.append((repr(error), received))
        finally:
            if writer is not None:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()


@pytest.mark.parametrize("workers", [1, 2])
async def test_no_connection_attempt_is_refused_or_reset_in_rolling_restarts(start, workers):
    server = await start(workers)
    before = server.worker_pids()
    async with Visitors(server.port).coming() as visitors:
        await visitors.further(SOME)
        for _ in range(2):
            await server.roll()
        await visitors.further(SOME)
        assert visitors.failures == []
    after = server.worker_pids()
    assert (len(after), after & before) == (workers, set())
    await until(lambda: len(server.events("drained")) == 2 * workers)
    found = (await server.metrics())["workers"]
    assert (found["healthy"], found["restarts"]) == (workers, 0)


async def test_one_worker_after_the_other_is_replaced_when_its_successor_is_ready(start):
    server = await start()
    await server.roll()
    order = [
        (event["message"], event["worker"])
        for event in server.events()
        if event["message"] in ("ready", "draining", "drained")
    ]
    assert order[2:] == [
        (message, worker) for worker in (1, 2) for message in ("ready", "draining", "drained")
    ]


async def test_clients_of_a_replaced_worker_are_told_when_to_come_back_and_closed_1001(start):
    server = await start()
    async with AsyncExitStack() as stack:
        clients = await server.join_all(USERS)
        for client in clients:
            await stack.enter_async_context(client)
        await server.roll()
        waits = []
        for client in clients:
            waits.append((await client.expect("server_draining"))["retryAfter"])
            assert (await client.wait_closed())[0] == 1001
        assert min(waits) >= 1
        assert len(set(waits)) > 5
    # Nobody waits for a client that comes at once.
    async with await server.join(1) as client:
        assert (await client.request(type="ping"))["type"] == "pong"


async def test_nothing_acknowledged_is_lost_or_doubled_in_rolling_restarts_under_load(start):
    server = await start()
    async with Crowd(server, ("1", "2", "3")) as crowd:
        await crowd.acknowledged(SOME)
        for _ in range(2):
            await server.roll()
            await crowd.acknowledged(SOME)
        await crowd.settle()
        assert await crowd.verify() == set(crowd.ledger.sent)
        for chatter in crowd.everybody:
            assert set(chatter.close_codes) <= {1001}


async def test_worker_stays_when_its_successor_cannot_start_and_a_new_certificate_is_taken(
    start, tmp_path
):
    server = await start(**make_certificate(tmp_path))
    before = server.worker_pids()
    served = await served_certificate(server.port)

    spoil_certificate(tmp_path)
    server.send(signal.SIGHUP)
    await until(lambda: server.events("worker 1 stays as it is: its successor did not start"))
    await until(lambda: server.events("the rolling restart was given up"))
    assert server.worker_pids() == before
    assert "TLS_CERT" in str(server.events("fastchat cannot start")[0]["message"])
    assert await served_certificate(server.port) == served

    make_certificate(tmp_path)
    await server.roll()
    assert not server.worker_pids() & before
    assert await served_certificate(server.port) != served


async def served_certificate(port):
    return await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port), timeout=5)


async def test_the_command_that_people_use_rolls_too(start):
    server = await start(1)
    server.command = (sys.executable, "-m", "fastchat", "serve")
    await server.kill()
    await server.start()
    before = server.worker_pids()
    await server.roll()
    after = server.worker_pids()
    assert (len(after), after & before) == (1, set())
