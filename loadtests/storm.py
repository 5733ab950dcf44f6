"""All clients drop and return at once: how long until everybody is authenticated again.

They come back without any pause, and those who are refused try again at once.

    python -m loadtests.storm [--clients 5000] [--workers 2] [--scope none] [--storms 3]
"""

import argparse
import asyncio
import resource
import time

from fastchat.bench.addresses import address_of
from fastchat.bench.peer import Peer, PeerError, Seen
from fastchat.bench.private_server import (
    UNLIMITED,
    PrivateServer,
    private_database,
    private_server,
)

MOST_FILES = 1_000_000
AT_ONCE = 200  # at the first log-in, which is no storm
SETTLE = 1.0  # seconds


class Counter:
    """Counts the events of presence that all clients get."""

    def __init__(self) -> None:
        self.events: dict[str, int] = {}

    def told(self, peer: Peer, seen: Seen) -> None:
        if seen.type in ("user_online", "user_offline"):
            self.events[seen.type] = self.events.get(seen.type, 0) + 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scope", default="none", choices=("none", "contacts", "all"))
    parser.add_argument("--storms", type=int, default=3)
    args = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, MOST_FILES), hard))
    settings = UNLIMITED | {
        "WEB_CONCURRENCY": str(args.workers),
        "DB_MAX_CONNECTIONS": "20",
        "PRESENCE_SCOPE": args.scope,
    }
    with (
        private_database(args.clients) as (dsn, postgres_pid),
        private_server(dsn, settings, postgres_pid=postgres_pid) as server,
    ):
        asyncio.run(measure(server, args.clients, args.storms))


async def measure(server: PrivateServer, clients: int, storms: int) -> None:
    tokens = [server.token(number + 1) for number in range(clients)]
    counter = Counter()
    peers: list[Peer] = []
    turns = asyncio.Semaphore(AT_ONCE)

    async def enter(number: int) -> Peer:
        async with turns:
            return await come(server, number, tokens[number], counter)

    peers = await asyncio.gather(*(enter(number) for number in range(clients)))
    for storm in range(storms):
        await asyncio.sleep(SETTLE)
        counter.events.clear()
        before = server.page("/metrics")
        for peer in peers:
            peer.cut()
        started = time.monotonic()
        peers = await asyncio.gather(
            *(come(server, number, tokens[number], counter) for number in range(clients))
        )
        took = time.monotonic() - started
        after = server.page("/metrics")
        queries = after["database"]["queries"] - before["database"]["queries"]
        print(
            f"storm {storm + 1}: {clients:,} clients authenticated again in {took:.1f} s, "
            f"{queries:,} queries, events of presence: {counter.events or 'none'}",
            flush=True,
        )
    for peer in peers:
        peer.close()


async def come(server: PrivateServer, number: int, token: str, counter: Counter) -> Peer:
    """Connect and log in, however often it takes."""
    while True:
        peer = Peer(str(number + 1), counter.told)
        try:
            await peer.connect(server.url, address_of(number))
            await peer.log_in(token)
        except PeerError:
            peer.cut()
            await asyncio.sleep(0)
        else:
            return peer


if __name__ == "__main__":
    main()
