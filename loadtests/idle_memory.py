"""How much memory an idle authenticated connection costs the server.

Starts a server with a database of its own, logs in one user per connection, leaves them idle for a
moment and divides the growth of the server's resident memory by their number. With several numbers
the connections become more and more, on the same server. What the kernel keeps for the sockets is
not in it.

    python -m loadtests.idle_memory [--connections 1000,5000] [--compression] [--csv FILE]
"""

import argparse
import asyncio
import json
import resource
import time
from pathlib import Path

from fastchat.auth.tokens import make_token
from fastchat.bench.private_server import (
    UNLIMITED,
    private_database,
    private_server,
    read_page,
)
from loadtests import table

WARM_UP = 200  # connections that come and go before the first look
AT_ONCE = 100  # log-ins under way at the same time
SETTLE = 3.0  # seconds of idling before the second look
PATIENCE = 60.0  # seconds for each connection and for the start
FILES = 200  # besides the connections

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--connections", default="5000", metavar="N,N", help="(default 5000)")
    parser.add_argument("--compression", action="store_true", help="offer permessage-deflate")
    parser.add_argument("--csv", type=Path, help="file for the memory with so many connections")
    args = parser.parse_args()
    steps = sorted({int(part) for part in args.connections.split(",")} - {0})
    most = steps[-1]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, most + FILES), hard))
    settings = UNLIMITED | {"MAX_CONNECTIONS": str(most + WARM_UP)}
    with (
        private_database(max(most, WARM_UP)) as (dsn, _),
        private_server(dsn, settings) as server,
    ):
        found = asyncio.run(
            measure(server.worker_pid, server.url, server.secret, steps, args.compression)
        )
    if args.csv is not None:
        rows = [(count, *figures.values()) for count, figures in found.items()]
        table.write(args.csv, ("connections", "resident_kb", "anonymous_kb"), rows)


async def measure(
    pid: int, url: str, secret: bytes, steps: list[int], compression: bool
) -> dict[int, dict[str, int]]:
    """Return the memory in KB by the number of connections, none among them."""
    await close(await log_in(url, secret, range(WARM_UP), compression))
    await wait_for(url, 0)
    found = {0: memory(pid)}
    streams: list[Stream] = []
    took = 0.0
    for connections in steps:
        began = time.monotonic()
        streams += await log_in(url, secret, range(len(streams), connections), compression)
        took += time.monotonic() - began
        await asyncio.sleep(SETTLE)
        await wait_for(url, connections)
        found[connections] = memory(pid)
    await close(streams)
    await wait_for(url, 0)
    # What the first ones left behind is used again, or it leaks.
    most = steps[-1]
    streams = await log_in(url, secret, range(most), compression)
    again = memory(pid)
    await close(streams)
    for name, before in found[0].items():
        for connections in steps:
            grown = found[connections][name] - before
            print(
                f"{name}: {before:,} KB before, {before + grown:,} KB with {connections:,} idle "
                f"connections; {grown / connections:.2f} KB per connection"
            )
        print(f"{name}: {again[name]:,} KB with {most:,} others after them")
    print(f"log-ins: {most / took:,.0f} per second, this program included")
    return found


async def log_in(url: str, secret: bytes, numbers: range, compression: bool) -> list[Stream]:
    """Open connections, each of a user of its own, counted from 0."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(user_id: int) -> Stream:
        async with turns, asyncio.timeout(PATIENCE):
            return await connect(url, make_token(secret, str(user_id), 3600.0), compression)

    return await asyncio.gather(*(one(number + 1) for number in numbers))


async def connect(url: str, token: str, compression: bool) -> Stream:
    """Open one connection by hand: a client library would need more memory than the server."""
    host, _, port = url.removeprefix("ws://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=4096)
    extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if compression else ""
    writer.write(
        (
            f"GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            f"{extension}\r\n"
        ).encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    await read_until(reader, b"requiresAuth")
    payload = json.dumps({"type": "authenticate", "token": token}).encode()
    # A mask of zeros leaves the payload as it is. RFC 6455, section 5.2: 126 says that two bytes
    # of length follow.
    assert 126 <= len(payload) < 65536
    writer.write(b"\x81\xfe" + len(payload).to_bytes(2, "big") + bytes(4) + payload)
    await read_until(reader, b"queuedEvents")
    return reader, writer


async def read_until(reader: asyncio.StreamReader, word: bytes) -> None:
    seen = b""
    while word not in seen:
        piece = await reader.read(4096)
        if not piece:
            raise RuntimeError(f"the server closed: {seen!r}")
        seen += piece


async def close(streams: list[Stream]) -> None:
    for _, writer in streams:
        writer.transport.abort()
    await asyncio.sleep(0)


async def wait_for(url: str, connections: int) -> None:
    """Wait until the server counts so many connections."""
    end = time.monotonic() + PATIENCE
    while (found := await asyncio.to_thread(active, url)) != connections:
        if time.monotonic() > end:
            raise RuntimeError(f"{found} connections, expected {connections}")
        await asyncio.sleep(0.1)


def active(url: str) -> int:
    return int(read_page(url, "/health")["connections"]["active"])


def memory(pid: int) -> dict[str, int]:
    """Return resident memory in KB: all of it, and what belongs to this process alone."""
    figures = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split()[:2]
        figures[name.rstrip(":")] = int(value)
    return {"resident": figures["Rss"], "anonymous": figures["Anonymous"]}


if __name__ == "__main__":
    main()
