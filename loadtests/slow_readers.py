"""Clients that never read: what they cost, and whether others notice.

Pairs write to each other at an even rate; some more users read nothing and get long messages until
the server closes them. Told are the latency of the pairs without and with slow readers, the memory
of the server for each of these, how they were closed, and whether they catch up afterwards.

    python -m loadtests.slow_readers [--clients 1000] [--share 0.01,0.1] [--rate 1000]
"""

import argparse
import asyncio
import resource
import socket
from typing import Any

from fastchat.bench.crowd import Crowd, quantile
from fastchat.bench.peer import Peer
from fastchat.bench.private_server import (
    UNLIMITED,
    PrivateServer,
    private_database,
    private_server,
)
from fastchat.bench.processes import resident

MOST_FILES = 1_000_000
SECONDS = 10.0  # of each look
LONG = "x" * 4000
MOST_LONG = 2000  # messages to one slow reader; far beyond any outbox and socket
PATIENCE = 60.0
SAMPLE = 0.05  # seconds between two looks at the memory
SLOW_CONSUMER = 1013


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--share", default="0.01,0.1", help="of slow readers, one or several")
    parser.add_argument("--rate", type=float, default=1000.0, help="messages/s of the others")
    args = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, MOST_FILES), hard))
    for share in (float(part) for part in args.share.split(",")):
        slow = max(1, round(args.clients * share))
        with (
            private_database(args.clients + slow + 1) as (dsn, postgres_pid),
            private_server(dsn, UNLIMITED, postgres_pid=postgres_pid) as server,
        ):
            asyncio.run(measure(server, args.clients, slow, args.rate))


async def measure(server: PrivateServer, clients: int, slow: int, rate: float) -> None:
    users = [str(number + 1) for number in range(clients)]
    others = Crowd(server.url, server.token, users)
    await others.open()
    await others.write_open(SECONDS / 2, rate)
    await others.settle()
    others.figures.clear()
    await others.write_open(SECONDS, rate)
    await others.settle()
    calm = others.figures.deliveries
    others.figures.clear()

    writer = Peer(str(clients + slow + 1))
    await writer.connect(server.url)
    await writer.log_in(server.token(writer.user_id))
    readers = [await stop_reading(server, str(clients + n + 1)) for n in range(slow)]
    pid = server.worker_pid
    before = resident(pid)
    highest = before
    writing = asyncio.create_task(others.write_open(SECONDS, rate))
    filling = asyncio.create_task(fill(server, writer, readers))
    while not (writing.done() and filling.done()):
        highest = max(highest, resident(pid))
        await asyncio.sleep(SAMPLE)
    await asyncio.gather(writing, filling)
    await others.settle()
    closed = server.page("/metrics")["slowConsumers"]
    print(
        f"{slow} slow readers beside {clients:,}: p50 {quantile(calm, 0.5) * 1e3:.1f} → "
        f"{quantile(others.figures.deliveries, 0.5) * 1e3:.1f} ms, p99 "
        f"{quantile(calm, 0.99) * 1e3:.1f} → "
        f"{quantile(others.figures.deliveries, 0.99) * 1e3:.1f} ms; "
        f"{(highest - before) / slow:.0f} KB each at the most; {closed} closed {SLOW_CONSUMER}; "
        f"{await caught_up(server, readers, writer.user_id)} caught up",
        flush=True,
    )
    for reader in readers:
        reader.cut()
    writer.close()
    await others.close()


async def stop_reading(server: PrivateServer, user_id: str) -> Peer:
    """Log a user in, and read nothing any more."""
    peer = Peer(user_id)
    await peer.connect(server.url)
    await peer.log_in(server.token(user_id))
    assert peer.transport is not None
    transport: Any = peer.transport.underlying_transport
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    transport.pause_reading()
    return peer


async def fill(server: PrivateServer, writer: Peer, readers: list[Peer]) -> None:
    """Write to all slow readers in turn until all are closed."""
    known = server.page("/metrics")["slowConsumers"]
    for number in range(MOST_LONG):
        for reader in readers:
            writer.send(type="send_private_message", recipientId=reader.user_id, content=LONG)
            await asyncio.sleep(0)
        # Every look waits for the answer to all that was sent before.
        await writer.ask(type="ping")
        if number % 10 == 9:
            page = await asyncio.to_thread(server.page, "/metrics")
            if page["slowConsumers"] - known >= len(readers):
                return
    raise SystemExit("the slow readers were not closed")


async def caught_up(server: PrivateServer, readers: list[Peer], writer_id: str) -> int:
    """Let the slow readers come back; return how many find the newest message."""
    found = 0
    for reader in readers:
        peer = Peer(reader.user_id)
        await peer.connect(server.url)
        await peer.log_in(server.token(reader.user_id))
        answer = await peer.ask(type="sync", conversations={})
        found += any(
            message["senderId"] == writer_id
            for room in answer["conversations"]
            for message in room["messages"]
        )
        peer.close()
    return found


if __name__ == "__main__":
    main()
