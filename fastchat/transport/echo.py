"""An echo server on the real port, for conformance suites and for measuring.

Run it as ``python -m fastchat.transport.echo --port 9001``. Binary messages are echoed too, and
large ones accepted, since conformance suites send both.
"""

import argparse
import asyncio
import signal

import uvloop

from fastchat._speedups.connection_core import Connection, Endpoint
from fastchat._speedups.endpoint_limits import MIB, EndpointLimits
from fastchat.protocol.codes import CloseCode
from fastchat.transport.http import HttpServer
from fastchat.transport.port import Listener, bind

LIMITS = EndpointLimits(
    max_message=64 * MIB,
    authentication=float("inf"),
    outbox_limit=256 * MIB,
    replies_limit=256 * MIB,
    pinned_limit=1024 * MIB,
)


def ignore(connection: Connection) -> None:
    """Do nothing."""


async def start(host: str, port: int, limits: EndpointLimits = LIMITS) -> Listener:
    """Start the echo server."""
    endpoint = Endpoint(
        asyncio.get_running_loop(),
        on_open=ignore,
        on_message=Connection.send_reply,
        on_close=ignore,
        on_binary=Connection.send_binary,
        limits=limits,
    )
    listener = Listener(endpoint, HttpServer({}), admit=lambda ip, headers, origin: None)
    await listener.start([bind(host, port)])
    return listener


async def serve(host: str, port: int) -> None:
    """Run until SIGINT or SIGTERM."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    listener = await start(host, port)
    print(f"echo server on ws://{host}:{listener.port}", flush=True)
    await stopped.wait()
    await listener.stop(CloseCode.GOING_AWAY, "Server shutting down", timeout=2.0)


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m fastchat.transport.echo")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9001)
    args = parser.parse_args()
    uvloop.run(serve(args.host, args.port))


if __name__ == "__main__":
    main()
