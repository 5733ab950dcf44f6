"""What an operator wants to know of a Redis before the server uses it."""

import asyncio
import secrets
import statistics
from dataclasses import dataclass
from time import perf_counter

from fastchat.broker.redis import RedisCarrier
from fastchat.broker.redis_address import RedisAddress
from fastchat.broker.redis_connection import (
    Greeting,
    RedisConnection,
    RedisRefusal,
    RedisTimings,
    explain,
)
from fastchat.broker.redis_servers import Topology

PINGS = 5


@dataclass(frozen=True, slots=True)
class RedisFindings:
    """What was found; every text is without a secret.

    ``latency`` is the median of a few questions, in seconds. ``problems`` has a text for each part
    of a cluster that is not well, ``refusal`` says why messages do not pass, empty: they do.
    """

    greeting: Greeting
    latency: float
    servers: int
    problems: tuple[str, ...]
    refusal: str


async def probe(address: RedisAddress, timings: RedisTimings | None = None) -> RedisFindings:
    """Ask a Redis for all that the carrier needs of it; every wait is bounded.

    Raises:
        OSError: it cannot be reached.
        RedisRefusal: it does not let us in, or is too old.
    """
    timings = timings or RedisTimings()
    connection = await _connect(address, timings)
    try:
        async with asyncio.timeout(timings.patience):
            latency = await _latency(connection)
            topology = Topology.of_one(address)
            if connection.greeting.is_cluster:
                topology = Topology.of_slots(address, await connection.call("CLUSTER", "SLOTS"))
    finally:
        connection.close()
    problems = await asyncio.gather(
        *(_problem(server, timings) for server in topology.servers - {address})
    )
    if not topology.is_whole:
        problems.append("there are slots without a server")
    return RedisFindings(
        greeting=connection.greeting,
        latency=latency,
        servers=len(topology.servers),
        problems=tuple(filter(None, problems)),
        refusal=await _refusal(address, timings),
    )


async def _connect(address: RedisAddress, timings: RedisTimings) -> RedisConnection:
    return await RedisConnection.connect(
        address,
        timings,
        "fastchat:check",
        on_message=lambda connection, channel, payload: None,
        on_gone=lambda connection, channel: None,
        on_refusal=lambda connection, text: None,
        on_lost=lambda connection, reason: None,
    )


async def _latency(connection: RedisConnection) -> float:
    taken = []
    for _ in range(PINGS):
        started = perf_counter()
        await connection.call("PING")
        taken.append(perf_counter() - started)
    return statistics.median(taken)


async def _problem(server: RedisAddress, timings: RedisTimings) -> str:
    try:
        (await _connect(server, timings)).close()
    except (OSError, RedisRefusal) as error:
        return f"{server}: {explain(error)}"
    return ""


async def _refusal(address: RedisAddress, timings: RedisTimings) -> str:
    """Send a frame to ourselves, as a worker would."""
    came = asyncio.Event()
    name = f"check-{secrets.token_hex(8)}"
    carrier = RedisCarrier(
        address,
        name,
        on_frame=lambda frame: came.set(),
        on_up=lambda: None,
        on_down=lambda reason: None,
        timings=timings,
    )
    await carrier.open()
    try:
        if not carrier.is_up or not carrier.send(name, b"check"):
            return carrier.reason or "there is no way to its own channel"
        async with asyncio.timeout(timings.patience):
            await came.wait()
    except TimeoutError:
        return carrier.reason or f"a message did not come back within {timings.patience:g} s"
    finally:
        await carrier.close()
    return ""
