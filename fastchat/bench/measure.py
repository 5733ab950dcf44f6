"""What a machine and its database can do, found in about a minute."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from time import monotonic

from fastchat.bench.crowd import Crowd, Figures
from fastchat.bench.private_server import PrivateServer
from fastchat.bench.processes import processor_time, resident

PAIRS = 50
IN_FLIGHT = 8
WARM_UP_CONNECTIONS = 200
IDLE_CONNECTIONS = 2000
LATENCY_SHARE = 0.5  # of the most that was found
# Seconds of each step; how long the log-ins take is not known before.
WARM_UP, SETTLE, CAPACITY, LATENCY, LOGINS = 3.0, 2.0, 15.0, 15.0, 4.0
TICK = 0.25  # seconds between looks at the clock while a step goes on
USERS = WARM_UP_CONNECTIONS + IDLE_CONNECTIONS

Progress = Callable[[str, float], None]  # what is done now, and how much of all is done


@dataclass(slots=True)
class Result:
    """What was found; seconds, KB and messages per second."""

    capacity: float = 0.0
    server_time: float = 0.0  # processor seconds per message
    database_time: float = 0.0  # 0: not on this machine
    rate: float = 0.0  # at which the latencies were taken
    acks: list[float] = field(default_factory=list)
    deliveries: list[float] = field(default_factory=list)
    per_connection: float = 0.0  # KB; 0: not known
    base: int = 0  # KB of the server without connections
    logins: float = 0.0  # per second
    lost: int = 0
    refused: dict[str, int] = field(default_factory=dict)


async def measure_private(
    server: PrivateServer, progress: Progress, *, scale: float = 1.0
) -> Result:
    """Measure a private server; ``scale`` shortens or lengthens it, and its connections.

    Raises:
        PeerError: a connection could not be had.
    """
    result = Result()
    worker = server.worker_pid
    idle = max(20, int(IDLE_CONNECTIONS * min(1.0, scale)))
    warm = max(10, int(WARM_UP_CONNECTIONS * min(1.0, scale)))

    users = [str(number + 1) for number in range(warm + idle)]
    async with contextlib.AsyncExitStack() as stack:
        async with under_way(progress, "log-ins", 0.0, 0.1, LOGINS * scale):
            # What is made once is made by those who come first.
            async with crowd(server, users[:warm]):
                pass
            await until_empty(server)
            result.base = resident(worker)
            began = monotonic()
            many = await stack.enter_async_context(crowd(server, users[warm:], warm))
            result.logins = len(many.peers) / (monotonic() - began)
        async with under_way(progress, "memory of idle connections", 0.1, 0.15, SETTLE * scale):
            await asyncio.sleep(SETTLE * scale)
            result.per_connection = max(0.0, (resident(worker) - result.base) / len(many.peers))
    await until_empty(server)

    async with crowd(server, users[: 2 * min(PAIRS, warm // 2)]) as writers:
        seconds = (WARM_UP + CAPACITY) * scale
        async with under_way(progress, "the most messages", 0.15, 0.57, seconds):
            await writers.write_closed(WARM_UP * scale, IN_FLIGHT)
            writers.figures.clear()
            await _find_capacity(server, writers, result, CAPACITY * scale)
        seconds = (WARM_UP + LATENCY) * scale
        async with under_way(progress, "latency", 0.57, 0.99, seconds):
            result.rate = result.capacity * LATENCY_SHARE
            await writers.write_open(WARM_UP * scale, result.rate)
            await writers.settle()
            writers.figures.clear()
            await writers.write_open(LATENCY * scale, result.rate)
            await writers.settle()
        take(result, writers.figures)
        result.lost = writers.open_messages + writers.tally.lost
    progress("done", 1.0)
    return result


async def measure_running(
    url: str, token: Callable[[str], str], users: list[str], seconds: float, progress: Progress
) -> Result:
    """Measure a server that others use: one message of each pair in flight, within its limits.

    It takes so many seconds, or until each pair has been refused a message.

    Raises:
        PeerError: a connection could not be had.
    """
    result = Result()
    writers = Crowd(url, token, users, spread=False)
    try:
        progress("log-ins", 0.0)
        began = monotonic()
        await writers.open()
        result.logins = len(writers.peers) / (monotonic() - began)
        async with under_way(progress, "messages", 0.1, 0.99, seconds):
            began = monotonic()
            await writers.write_closed(seconds, 1)
            result.capacity = len(writers.figures.acks) / (monotonic() - began)
        result.rate = result.capacity
        take(result, writers.figures)
        result.lost = writers.open_messages + writers.tally.lost
    finally:
        await writers.close()
    progress("done", 1.0)
    return result


@contextlib.asynccontextmanager
async def under_way(
    progress: Progress, step: str, share: float, following: float, seconds: float
) -> AsyncIterator[None]:
    """Show a step, and how far it is by the clock; it should take so many seconds."""

    async def advance() -> None:
        began = monotonic()
        while True:
            passed = min(1.0, (monotonic() - began) / seconds)
            progress(step, share + passed * (following - share))
            await asyncio.sleep(TICK)

    advancing = asyncio.create_task(advance())
    try:
        yield
    finally:
        advancing.cancel()
        await asyncio.gather(advancing, return_exceptions=True)


@contextlib.asynccontextmanager
async def crowd(server: PrivateServer, users: list[str], first: int = 0) -> AsyncIterator[Crowd]:
    """Let users enter, and leave at the end."""
    found = Crowd(server.url, server.token, users, first_address=first)
    try:
        await found.open()
        yield found
    finally:
        await found.close()


async def until_empty(server: PrivateServer, patience: float = 30.0) -> None:
    """Wait until the server counts no connections."""
    end = monotonic() + patience
    while monotonic() < end:
        page = await asyncio.to_thread(server.page, "/health")
        if not page["connections"]["active"]:
            return
        await asyncio.sleep(0.1)


def take(result: Result, figures: Figures) -> None:
    """Keep what came of a load."""
    result.acks, result.deliveries = figures.acks, figures.deliveries
    result.refused = figures.refused


async def _find_capacity(
    server: PrivateServer, writers: Crowd, result: Result, seconds: float
) -> None:
    worker, postgres = server.worker_pid, server.postgres_pid
    began = monotonic()
    server_before = processor_time(worker)
    database_before = processor_time(postgres, with_children=True) if postgres else 0.0
    await writers.write_closed(seconds, IN_FLIGHT)
    count = len(writers.figures.acks) or 1
    result.capacity = count / (monotonic() - began)
    result.server_time = (processor_time(worker) - server_before) / count
    if postgres:
        spent = processor_time(postgres, with_children=True) - database_before
        result.database_time = spent / count
