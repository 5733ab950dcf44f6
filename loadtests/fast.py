"""A crowd on picows, for more connections and messages than greenlets can have.

One user of Locust is a whole crowd: it lives on an event loop of its own in a native thread, and
Locust gets its figures four times a second. One core drives more than 10 000 connections.

    JWT_SECRET=… locust -f loadtests/fast.py --headless -u 1 -t 60s \\
        --connections 10000 --rate 2000 --users-per-worker 10000 --host ws://127.0.0.1:3001
"""

import asyncio
import itertools
import resource
import threading
from collections import deque

import gevent
import uvloop
from gevent import get_hub
from locust import User, constant, task
from locust.exception import StopUser

import loadtests.ending  # noqa: F401  # it listens
from fastchat.bench.crowd import Crowd
from loadtests.arguments import first_user, token

REPORT_EVERY = 0.25  # seconds
DESCRIPTORS = 200  # besides the connections

numbers = itertools.count()  # of the crowds of this process


class CrowdUser(User):
    """Everybody at once; as many of these as there are workers."""

    wait_time = constant(0)

    def on_start(self) -> None:
        options = self.environment.parsed_options
        number = next(numbers)
        if (number + 1) * options.connections > options.users_per_worker:
            raise SystemExit(
                f"--users-per-worker {options.users_per_worker}: expected"
                f" {(number + 1) * options.connections} or more for {number + 1} crowds"
            )
        first = first_user(self.environment) + number * options.connections
        users = [str(first + index) for index in range(options.connections)]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = (number + 1) * options.connections + DESCRIPTORS
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, wanted)), hard))
        self.crowd = Crowd(
            self.host or "", token, users, spread=bool(options.spread), first_address=first
        )
        self.batches: deque[tuple[str, str, list[float]]] = deque()
        self.may_stop = threading.Event()
        self.failure = ""
        # In a native thread: an event loop would stop all greenlets of this one.
        self.running = get_hub().threadpool.spawn(self.run_crowd, float(options.rate))

    @task
    def report(self) -> None:
        gevent.sleep(REPORT_EVERY)
        self.hand_over()
        if self.running.ready():
            raise StopUser

    def on_stop(self) -> None:
        self.may_stop.set()
        self.running.get(timeout=60)
        self.hand_over()
        figures = self.crowd.tally.report() | self.crowd.figures.refused
        figures["never delivered"] = self.crowd.open_messages
        figures["failed"] = int(bool(self.failure))
        print(", ".join(f"{name}: {count}" for name, count in figures.items()), self.failure)
        for name, count in figures.items():
            for _ in range(count):
                self.environment.stats.log_error("CHECK", name, self.failure or name)
                self.environment.stats.log_request("CHECK", name, 0, 0)

    def hand_over(self) -> None:
        while self.batches:
            kind, name, samples = self.batches.popleft()
            for seconds in samples:
                self.environment.stats.log_request(kind, name, seconds * 1000, 0)

    def run_crowd(self, rate: float) -> None:
        """Run the crowd; in the native thread."""
        try:
            uvloop.run(self.live(rate))
        except Exception as error:
            self.failure = f"{type(error).__name__}: {error}"

    async def live(self, rate: float) -> None:
        collecting = asyncio.create_task(self.collect())
        try:
            await self.crowd.open()
            while not self.may_stop.is_set():
                await self.crowd.write_open(REPORT_EVERY, rate)
            await self.crowd.settle()
        finally:
            await self.crowd.close()
            collecting.cancel()
            self.pass_on()

    async def collect(self) -> None:
        while True:
            await asyncio.sleep(REPORT_EVERY)
            self.pass_on()

    def pass_on(self) -> None:
        """Put what came since the last time where the greenlet finds it."""
        figures = self.crowd.figures
        for kind, name, samples in (
            ("CONNECT", "connect", figures.connects),
            ("ASK", "log-in", figures.logins),
            ("ASK", "direct ack", figures.acks),
            ("DELIVERY", "direct delivery", figures.deliveries),
        ):
            self.batches.append((kind, name, samples.copy()))
            samples.clear()
