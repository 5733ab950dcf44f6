"""Limits over several hosts, with a real Redis between them."""

import asyncio
import time
from dataclasses import replace

import aiohttp
import pytest

from fastchat.admission.table import WindowTable
from tests.functional.broker.redis_process import KINDS, RedisProcess
from tests.functional.chat.conftest import Workers, make_places
from tests.functional.chat.queued import until
from tests.functional.chat.talking import say, say_id
from tests.functional.chat.test_limits import assert_limited
from tests.functional.chat.test_lossy_bus import PATIENCE

HERE = "127.0.0.1"
FULL = (1008, "Connection limit exceeded")


@pytest.fixture
async def redis(tmp_path):
    process = RedisProcess(tmp_path / "redis", KINDS[-1])
    await process.start()
    yield process
    process.kill()


@pytest.fixture
async def start_hosts(start_chat, redis):
    """A function that starts hosts with so many workers each, and returns all the workers."""

    async def start(*counts, **settings):
        workers = Workers()
        places = []
        for count in counts:
            table = WindowTable(seats=count + 2) if count > 1 else None
            places += [
                replace(place, host=replace(place.host, table=table))
                for place in make_places(count)
            ]
        starts = (start_chat(place, REDIS_URL=redis.url, **settings) for place in places)
        workers.extend(await asyncio.gather(*starts))
        await until(
            lambda: all(worker.server.others.peers == len(workers) - 1 for worker in workers),
            PATIENCE,
        )
        return workers

    return start


async def counted(worker, messages, user_id="1"):
    """Wait until a worker has counted so many messages of a user, whoever admitted them."""
    window, _ = worker.server.limits.windows_of(user_id)

    def is_counted():
        now = time.monotonic()
        return window.wait(now, messages) > 0.0 and window.wait(now, messages + 1) == 0.0

    await until(is_counted, PATIENCE)


async def is_full(worker, client):
    """Open one connection more; tell whether it is refused."""
    async with await type(client).open(worker.url) as another:
        return await another.wait_closed() == FULL


def distant(worker):
    """How many connections this address has on other hosts, as far as a worker counts them."""
    return worker.server.rules.distant_by_ip.get(HERE, 0)


async def test_the_devices_of_a_user_on_several_hosts_share_his_window(start_hosts):
    workers = await start_hosts(2, 1, MESSAGE_RATE_LIMIT="5", COMMAND_RATE_LIMIT="1")
    devices = await workers.join(*[1 for _ in workers])
    for number in range(5):
        await say_id(devices[number % len(devices)], "2", str(number))
        for worker in workers:
            await counted(worker, number + 1)
    assert (await devices[0].request(type="test"))["type"] == "test_response"
    _, window = workers[-1].server.limits.windows_of("1")
    await until(lambda: window.wait(time.monotonic(), 1) > 0.0, PATIENCE)
    for device in devices:
        assert_limited(await say(device, "2"))
        assert_limited(await device.request(type="test"))


async def test_who_goes_to_another_host_takes_what_he_did_along(start_hosts):
    workers = await start_hosts(1, 1, MESSAGE_RATE_LIMIT="3")
    (alice,) = await workers.join(1)
    await say_id(alice, "2")
    await say_id(alice, "2")
    await alice.close()
    alice = await workers[1].join(1)
    await counted(workers[1], 2)
    await say_id(alice, "2")
    assert_limited(await say(alice, "2"))
    # And back again, where the first two are known.
    await alice.close()
    alice = await workers[0].join(1)
    await counted(workers[0], 3)
    assert_limited(await say(alice, "2"))


async def test_an_address_opens_so_many_connections_on_all_hosts_together(start_hosts):
    workers = await start_hosts(2, 1, MAX_CONNECTIONS_PER_IP="3")
    one, two, three = workers
    first = await one.guest()
    await until(lambda: distant(three) == 1, PATIENCE)
    await three.guest()
    # One worker of the first host hears of it, and all of them count it.
    await until(lambda: distant(one) + distant(two) == 1, PATIENCE)
    await two.guest()
    await until(lambda: distant(three) == 2, PATIENCE)
    for worker in workers:
        assert await is_full(worker, first)
    await first.close()
    await until(lambda: distant(three) == 1, PATIENCE)
    await three.guest()
    await until(lambda: distant(one) + distant(two) == 2, PATIENCE)
    assert await is_full(one, first)
    # The other worker of the host hears of it when the one that was told ends.
    other, told = sorted((one, two), key=distant)
    await told.server.stop()
    await until(lambda: distant(other) == 2, PATIENCE)
    # What a host had is given back when it ends.
    await three.server.stop()
    await until(lambda: distant(other) == 0, PATIENCE)
    await other.guest()


async def test_an_address_makes_so_many_requests_on_all_hosts_together(start_hosts):
    workers = await start_hosts(1, 1, IP_RATE_LIMIT="2")
    for worker, other in (workers, reversed(workers)):
        # Each is a request too, and told together with the connection.
        await worker.guest()
        await until(lambda other=other: distant(other) == 1, PATIENCE)
    async with aiohttp.ClientSession() as http:
        for worker in workers:
            async with http.get(f"{worker.http_url}/nowhere") as response:
                assert response.status == 429


async def test_without_redis_each_host_counts_for_itself_and_nothing_waits(start_hosts, redis):
    workers = await start_hosts(1, 1, MESSAGE_RATE_LIMIT="3", MAX_CONNECTIONS_PER_IP="3")
    devices = await workers.join(1, 1)
    await say_id(devices[0], "2")
    for worker in workers:
        await counted(worker, 1)
        await until(lambda worker=worker: distant(worker) == 1, PATIENCE)
    redis.kill()
    await until(lambda: not any(map(distant, workers)), PATIENCE)
    for device in devices:
        for _ in range(2):
            started = time.monotonic()
            await say_id(device, "2")
            assert time.monotonic() - started < 1.0
        assert_limited(await say(device, "2"))
    for worker in workers:
        await worker.guest()
        await worker.guest()
        assert await is_full(worker, devices[0])
    await redis.start()
    await until(lambda: [distant(worker) for worker in workers] == [3, 3], PATIENCE)
