"""The short dose: faults of many kinds under load, and nothing is lost, doubled or misplaced.

The long dose is ``make faults``.
"""

import asyncio
import random

import pytest

from tests.faults.faults import EMBEDDED, FAULTS, REDIS
from tests.faults.rig import Rig
from tests.faults.servers import EmbeddedServers, Servers
from tests.functional.store.folders import public_folder

SEED = 6
SHOWN = 10  # violations
ENOUGH = 200  # messages before the faults, and after them


@pytest.fixture
def folder():
    # A COMMIT takes time on a disk, so that much is under way at any moment.
    with public_folder(on_disk=True) as folder:
        yield folder


async def play(servers, faults, *parts):
    """Let faults happen, part after part, and demand that nothing is wrong after each."""
    rig = Rig(servers, users=12, groups=2, rate=1000.0, seed=SEED)
    chance = random.Random(SEED)
    try:
        await rig.start()
        for names in parts:
            rig.load.turn_on()
            await rig.further(ENOUGH)
            async with asyncio.TaskGroup() as group:
                for name in names:
                    group.create_task(faults[name].play(rig, chance))
            await rig.further(ENOUGH)
            found = await rig.settle()
            assert not found, "\n".join([f"after {names}", *map(str, found[:SHOWN])])
    finally:
        await rig.stop()
    assert rig.messages > len(parts) * ENOUGH


async def test_nothing_is_lost_when_workers_of_one_host_and_its_database_fail(folder):
    await play(
        Servers(folder, workers=2),
        FAULTS,
        ["kill -9 of a worker", "answers to COMMIT cut off", "clients half open"],
        ["rolling restart", "kill -9 of PostgreSQL", "step of the clock", "clients reset"],
        ["SIGSTOP of a worker", "read-only database", "clients that never read, 10 %"],
    )


async def test_nothing_is_lost_when_hosts_cannot_talk_through_redis(folder):
    await play(
        Servers(folder, hosts=2, workers=1),
        FAULTS | REDIS,
        ["kill -9 of Redis", "kill -9 of the supervisor"],
        ["network to Redis silent", "network to PostgreSQL cut", "all clients at once"],
    )


async def test_nothing_is_lost_when_a_server_dies_with_its_embedded_database(folder):
    await play(EmbeddedServers(folder), EMBEDDED, list(EMBEDDED))
