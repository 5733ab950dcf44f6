"""Limits over two hosts of several processes each, with a Redis between them."""

import asyncio
import time

from tests.functional.broker.redis_process import KINDS, RedisProcess
from tests.functional.failure.process import PATIENCE, kill, until
from tests.functional.workers.test_shared_limits import Visitors
from tests.functional.workers.test_workers import connections_of

LIMIT = 6
FULL = (1008, "Connection limit exceeded")


async def test_address_has_its_connections_over_hosts_also_when_workers_die(start, tmp_path):
    redis = RedisProcess(tmp_path / "redis", KINDS[-1])
    await redis.start()
    try:
        settings = {"MAX_CONNECTIONS_PER_IP": str(LIMIT), "REDIS_URL": redis.url}
        one, two = await asyncio.gather(*(start(workers=2, **settings) for _ in range(2)))
        async with Visitors(one) as here, Visitors(two) as there:
            assert [await here.come() for _ in range(LIMIT)] == [None] * LIMIT
            await until_full(there)
            # Whichever of them was told, their successors are told anew.
            for victim in await connections_of(two, 0):
                kill(victim)
            await until(lambda: len(two.events("ready")) == 4)
            await until_full(there)
            await here.inside[-1].close()
            await until_free(there)
    finally:
        redis.kill()


async def until_full(visitors):
    await until_answer(visitors, FULL)


async def until_free(visitors):
    await until_answer(visitors, None)


async def until_answer(visitors, answer):
    """Come again until that is the answer; whoever is let in leaves."""
    end = time.monotonic() + PATIENCE
    while (found := await visitors.come()) != answer:
        assert time.monotonic() < end, f"expected {answer}, found {found}"
        if found is None:
            await visitors.inside.pop().close()
        await asyncio.sleep(0.01)
