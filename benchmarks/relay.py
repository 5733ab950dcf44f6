"""The connection core alone: a relay by path, without JSON, log-in, limits or a database.

What it costs beside a relay written in C is the price of our sockets, frames and routing. A client
of ``GET /p/N`` is heard by that of ``/p/(N ^ 1)``, one of ``GET /g/N`` by all others of the group,
as the relay in C does it; whatever drives that one drives this one.

    python -m benchmarks.relay PORT
"""

import argparse
import asyncio

import uvloop

from fastchat._speedups.connection_core import Connection, Endpoint
from fastchat._speedups.routing import RoutingTable
from fastchat.transport.echo import LIMITS
from fastchat.transport.http import HttpServer
from fastchat.transport.port import HeadProtocol, Listener, bind


class Paths(Listener):
    """A listener that knows the path of the handshake that it answers just now."""

    path = ""

    def _accept(self) -> HeadProtocol:
        return Head(self)


class Head(HeadProtocol):
    """Tells the listener what was asked for."""

    def _upgrade(self, stream: asyncio.Transport, head: bytes, rest: bytes) -> None:
        assert isinstance(self._listener, Paths)
        self._listener.path = head.split(b" ", 2)[1].decode()
        super()._upgrade(stream, head, rest)


class Relay:
    """Hands each frame on to whom it is for."""

    def __init__(self) -> None:
        """Make the endpoint; ``serve`` opens the port."""
        self._pairs, self._group = RoutingTable(), RoutingTable()
        endpoint = Endpoint(
            asyncio.get_running_loop(),
            on_open=self._open,
            on_message=self._relay,
            on_close=self._close,
            limits=LIMITS,
        )
        self._listener = Paths(endpoint, HttpServer({}), admit=lambda ip, headers, origin: None)

    async def serve(self, port: int) -> None:
        """Serve until cancelled."""
        await self._listener.start([bind("127.0.0.1", port)])
        print(f"relay on port {self._listener.port}", flush=True)
        await asyncio.Event().wait()

    def _open(self, connection: Connection) -> None:
        _, kind, number = self._listener.path.split("/")
        if kind == "p":
            self._pairs.add(number, connection)
            connection.session = (number, (str(int(number) ^ 1),))
        else:
            self._group.add(number, connection)
            connection.session = (number, None)

    def _relay(self, connection: Connection, payload: bytes) -> None:
        receivers = connection.session[1]
        if receivers is None:
            self._group.publish_all(payload, connection)
        else:
            self._pairs.publish(receivers, payload)

    def _close(self, connection: Connection) -> None:
        number, receivers = connection.session
        (self._group if receivers is None else self._pairs).remove(number, connection)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("port", type=int)
    args = parser.parse_args()

    async def run() -> None:
        await Relay().serve(args.port)

    uvloop.run(run())


if __name__ == "__main__":
    main()
