"""All clients drop and return at once: how long until everybody is authenticated again.

They come back without any pause, and those who are refused try again at once. They take presence in
batches, and the most that one of them gets within 100 ms is counted, by the time that the server
gives them. Nobody is told of who returns within the grace period, so that a shorter one and a pause
before they return show more: ``--grace 0.1 --away 2``.

    python -m loadtests.storm [--clients 5000] [--workers 2] [--scope none] [--storms 3]
        [--grace 60] [--away 0]
"""

import argparse
import asyncio
import resource
import time
from collections import deque
from datetime import datetime

from picows import WSFrame, WSMsgType, WSTransport

from fastchat.bench.addresses import address_of
from fastchat.bench.peer import Peer, PeerError
from fastchat.bench.private_server import (
    UNLIMITED,
    PrivateServer,
    private_database,
    private_server,
)

MOST_FILES = 1_000_000
AT_ONCE = 200  # at the first log-in, which is no storm
SETTLE = 2.0  # seconds
MOMENT = 0.1  # seconds
CLOCK = 0.0005  # seconds; less than what the server's times are rounded to
BATCH = b'{"type":"presence_changes"'


class Counter:
    """Counts the events of presence that all clients get, and the users in them."""

    def __init__(self) -> None:
        self.events = self.users = 0
        self.size = 0  # of the largest, in bytes
        self.most = 0  # for one client within a moment

    def take(self, payload: bytes, recent: deque[float]) -> None:
        """Count an event of a client that got some others recently."""
        # Millions of users come together: to decode them all would be what is measured.
        text = payload.rpartition(b'"timestamp":"')[2].removesuffix(b'"}').decode()
        told_at = datetime.fromisoformat(text).timestamp()
        while recent and told_at - recent[0] > MOMENT - CLOCK:
            recent.popleft()
        recent.append(told_at)
        self.events += 1
        self.users += payload.count(b'"username":')
        self.size = max(self.size, len(payload))
        self.most = max(self.most, len(recent))

    async def settle(self) -> None:
        """Wait until nobody is told of anybody any more."""
        known = -1
        while known != self.events:
            known = self.events
            await asyncio.sleep(SETTLE)

    def __str__(self) -> str:
        if not self.events:
            return "none"
        return (
            f"{self.events:,} events of {self.users:,} users, {self.size / 1024:.1f} KiB the "
            f"largest, at most {self.most} for a client within {MOMENT * 1000:.0f} ms"
        )


class Watcher(Peer):
    """A client that takes presence in batches."""

    def __init__(self, user_id: str, counter: Counter) -> None:
        super().__init__(user_id)
        self.counter = counter
        self.recent: deque[float] = deque()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            payload = frame.get_payload_as_bytes()
            if payload.startswith(BATCH):
                self.counter.take(payload, self.recent)
                return
        super().on_ws_frame(transport, frame)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scope", default="none", choices=("none", "contacts", "all"))
    parser.add_argument("--storms", type=int, default=3)
    parser.add_argument("--grace", type=float, default=60.0, help="seconds until one is offline")
    parser.add_argument("--away", type=float, default=0.0, help="seconds before they return")
    args = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, MOST_FILES), hard))
    settings = UNLIMITED | {
        "WEB_CONCURRENCY": str(args.workers),
        "DB_MAX_CONNECTIONS": "20",
        "PRESENCE_SCOPE": args.scope,
        "OFFLINE_GRACE_PERIOD_MS": str(round(args.grace * 1000)),
    }
    with (
        private_database(args.clients) as (dsn, postgres_pid),
        private_server(dsn, settings, postgres_pid=postgres_pid) as server,
    ):
        asyncio.run(measure(server, args.clients, args.storms, args.away))


async def measure(server: PrivateServer, clients: int, storms: int, away: float) -> None:
    tokens = [server.token(number + 1) for number in range(clients)]
    counter = Counter()
    peers: list[Peer] = []
    turns = asyncio.Semaphore(AT_ONCE)

    async def enter(number: int) -> Peer:
        async with turns:
            return await come(server, number, tokens[number], counter)

    peers = await asyncio.gather(*(enter(number) for number in range(clients)))
    await counter.settle()
    print(f"first log-in of {clients:,} clients, presence: {counter}", flush=True)
    for storm in range(storms):
        counter = Counter()
        before = server.page("/metrics")
        for peer in peers:
            peer.cut()
        await asyncio.sleep(away)
        started = time.monotonic()
        peers = await asyncio.gather(
            *(come(server, number, tokens[number], counter) for number in range(clients))
        )
        took = time.monotonic() - started
        after = server.page("/metrics")
        queries = after["database"]["queries"] - before["database"]["queries"]
        await counter.settle()
        print(
            f"storm {storm + 1}: {clients:,} clients authenticated again in {took:.1f} s, "
            f"{queries:,} queries, presence: {counter}",
            flush=True,
        )
    for peer in peers:
        peer.close()


async def come(server: PrivateServer, number: int, token: str, counter: Counter) -> Peer:
    """Connect and log in, however often it takes."""
    while True:
        peer = Watcher(str(number + 1), counter)
        try:
            await peer.connect(server.url, address_of(number))
            await peer.log_in(token, presenceBatches=True)
        except PeerError:
            peer.cut()
            await asyncio.sleep(0)
        else:
            return peer


if __name__ == "__main__":
    main()
