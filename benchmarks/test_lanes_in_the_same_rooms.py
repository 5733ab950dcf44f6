"""What a message costs PostgreSQL when several lanes write in the same rooms.

So do those of several workers whose users write to each other.

``extra_info`` has the CPU time per message, in microseconds, of the lanes' backends, and how many
messages were stored per second.
"""

import asyncio
import itertools
import random
import time

import asyncpg
import pytest

from benchmarks.test_batch_insert import TEXT, processor_seconds
from fastchat._speedups import LatencyHistogram
from fastchat.store.batch import Entry, group
from fastchat.store.lane import Lane
from fastchat.store.writer import BATCH_SIZES
from tests.functional.store.writing import Columns, add_users, connect_lane, make_message

ROOMS = 200
SIZE = 64  # messages of a batch
BATCHES = 40  # of each lane
ROUNDS = 5


@pytest.fixture
def runner():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def open_lanes(runner, database):
    """Make lanes on a database with users and rooms; they are driven by hand."""
    lanes = []

    async def prepare(count):
        admin = await asyncpg.connect(database)
        await add_users(admin, 2 * ROOMS)
        await admin.execute(
            "INSERT INTO chat_rooms (room_id) SELECT id FROM generate_series(1, $1::int) id", ROOMS
        )
        await admin.execute("VACUUM ANALYZE")
        await admin.close()
        lanes.extend(
            Lane(
                lambda: connect_lane(database),
                Columns(),
                max_batch=256,
                batch_sizes=LatencyHistogram(BATCH_SIZES),
                block_check_fail_open=True,
            )
            for _ in range(count)
        )
        return lanes, [(await lane.fence.ready()).get_server_pid() for lane in lanes]

    yield lambda count: runner.run(prepare(count))
    for lane in lanes:
        runner.run(lane.stop(1.0))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_lanes(benchmark, runner, open_lanes, count):
    lanes, pids = open_lanes(count)
    chance = random.Random(1)
    numbers = itertools.count()
    stored = []

    def make_batch():
        entries = []
        for _ in range(SIZE):
            index = chance.randrange(ROOMS)
            room = (index + 1, str(2 * index + 1), str(2 * index + 2))
            message = make_message(room, TEXT, client_message_id=f"c-{next(numbers):x}")
            entries.append(Entry(message, stored.append, float("inf")))
        return group(entries)

    async def drive(lane):
        for _ in range(BATCHES // count):
            await lane._store(make_batch())

    async def drive_all():
        await asyncio.gather(*map(drive, lanes))

    runner.run(drive_all())
    stored.clear()
    backends = sum(map(processor_seconds, pids))
    began = time.monotonic()
    benchmark.pedantic(lambda: runner.run(drive_all()), rounds=ROUNDS)
    used = sum(map(processor_seconds, pids)) - backends
    benchmark.extra_info["postgres_us"] = round(used / len(stored) * 1e6, 1)
    benchmark.extra_info["per_second"] = round(len(stored) / (time.monotonic() - began))
    assert len(stored) == ROUNDS * (BATCHES // count) * count * SIZE
    assert all(outcome.seq > 0 for outcome in stored)
