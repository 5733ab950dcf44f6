"""What a message costs in a batch: the writer's statement at batches of 1, 16, 64 and 256.

Wall time per batch is pytest-benchmark's. ``extra_info`` has the CPU time per message, in
microseconds, of PostgreSQL's backend (without WAL writer and checkpointer) and of this process.
"""

import asyncio
import itertools
import time
from pathlib import Path

import asyncpg
import pytest

from fastchat._speedups import LatencyHistogram
from fastchat.store.batch import Entry, group
from fastchat.store.lane import Lane
from fastchat.store.writer import BATCH_SIZES
from tests.functional.store.writing import Columns, add_users, connect_lane, make_message

ROUNDS = 60
HOT_ROOMS = 50
ROOMS = 20_000
TEXT = "5a" * 208  # 200 bytes of text, encrypted, in hexadecimal


def processor_seconds(pid):
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


@pytest.fixture
def runner():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def lane(runner, database):
    """A lane that is driven by hand, on a database with many users and rooms."""

    async def prepare():
        admin = await asyncpg.connect(database)
        await add_users(admin, 2 * ROOMS)
        await admin.execute(
            "INSERT INTO chat_rooms (room_id) SELECT id FROM generate_series(1, $1::int) id", ROOMS
        )
        await admin.execute("VACUUM ANALYZE")
        await admin.close()
        lane = Lane(
            lambda: connect_lane(database),
            Columns(),
            max_batch=256,
            batch_sizes=LatencyHistogram(BATCH_SIZES),
            block_check_fail_open=True,
        )
        return lane, (await lane.fence.ready()).get_server_pid()

    lane, pid = runner.run(prepare())
    yield lane, pid
    runner.run(lane.stop(1.0))


@pytest.mark.parametrize("spread", ["hot", "different"])
@pytest.mark.parametrize("size", [1, 16, 64, 256])
def test_batch(benchmark, runner, lane, size, spread):
    lane, pid = lane
    numbers = itertools.count()
    stored = []

    def make_batch():
        entries = []
        for _ in range(size):
            number = next(numbers)
            # A step that visits all rooms, not in their order.
            index = number % HOT_ROOMS if spread == "hot" else number * 7919 % ROOMS
            room = (index + 1, str(2 * index + 1), str(2 * index + 2))
            message = make_message(room, TEXT, client_message_id=f"c-{number:x}")
            entries.append(Entry(message, stored.append, float("inf")))
        return (group(entries),), {}

    def store(batch):
        runner.run(lane._store(batch))

    for _ in range(10):
        store(*make_batch()[0])
    stored.clear()
    backend, own = processor_seconds(pid), time.process_time()
    benchmark.pedantic(store, setup=make_batch, rounds=ROUNDS)
    count = ROUNDS * size
    benchmark.extra_info["postgres_us"] = round((processor_seconds(pid) - backend) / count * 1e6, 1)
    benchmark.extra_info["client_us"] = round((time.process_time() - own) / count * 1e6, 1)
    assert len(stored) == count
    assert all(outcome.seq > 0 for outcome in stored)
