"""What a read mark costs in a batch: positions of 1, 16 or 64 readers, each in a room of his own.

``extra_info`` has the CPU time per mark, in microseconds, of PostgreSQL's backend and of this
process; wall time per batch is pytest-benchmark's.
"""

import asyncio
import itertools
import time

import asyncpg
import pytest

from benchmarks.reading import processor_seconds
from fastchat.store.fence import Fence
from fastchat.store.messages import MessageRef
from fastchat.store.read_marks import Marked, ReadMarks
from fastchat.store.rooms import Room
from tests.functional.store.writing import connect_lane

ROOMS = 5_000
ROUNDS = 60
LENGTH = 100  # messages of a room

FILL = f"""
INSERT INTO chat_rooms (room_id, seq, rev)
    SELECT id, {LENGTH}, {LENGTH} FROM generate_series(1, {ROOMS}) id;
INSERT INTO room_members (user_id, room_id)
    SELECT unnest(ARRAY['a' || id, 'b' || id]), id FROM generate_series(1, {ROOMS}) id;
INSERT INTO chat_messages (room_id, seq, rev, created_at, sender_id)
    SELECT id, seq, seq, now(), 'a' || id
    FROM generate_series(1, {LENGTH}) seq, generate_series(1, {ROOMS}) id;
"""


class Lanes:
    """A writer with one lane that hands marks back, so that the benchmark can run them by hand."""

    def add_work(self, perform, **_):
        self.perform = perform
        return [self]

    async def do(self, mark):
        return mark


@pytest.fixture
def runner():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def fence(runner, database):
    async def prepare():
        admin = await asyncpg.connect(database)
        await admin.execute(FILL)
        await admin.execute("VACUUM ANALYZE")
        await admin.close()
        fence = Fence(lambda: connect_lane(database))
        return fence, (await fence.ready()).get_server_pid()

    fence, pid = runner.run(prepare())
    yield fence, pid
    fence.drop()


@pytest.mark.parametrize("size", [1, 16, 64])
def test_marks(benchmark, runner, fence, size):
    fence, pid = fence
    lanes = Lanes()
    marks = ReadMarks(lanes)
    rooms = [Room(id, f"conv_{id}", f"a{id}", f"b{id}") for id in range(1, ROOMS + 1)]
    numbers = itertools.count()
    results = []

    def make_batch():
        batch = []
        for _ in range(size):
            number = next(numbers)
            room = rooms[number * 7919 % ROOMS]
            ref = MessageRef(room.room_id, 1 + number // ROOMS)
            batch.append(runner.run(marks.mark(room, ref, room.user2_id)))
        return (batch,), {}

    def mark(batch):
        results.extend(runner.run(lanes.perform(fence, batch)))

    for _ in range(10):
        mark(*make_batch()[0])
    results.clear()
    backend, own = processor_seconds(pid), time.process_time()
    benchmark.pedantic(mark, setup=make_batch, rounds=ROUNDS)
    count = ROUNDS * size
    benchmark.extra_info["postgres_us"] = round((processor_seconds(pid) - backend) / count * 1e6, 1)
    benchmark.extra_info["client_us"] = round((time.process_time() - own) / count * 1e6, 1)
    assert len(results) == count
    assert all(isinstance(result, Marked) and result.moved for result in results)
