"""Does anything grow? A server under 60 % of its load for half an hour, clients coming and going.

The most is what the server keeps up with when messages come at random, answered or not. Watched
every few seconds: resident memory, file descriptors, listening sockets and threads of the worker,
and what waits inside it. At the end everybody leaves, and what is left is held against what
was there before anybody came. The verdicts:

* memory is flat after the warm-up: the slope of the second half is below its own noise, or below
  ``--allow`` KB per minute;
* no queue of the server holds more at the end of the run than in its middle, beyond its noise;
* descriptors, listeners and threads are as before once everybody has left;
* nothing was lost, doubled, put out of order, or refused.

    python -m loadtests.soak [--minutes 30] [--connections 500] [--csv reports/soak.csv]
"""

import argparse
import asyncio
import csv
import math
import random
import sys
import urllib.request
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import uvloop

from fastchat.bench.crowd import Crowd, quantile
from fastchat.bench.measure import until_empty
from fastchat.bench.private_server import (
    UNLIMITED,
    PrivateServer,
    private_database,
    private_server,
)
from fastchat.bench.processes import processor_time, usage

SHARE = 0.6  # of the most that the server can do
REACHED = 0.95  # of what is sent; below it the server does not keep up
STEP_DOWN = 0.15  # of the rate, until the server keeps up
IN_FLIGHT = 4
CAPACITY_SECONDS = 10.0
SAMPLE_EVERY = 5.0  # seconds
SEGMENT = 1.0  # seconds of load between two looks at the clock
LEAVE_PER_MINUTE = 0.2  # of the connections that come and go
WARM_UP = 0.25  # of the time, in which memory may still grow
ALLOWED = 64.0  # KB per minute; 2 MB in half an hour
NOISE = 2.0  # standard errors
DB_CONNECTIONS = 10  # DB_MAX_CONNECTIONS
# Of /metrics/prometheus: what waits.
QUEUES = (
    "fastchat_lane_depth",
    "fastchat_events_waiting",
    "fastchat_pool_waiting",
    "fastchat_tasks",
)
PATIENCE = 40.0  # seconds for what is cleared away; the server looks every half minute


class Trend(NamedTuple):
    """A straight line through samples."""

    slope: float  # per minute
    error: float  # its standard error
    mean: float

    def grows(self, allowed: float) -> bool:
        """Tell whether it goes up by more than its noise and more than is allowed."""
        return self.slope > max(NOISE * self.error, allowed)


def trend(minutes: Sequence[float], values: Sequence[float]) -> Trend:
    """Fit a line by least squares."""
    count = len(values)
    if count < 3:
        raise ValueError(f"{count} samples: expected 3 or more")
    middle, mean = sum(minutes) / count, sum(values) / count
    spread = sum((x - middle) ** 2 for x in minutes)
    slope = sum((x - middle) * y for x, y in zip(minutes, values, strict=True)) / spread
    rest = sum((y - mean - slope * (x - middle)) ** 2 for x, y in zip(minutes, values, strict=True))
    return Trend(slope, math.sqrt(rest / (count - 2) / spread), mean)


class Soak:
    """One run."""

    def __init__(
        self,
        server: PrivateServer,
        connections: int,
        minutes: float,
        *,
        allowed: float,
        rate: float,
    ) -> None:
        self.server = server
        self.allowed = allowed  # KB per minute
        self.rate = rate  # messages per second; 0: SHARE of the most
        self.minutes = minutes
        self.worker = server.worker_pid
        users = [str(number + 1) for number in range(connections)]
        self.crowd = Crowd(server.url, server.token, users)
        self.rows: list[dict[str, float]] = []
        self.returns = 0
        self.sent = 0
        self.refused: Counter[str] = Counter()  # by code
        self.acks: list[float] = []

    async def run(self) -> list[str]:
        """Run to the end; return what is wrong."""
        # What is made once is made before the first look.
        await self.crowd.open()
        await self.crowd.write_closed(CAPACITY_SECONDS / 2, IN_FLIGHT)
        await self.leave()
        before = await self.held()
        rate = await self.begin()
        print(f"{self.minutes:g} min at {rate:,.0f} messages/s, worker {self.worker}", flush=True)
        watching = asyncio.create_task(self.watch())
        leaving = asyncio.create_task(self.come_and_go())
        end = monotonic() + self.minutes * 60
        while monotonic() < end:
            for task in (watching, leaving):
                if task.done():
                    task.result()
            await self.crowd.write_open(min(SEGMENT, max(0.01, end - monotonic())), rate)
            self.collect()
        for task in (watching, leaving):
            task.cancel()
        await asyncio.gather(watching, leaving, return_exceptions=True)
        left = await self.crowd.settle()
        self.collect()
        await self.leave()
        end = monotonic() + PATIENCE
        while grown(before, after := await self.held()) and monotonic() < end:
            await asyncio.sleep(1.0)
        return self.judge(before, after, left)

    async def begin(self) -> float:
        """Let everybody in, and return the rate of the run."""
        self.crowd.peers.clear()
        await self.crowd.open()
        self.crowd.figures.clear()
        if self.rate:
            return self.rate
        began = monotonic()
        await self.crowd.write_closed(CAPACITY_SECONDS, IN_FLIGHT)
        rate = self.acknowledged() / (monotonic() - began)
        # Users that do not wait for each other make smaller batches, so the server does less.
        while not await self.keeps_up(rate):
            rate *= 1 - STEP_DOWN
        return SHARE * rate

    async def keeps_up(self, rate: float) -> bool:
        """Tell whether nearly all of so many messages a second is acknowledged meanwhile."""
        await self.crowd.write_open(CAPACITY_SECONDS, rate)
        acknowledged = self.acknowledged()
        await self.crowd.settle()
        self.crowd.figures.clear()
        print(f"{acknowledged / CAPACITY_SECONDS:,.0f} of {rate:,.0f} messages/s", flush=True)
        return acknowledged >= REACHED * rate * CAPACITY_SECONDS

    def acknowledged(self) -> int:
        """Return how many messages have been acknowledged, and count from none again."""
        count = len(self.crowd.figures.acks)
        self.crowd.figures.clear()
        return count

    async def leave(self) -> None:
        await self.crowd.close()
        await until_empty(self.server)

    async def held(self) -> dict[str, float]:
        """Return what the worker holds, by name."""
        waiting = await asyncio.to_thread(queues, self.server.url)
        return {**usage(self.worker)._asdict(), **waiting}

    async def come_and_go(self) -> None:
        """Let one after the other leave and come back; half of them are cut off."""
        pause = 60.0 / (LEAVE_PER_MINUTE * len(self.crowd.peers))
        while True:
            await asyncio.sleep(random.expovariate(1 / pause))
            number = random.randrange(len(self.crowd.peers))
            await self.crowd.reenter(number, cut=random.random() < 0.5)
            self.returns += 1

    async def watch(self) -> None:
        began, spent, at = monotonic(), processor_time(self.worker), monotonic()
        while True:
            await asyncio.sleep(SAMPLE_EVERY)
            held = await self.held()
            now, used = monotonic(), processor_time(self.worker)
            row: dict[str, float] = {"minutes": (now - began) / 60, **held}
            row["processor"] = (used - spent) / (now - at)
            spent, at = used, now
            row["in_flight"] = self.crowd.open_messages
            row["ack_p99_ms"] = quantile(self.acks, 0.99) * 1000
            self.acks = []
            self.rows.append(row)
            print(shown(row), flush=True)

    def collect(self) -> None:
        figures = self.crowd.figures
        self.acks += figures.acks
        self.sent += figures.sent
        self.refused.update(figures.refused)
        figures.clear()

    def judge(self, before: dict[str, float], after: dict[str, float], left: int) -> list[str]:
        wrong = []
        rows = [row for row in self.rows if row["minutes"] >= WARM_UP * self.minutes]
        minutes = [row["minutes"] for row in rows]
        memory = trend(minutes, [row["resident"] for row in rows])
        print(
            f"memory: {memory.mean / 1024:.1f} MB, {memory.slope:+.1f} KB per minute"
            f" (standard error {memory.error:.1f})"
        )
        if memory.grows(self.allowed):
            wrong.append(f"memory grows by {memory.slope:.1f} KB per minute")
        for name in (*QUEUES, "in_flight"):
            values = [row.get(name, 0.0) for row in rows]
            queue = trend(minutes, values)
            print(f"{name}: {queue.mean:.1f} on average, {queue.slope:+.2f} per minute")
            # A queue that drains is empty now and then; one that grows is not.
            if queue.grows(0.0) and min(values[len(values) // 2 :]) > max(values[:3], default=0):
                wrong.append(f"{name} grows by {queue.slope:.1f} per minute")
        print(f"before: {shown(before)}\nafter:  {shown(after)}")
        wrong += grown(before, after)
        figures = self.crowd.tally.report() | {"not delivered": left}
        wrong += [f"{count} messages {name}" for name, count in figures.items() if count]
        wrong += [f"{count} messages refused: {code}" for code, count in self.refused.items()]
        print(f"{self.sent:,} messages, {self.returns:,} came back; {figures}")
        return wrong


def grown(before: dict[str, float], after: dict[str, float]) -> list[str]:
    """Say what is left of those who have gone."""
    # Connections to the database come and go with the load.
    spare = {"descriptors": DB_CONNECTIONS}
    return [
        f"{name}: {before[name]:g} before, {after[name]:g} after"
        for name in ("descriptors", "listeners", "threads", *QUEUES)
        if after[name] > before[name] + spare.get(name, 0)
    ]


def queues(url: str) -> dict[str, float]:
    """Return what waits in the server, and the tasks on its loop."""
    address = "http" + url.removeprefix("ws") + "/metrics/prometheus"
    with urllib.request.urlopen(address, timeout=10) as answer:
        text = answer.read().decode()
    found = dict.fromkeys(QUEUES, 0.0)
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        plain = name.partition("{")[0]
        if plain in found:
            found[plain] += float(value)
    return found


def shown(row: dict[str, float]) -> str:
    return ", ".join(
        f"{name} {value:,.2f}" if value < 10 else f"{name} {value:,.0f}"
        for name, value in row.items()
    )


def write(path: Path, rows: list[dict[str, float]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument(
        "--rate", type=float, default=0.0, help="messages/s instead of 60 %% of the most"
    )
    parser.add_argument("--csv", type=Path, default=Path("reports/soak.csv"))
    parser.add_argument("--allow", type=float, default=ALLOWED, help="KB per minute")
    args = parser.parse_args()
    with (
        private_database(args.connections) as (dsn, postgres_pid),
        private_server(dsn, UNLIMITED, postgres_pid=postgres_pid) as server,
    ):
        soak = Soak(server, args.connections, args.minutes, allowed=args.allow, rate=args.rate)
        wrong = uvloop.run(soak.run())
        write(args.csv, soak.rows)
        if server.process.poll() is not None:
            wrong.append("the server has ended")
    print("\n".join(f"FAIL: {one}" for one in wrong) or "ok: nothing grows")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
