"""A lane's own share of a batch: from messages to the arguments, and from the answer to outcomes.

The database answers at once, so this is the batch without asyncpg and PostgreSQL, which are in
``test_batch_insert``.
"""

import asyncio

import pytest

from benchmarks.in_process import GROUP, GROUP_ROOM, InstantDatabase
from fastchat._speedups import LatencyHistogram
from fastchat.store.batch import Entry, NewMessage, group
from fastchat.store.lane import Lane
from fastchat.store.writer import BATCH_SIZES
from tests.functional.store.writing import Columns, make_message

TEXT = "5a" * 208  # 200 bytes of text, encrypted, in hexadecimal


@pytest.fixture
def runner():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def lane(runner):
    async def make():
        return Lane(
            InstantDatabase([]).connect,
            Columns(),
            max_batch=256,
            batch_sizes=LatencyHistogram(BATCH_SIZES),
            block_check_fail_open=True,
        )

    return runner.run(make())


def make_group_message(number):
    return NewMessage(
        *(GROUP_ROOM, GROUP, None, None, str(number), None),
        *(None, TEXT, "1f" * 16, "cbc:"),
        client_message_id=f"c-{number}",
    )


def make_direct_message(number):
    room = (number + 1, str(2 * number + 1), str(2 * number + 2))
    return make_message(room, TEXT, client_message_id=f"c-{number}")


@pytest.mark.parametrize("make", [make_direct_message, make_group_message], ids=["direct", "group"])
@pytest.mark.parametrize("size", [1, 16, 240])
def test_batch_without_a_database(benchmark, runner, lane, size, make):
    messages = [make(number) for number in range(size)]
    stored = []

    def store():
        batch = group([Entry(message, stored.append, float("inf")) for message in messages])
        runner.run(lane._store(batch))

    benchmark.pedantic(store, rounds=200, warmup_rounds=3)
    assert len(stored) == lane.messages == 203 * size
    assert all(outcome.seq > 0 for outcome in stored)
