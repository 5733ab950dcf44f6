"""What can go wrong. Each fault does its harm, ends it, and returns when its part is well again."""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

from tests.faults.device import Device
from tests.faults.host import Host
from tests.faults.load import TICK
from tests.faults.proxy import Proxy
from tests.faults.rig import Rig
from tests.functional.failure.process import until

CLOCK_STEPS = (0.3, -0.3, 7.0, -7.0, 3600.0, -3600.0, 86400.0, -86400.0)  # seconds
# Long messages to a client that does not read: more than sockets and the server keep for it.
FLOOD = 480
FLOOD_TIME = 8.0  # seconds at most
CUTS = 3  # lost answers, one after the other
PAUSE = 0.5  # seconds

Play = Callable[[Rig, random.Random], Awaitable[None]]


class Fault(NamedTuple):
    """A kind of fault; two with the same ``place`` do not happen at once."""

    place: str
    play: Play


def some(devices: list[Device], share: float, chance: random.Random) -> list[Device]:
    """A share of the devices, at least one."""
    return chance.sample(devices, max(1, round(share * len(devices))))


# Servers


def a_host(rig: Rig, chance: random.Random) -> Host:
    return chance.choice(rig.servers.hosts)


async def kill_worker(rig: Rig, chance: random.Random) -> None:
    host = a_host(rig, chance)
    await host.complete()
    with suppress(ProcessLookupError):
        os.kill(chance.choice(host.worker_pids()), signal.SIGKILL)
    await host.complete()


async def kill_all_workers(rig: Rig, chance: random.Random) -> None:
    host = a_host(rig, chance)
    await host.complete()
    for pid in host.worker_pids():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    await host.complete()


async def kill_supervisor(rig: Rig, chance: random.Random) -> None:
    host = a_host(rig, chance)
    await host.kill()
    await asyncio.sleep(chance.uniform(0.0, PAUSE))
    await host.start()
    await rig.servers.database.find()


async def freeze_worker(rig: Rig, chance: random.Random) -> None:
    host = a_host(rig, chance)
    await host.complete()
    pid = chance.choice(host.worker_pids())
    try:
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(chance.uniform(0.1, 3.0))
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


async def roll(rig: Rig, chance: random.Random) -> None:
    await a_host(rig, chance).roll()


async def step_clock(rig: Rig, chance: random.Random) -> None:
    clock = a_host(rig, chance).clock
    try:
        clock.set(chance.choice(CLOCK_STEPS))
        await asyncio.sleep(chance.uniform(PAUSE, 3 * PAUSE))
    finally:
        clock.set(0.0)


# The database


async def kill_database(rig: Rig, chance: random.Random) -> None:
    await rig.servers.database.kill()


async def restart_database(rig: Rig, chance: random.Random) -> None:
    await rig.servers.database.restart()


async def freeze_database(rig: Rig, chance: random.Random) -> None:
    await rig.servers.database.freeze(chance.uniform(0.1, 4.0))


async def make_database_read_only(rig: Rig, chance: random.Random) -> None:
    await rig.servers.database.refuse_writes(chance.uniform(0.2, 2.0))


def a_database_proxy(rig: Rig, chance: random.Random) -> Proxy:
    return chance.choice(rig.servers.database_proxies)


async def cut_commits(rig: Rig, chance: random.Random) -> None:
    """Lose some answers to statements that have stored something."""
    proxy = a_database_proxy(rig, chance)
    for _ in range(chance.randint(1, CUTS)):
        known = proxy.cuts
        proxy.cut_next_answer()
        await until(lambda known=known: proxy.cuts > known)


async def cut_database(rig: Rig, chance: random.Random) -> None:
    await cut(a_database_proxy(rig, chance), chance)


async def silence_database(rig: Rig, chance: random.Random) -> None:
    await silence(a_database_proxy(rig, chance), chance)


async def cut(proxy: Proxy, chance: random.Random) -> None:
    try:
        proxy.cut()
        await asyncio.sleep(chance.uniform(0.1, 2.0))
    finally:
        proxy.mend()


async def silence(proxy: Proxy, chance: random.Random) -> None:
    try:
        proxy.freeze()
        await asyncio.sleep(chance.uniform(0.2, 4.0))
    finally:
        proxy.thaw()


# Redis


async def kill_redis(rig: Rig, chance: random.Random) -> None:
    redis = rig.servers.redis
    redis.kill()
    try:
        await asyncio.sleep(chance.uniform(0.0, 3.0))
    finally:
        await redis.start()


async def flush_redis(rig: Rig, chance: random.Random) -> None:
    await rig.servers.redis.ask("FLUSHALL")


async def freeze_redis(rig: Rig, chance: random.Random) -> None:
    try:
        rig.servers.redis.freeze()
        await asyncio.sleep(chance.uniform(0.2, 4.0))
    finally:
        rig.servers.redis.thaw()


async def cut_redis(rig: Rig, chance: random.Random) -> None:
    await cut(chance.choice(rig.servers.redis_proxies), chance)


async def silence_redis(rig: Rig, chance: random.Random) -> None:
    await silence(chance.choice(rig.servers.redis_proxies), chance)


# Clients


async def reset_clients(rig: Rig, chance: random.Random) -> None:
    for device in some(rig.devices, chance.choice((0.01, 0.1, 0.3)), chance):
        device.reset()


async def storm(rig: Rig, chance: random.Random) -> None:
    """All drop at once and come back at once."""
    for device in rig.devices:
        device.reset()


async def leave_half_open(rig: Rig, chance: random.Random) -> None:
    devices = some(rig.devices, chance.choice((0.01, 0.1)), chance)
    try:
        for device in devices:
            device.abandon()
        await asyncio.sleep(chance.uniform(PAUSE, 4 * PAUSE))
    finally:
        for device in devices:
            device.bury()


async def slow_few(rig: Rig, chance: random.Random) -> None:
    await slow(rig, 0.01, chance)


async def slow_many(rig: Rig, chance: random.Random) -> None:
    await slow(rig, 0.1, chance)


async def slow(rig: Rig, share: float, chance: random.Random) -> None:
    """Let some stop reading, and so much be written to them that the server closes on them."""
    devices = some(rig.devices, share, chance)
    try:
        for device in devices:
            device.be_slow()
        end = rig.now() + FLOOD_TIME
        written = dict.fromkeys(map(id, devices), 0)
        while min(written.values()) < FLOOD and rig.now() < end:
            for device in devices:
                if written[id(device)] < FLOOD:
                    written[id(device)] += rig.write_to(device)
            await asyncio.sleep(TICK)
        await asyncio.sleep(chance.uniform(0.0, PAUSE))
    finally:
        for device in devices:
            device.be_quick()


FAULTS: dict[str, Fault] = {
    "kill -9 of a worker": Fault("server", kill_worker),
    "kill -9 of all workers": Fault("server", kill_all_workers),
    "kill -9 of the supervisor": Fault("server", kill_supervisor),
    "SIGSTOP of a worker": Fault("server", freeze_worker),
    "rolling restart": Fault("server", roll),
    "step of the clock": Fault("clock", step_clock),
    "kill -9 of PostgreSQL": Fault("database", kill_database),
    "fast restart of PostgreSQL": Fault("database", restart_database),
    "SIGSTOP of PostgreSQL": Fault("database", freeze_database),
    "read-only database": Fault("database", make_database_read_only),
    "answers to COMMIT cut off": Fault("database", cut_commits),
    "network to PostgreSQL cut": Fault("database", cut_database),
    "network to PostgreSQL silent": Fault("database", silence_database),
    "clients reset": Fault("clients", reset_clients),
    "clients half open": Fault("clients", leave_half_open),
    "clients that never read, 1 %": Fault("clients", slow_few),
    "clients that never read, 10 %": Fault("clients", slow_many),
    "all clients at once": Fault("clients", storm),
}

# Where several hosts share one.
REDIS: dict[str, Fault] = {
    "kill -9 of Redis": Fault("redis", kill_redis),
    "FLUSHALL of Redis": Fault("redis", flush_redis),
    "SIGSTOP of Redis": Fault("redis", freeze_redis),
    "network to Redis cut": Fault("redis", cut_redis),
    "network to Redis silent": Fault("redis", silence_redis),
}

# Of a server whose database is its own child, which goes with it.
EMBEDDED: dict[str, Fault] = {
    "kill -9 of the supervisor with its database": Fault("server", kill_supervisor),
}
