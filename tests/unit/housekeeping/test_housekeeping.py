"""The round of chores."""

import asyncio
import logging

import pytest

from fastchat.errors import ServiceUnavailable
from fastchat.housekeeping import Housekeeping


async def test_chores_are_done_in_order_with_the_time_and_counted():
    calls = []

    def sweep(now):
        calls.append(("sweep", now))
        yield 1
        yield 1

    async def clean(now):
        calls.append(("clean", now))
        return 3

    housekeeping = Housekeeping({"sweep": sweep, "clean": clean}, clock=lambda: 5.0)
    await housekeeping.do_round()
    await housekeeping.do_round()
    assert calls == [("sweep", 5.0), ("clean", 5.0)] * 2
    assert housekeeping.cleared == {"sweep": 4, "clean": 6}
    assert housekeeping.runs == 2


async def test_a_chore_that_fails_does_not_stop_the_others(caplog):
    async def away(now):
        raise ServiceUnavailable

    def broken(now):
        raise KeyError("x")

    housekeeping = Housekeeping({"away": away, "broken": broken, "good": lambda now: iter([1])})
    with caplog.at_level(logging.INFO):
        await housekeeping.do_round()
    assert housekeeping.cleared == {"away": 0, "broken": 0, "good": 1}
    assert [record.levelname for record in caplog.records] == ["INFO", "ERROR"]


async def test_others_have_their_turn_after_each_slice():
    turns = []

    def sweep(now):
        for number in range(5):
            turns.append(number)
            yield 0

    async def other():
        while len(turns) < 10:
            turns.append("other")
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await Housekeeping({"sweep": sweep}).do_round()
    await task
    assert turns[:10] == [0, "other", 1, "other", 2, "other", 3, "other", 4, "other"]


async def test_rounds_go_on_until_the_end():
    done = asyncio.Event()
    rounds = []

    def chore(now):
        rounds.append(now)
        if len(rounds) == 3:
            done.set()
        yield 0

    task = asyncio.create_task(Housekeeping({"chore": chore}, interval=0.001).run())
    async with asyncio.timeout(5):
        await done.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
