"""What it costs when several workers write to the same rooms at the same time.

Lanes in one process stand for the workers. Each stores batches of 64, all for the same 50 rooms or
for rooms of its own. ``extra_info`` has PostgreSQL's processor time per message, in microseconds,
over the backends of all lanes.
"""

import asyncio
import itertools

import asyncpg
import pytest

from benchmarks.test_batch_insert import TEXT, processor_seconds
from fastchat._speedups import LatencyHistogram
from fastchat.store.batch import Entry, group
from fastchat.store.lane import Lane
from fastchat.store.writer import BATCH_SIZES
from tests.functional.store.writing import Columns, add_users, connect_lane, make_message

ROUNDS = 40
HOT_ROOMS = 50
SIZE = 64
MOST_LANES = 4


@pytest.fixture
def runner():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def lanes(runner, database):
    async def prepare():
        admin = await asyncpg.connect(database)
        rooms = HOT_ROOMS * MOST_LANES
        await add_users(admin, 2 * rooms)
        await admin.execute(
            "INSERT INTO chat_rooms (room_id) SELECT id FROM generate_series(1, $1::int) id", rooms
        )
        await admin.execute("VACUUM ANALYZE")
        await admin.close()
        made = [
            Lane(
                lambda: connect_lane(database),
                Columns(),
                max_batch=256,
                batch_sizes=LatencyHistogram(BATCH_SIZES),
                block_check_fail_open=True,
            )
            for _ in range(MOST_LANES)
        ]
        return made, [(await lane.fence.ready()).get_server_pid() for lane in made]

    made, pids = runner.run(prepare())
    yield made, pids
    for lane in made:
        runner.run(lane.stop(1.0))


@pytest.mark.parametrize("rooms", ["own rooms", "the same rooms"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_lanes(benchmark, runner, lanes, count, rooms):
    lanes, pids = lanes
    numbers = itertools.count()
    stored = []

    def make_batch(lane):
        entries = []
        for _ in range(SIZE):
            number = next(numbers)
            first = HOT_ROOMS * lane if rooms == "own rooms" else 0
            index = first + number % HOT_ROOMS
            room = (index + 1, str(2 * index + 1), str(2 * index + 2))
            message = make_message(room, TEXT, client_message_id=f"c-{number:x}")
            entries.append(Entry(message, stored.append, float("inf")))
        return group(entries)

    async def write(lane):
        for _ in range(ROUNDS // count):
            await lanes[lane]._store(make_batch(lane))

    async def write_all():
        await asyncio.gather(*(write(lane) for lane in range(count)))

    runner.run(write_all())
    stored.clear()
    before = sum(map(processor_seconds, pids))
    benchmark.pedantic(lambda: runner.run(write_all()), rounds=3)
    messages = 3 * count * (ROUNDS // count) * SIZE
    spent = sum(map(processor_seconds, pids)) - before
    benchmark.extra_info["postgres_us"] = round(spent / messages * 1e6, 1)
    assert len(stored) == messages
    assert all(outcome.seq > 0 for outcome in stored)
