"""Frames of 300 bytes from one carrier to another through a real server: our CPU, not the server's.

Both carriers live in this process, so a figure is the cost of sending and of receiving together.
"""

import asyncio
import time

import pytest
import uvloop

from fastchat.broker.redis import RedisCarrier
from fastchat.broker.redis_address import RedisAddress
from tests.functional.broker.redis_process import KINDS, RedisProcess

FRAME = b"x" * 300
TURNS = 100


class Pair:
    """A sender and a receiver; ``exchange`` ends when all has arrived."""

    def __init__(self, url: str) -> None:
        self.received = 0
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._loop = self._runner.get_loop()
        self._awaited = 0
        self._arrived = asyncio.Event()
        self._carriers: list[RedisCarrier] = []
        self._runner.run(self._open(RedisAddress.parse(url)))

    async def _open(self, address: RedisAddress) -> None:
        for name in ("sender", "receiver"):
            carrier = RedisCarrier(
                address,
                name,
                on_frame=self._count,
                on_up=lambda: None,
                on_down=lambda reason: None,
            )
            await carrier.open()
            assert carrier.is_up
            self._carriers.append(carrier)

    def _count(self, frame: bytes) -> None:
        self.received += 1
        if self.received == self._awaited:
            self._arrived.set()

    def exchange(self, frames: int) -> None:
        self._runner.run(self._exchange(frames))

    async def _exchange(self, frames: int) -> None:
        sender = self._carriers[0]
        for _ in range(TURNS):
            self._arrived.clear()
            self._awaited = self.received + frames
            for _ in range(frames):
                assert sender.send("receiver", FRAME)
            await self._arrived.wait()

    def close(self) -> None:
        for carrier in self._carriers:
            self._runner.run(carrier.close())
        self._runner.close()


@pytest.fixture(params=KINDS)
def pair(request, tmp_path):
    server = RedisProcess(tmp_path / "server", request.param)
    asyncio.run(server.start())
    opened = Pair(server.socket_url)
    yield opened
    opened.close()
    server.kill()


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("frames", [1, 32])
def test_send_and_receive(benchmark, pair, frames):
    before = pair.received
    rounds = 30
    benchmark.pedantic(pair.exchange, (frames,), rounds=rounds, warmup_rounds=3)
    assert pair.received - before == (rounds + 3) * TURNS * frames
    benchmark.extra_info["us_per_frame"] = benchmark.stats.stats.min / TURNS / frames * 1e6
