"""Clients that never read: what they cost, and whether others notice.

Pairs write to each other at an even rate, and one user writes long messages to some more, who at
first read them and then do not any more, until the server closes them. Told are the latency of the
pairs before and after that, by how much the server's memory grew for each of these, how they were
closed, and whether they catch up afterwards.

    python -m loadtests.slow_readers [--clients 1000] [--share 0.01,0.1] [--rate 1000]
"""

import argparse
import asyncio
import resource
import socket
import time
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
LONG = "x" * 9500
LONG_RATE = 400.0  # of these messages per second, to all who will not read together
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
    writer = await enter(server, str(clients + slow + 1))
    readers = [await enter(server, str(clients + number + 1)) for number in range(slow)]
    await others.write_open(SECONDS / 2, rate)
    await others.settle()
    calm, _ = await look(server, others, rate, writer, readers)
    for reader in readers:
        stop_reading(reader)
    known = server.page("/metrics")["slowConsumers"]
    busy, grown = await look(server, others, rate, writer, readers)
    while (closed := server.page("/metrics")["slowConsumers"] - known) < slow:
        await write_to(writer, readers, 1.0)
    print(
        f"{slow} slow readers beside {clients:,}: p50 {quantile(calm, 0.5) * 1e3:.1f} → "
        f"{quantile(busy, 0.5) * 1e3:.1f} ms, p99 {quantile(calm, 0.99) * 1e3:.1f} → "
        f"{quantile(busy, 0.99) * 1e3:.1f} ms; {grown / slow:.0f} KB each at the most; "
        f"{closed} closed {SLOW_CONSUMER}; "
        f"{await caught_up(server, readers, writer.user_id)} caught up",
        flush=True,
    )
    for reader in readers:
        reader.cut()
    writer.close()
    await others.close()


async def enter(server: PrivateServer, user_id: str) -> Peer:
    peer = Peer(user_id)
    await peer.connect(server.url)
    await peer.log_in(server.token(user_id))
    return peer


async def look(
    server: PrivateServer, others: Crowd, rate: float, writer: Peer, readers: list[Peer]
) -> tuple[list[float], int]:
    """Let all write for a time; return delivery times of the others, and by how many KB it grew."""
    others.figures.clear()
    pid = server.worker_pid
    before = highest = resident(pid)
    writing = asyncio.gather(others.write_open(SECONDS, rate), write_to(writer, readers, SECONDS))
    while not writing.done():
        highest = max(highest, resident(pid))
        await asyncio.sleep(SAMPLE)
    await writing
    await others.settle()
    return others.figures.deliveries, highest - before


async def write_to(writer: Peer, readers: list[Peer], seconds: float) -> None:
    """Write long messages to some users in turn, at an even rate."""
    sent = 0
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        while sent < passed * LONG_RATE:
            reader = readers[sent % len(readers)]
            writer.send(type="send_private_message", recipientId=reader.user_id, content=LONG)
            sent += 1
        await asyncio.sleep(0.005)


def stop_reading(peer: Peer) -> None:
    """Read nothing any more."""
    assert peer.transport is not None
    transport: Any = peer.transport.underlying_transport
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    transport.pause_reading()


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
