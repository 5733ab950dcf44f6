"""Connections over real sockets to an endpoint of this process."""

import asyncio

import uvloop

from fastchat._speedups.connection_core import Endpoint
from fastchat._speedups.endpoint_limits import EndpointLimits
from fastchat.transport.http import HttpServer
from fastchat.transport.port import Listener, bind
from tests.functional.transport.raw_client import RawClient


class Sockets:
    """A listener, its connections, and the clients at their other ends."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.loop = self._runner.get_loop()
        self.connections = []
        self.received = 0
        self.clients = []
        self._runner.run(self._start())

    async def _start(self):
        self.endpoint = Endpoint(
            asyncio.get_running_loop(),
            on_open=self.connections.append,
            on_message=self._count,
            on_close=lambda connection: None,
            limits=EndpointLimits(),
        )
        self._listener = Listener(
            self.endpoint, HttpServer({}), admit=lambda ip, headers, origin: None
        )
        await self._listener.start([bind("127.0.0.1", 0)])

    def _count(self, connection, payload):
        self.received += 1

    def open(self, count, **headers):
        """Open connections."""

        async def open_all():
            for _ in range(count):
                self.clients.append(await RawClient.open(self._listener.port, **headers))

        self._runner.run(open_all())
        assert len(self.connections) == len(self.clients)

    def turn(self):
        """Run one turn of the event loop."""
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def drain(self):
        """Read what arrived at the clients; return how many bytes."""
        size = 0
        for client in self.clients:
            try:
                while True:
                    size += len(client.sock.recv(1 << 20))
            except BlockingIOError:
                pass
        return size

    def close(self):
        """End everything."""
        for client in self.clients:
            client.close()
        self._runner.run(self._listener.stop(1001, "", timeout=1.0))
        self._runner.close()
