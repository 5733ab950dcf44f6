"""A server on a free port for each test, which must leave nothing behind."""

import asyncio
import os

import pytest
import uvloop

from fastchat._speedups.connection_core import Endpoint
from fastchat._speedups.endpoint_limits import EndpointLimits
from fastchat.transport.http import HttpServer
from fastchat.transport.port import Listener, bind
from tests.functional.transport.raw_client import RawClient

TIMEOUT = 5.0


def pytest_asyncio_loop_factories(config, item):
    """Both event loops: the one of production, and the one of debug mode."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


async def until(condition, timeout=TIMEOUT):
    """Wait until it is true."""
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.002)


class Server:
    """A listener, with what its callbacks were called with."""

    def __init__(self):
        self.opened = []
        self.closed = []
        self.messages = []
        self.clients = []
        self.on_message = lambda connection, payload: None
        self.on_open = lambda connection: None
        self.on_binary = None
        self.refusal = None
        self.admitted = []

    async def start(self, *, routes=None, tls=None, http=None, options=None, **limits):
        self.endpoint = Endpoint(
            asyncio.get_running_loop(),
            on_open=self._opened,
            on_message=self._received,
            on_close=self.closed.append,
            on_binary=self.on_binary,
            # Most tests fill an outbox at once, as a burst would.
            limits=EndpointLimits(**({"burst": 0.0} | limits)),
        )
        self.listener = Listener(
            self.endpoint, http or HttpServer(routes or {}), admit=self._admit, **(options or {})
        )
        await self.listener.start([bind("127.0.0.1", 0)], tls)
        self.port = self.listener.port
        scheme = "ws" if tls is None else "wss"
        self.url = f"{scheme}://localhost:{self.port}"
        return self

    def _opened(self, connection):
        self.opened.append(connection)
        self.on_open(connection)

    def _received(self, connection, payload):
        self.messages.append(payload)
        self.on_message(connection, payload)

    def _admit(self, remote_ip, headers, origin):
        self.admitted.append((remote_ip, origin))
        return self.refusal

    def echo(self):
        self.on_message = lambda connection, payload: connection.send_reply(payload)
        return self

    @property
    def connection(self):
        return self.opened[-1]

    async def open(self, **options):
        """A raw client whose connection is open."""
        client = await RawClient.open(self.port, **options)
        self.clients.append(client)
        return client

    async def connect(self, **options):
        """A raw client that has sent nothing."""
        client = await RawClient.connect(self.port, **options)
        self.clients.append(client)
        return client

    async def all_closed(self, timeout=TIMEOUT):
        """Every connection that was opened is reported as closed, once."""
        await until(lambda: len(self.closed) == len(self.opened), timeout)
        assert set(self.closed) == set(self.opened)
        assert self.endpoint.connections == 0

    async def stop(self):
        for client in self.clients:
            client.close()
        await self.listener.stop(1001, "Server shutting down", timeout=0.2)


def open_files():
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
async def server():
    """A server, not started; afterwards nothing may be left or have gone wrong unseen."""
    loop = asyncio.get_running_loop()
    problems = []
    loop.set_exception_handler(lambda loop, context: problems.append(context))
    # With its first stream, uvloop opens one more file and keeps it.
    first = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    first.close()
    await first.wait_closed()
    files = open_files()
    made = Server()
    yield made
    if hasattr(made, "listener"):
        await made.stop()
        assert made.endpoint.pinned_bytes == 0
        assert made.endpoint.connections == 0
        assert made.endpoint.opened == made.endpoint.closed == len(made.closed)
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()}, 2.0)
    await until(lambda: open_files() <= files, 2.0)
    assert problems == []
