"""Workers of different hosts, with a real Redis between them that dies, freezes and comes back."""

import asyncio
import secrets
import time

import aiohttp
import pytest

from fastchat.broker.exchange import SILENCE
from fastchat.host import Host, Place
from fastchat.telemetry.board import Board
from fastchat.telemetry.census import Registrar
from tests.functional.broker.redis_process import KINDS, RedisCluster, RedisProcess
from tests.functional.chat.conftest import Workers
from tests.functional.chat.queued import until
from tests.functional.chat.talking import say_id
from tests.functional.chat.test_http import get_json
from tests.functional.chat.test_lossy_bus import LATEST, PATIENCE, seqs
from tests.functional.chat.test_several_workers import texts


@pytest.fixture(params=KINDS)
async def redis(request, tmp_path):
    process = RedisProcess(tmp_path / "redis", request.param)
    await process.start()
    yield process
    process.kill()


@pytest.fixture
def start_hosts(start_chat):
    """A function that starts hosts of one worker each."""

    async def start(url, count=2, **settings):
        hosts = Workers()
        for _ in range(count):
            host = Host(sockets=(), board=Board(3), bus=secrets.token_hex(8))
            Registrar(host.board, 1)
            place = Place(host=host, worker=1, run=1, seat=1)
            hosts.append(await start_chat(place, REDIS_URL=url, **settings))
        await until(lambda: all(h.server.others.peers == count - 1 for h in hosts), PATIENCE)
        return hosts

    return start


async def health(host):
    async with aiohttp.ClientSession() as http:
        return await get_json(http, f"{host.http_url}/health")


def is_up(hosts):
    return all(host.server.others.is_up for host in hosts)


async def test_users_of_different_hosts_chat_in_order(start_hosts, redis):
    hosts = await start_hosts(redis.url, 3)
    alice, bob = await hosts.join(1, 2)
    watcher = await hosts[2].join(1)

    async def talk(client, recipient):
        await asyncio.gather(*(say_id(client, recipient, str(number)) for number in range(100)))

    await asyncio.gather(talk(alice, "2"), talk(bob, "1"))
    await until(lambda: len(seqs(watcher)) == 200, PATIENCE)
    assert seqs(watcher) == list(range(1, 201))
    body = await health(hosts[0])
    assert body["redis"] == {"connected": True}
    assert body["problems"] == []


async def test_without_redis_messages_are_stored_at_once_and_arrive_within_seconds(
    start_hosts, redis
):
    hosts = await start_hosts(redis.url)
    alice, bob = await hosts.join(1, 2)
    message_id = await say_id(alice, "2", "before")
    await bob.expect("new_private_message")
    redis.kill()
    await until(lambda: not is_up(hosts), PATIENCE)
    for number in range(3):
        started = time.monotonic()
        await say_id(alice, "2", str(number))
        assert time.monotonic() - started < SILENCE
        await until(lambda number=number: len(texts(bob)) == number + 2, PATIENCE)
        assert time.monotonic() - started < LATEST
    await alice.request(type="edit_message", messageId=message_id, content="edited")
    await bob.expect("message_edited", PATIENCE)
    body = await health(hosts[0])
    assert body["status"] == "degraded"
    assert body["redis"] == {"connected": False}
    await redis.start()
    await until(lambda: is_up(hosts), PATIENCE)
    await say_id(alice, "2", "after")
    await until(lambda: texts(bob)[-1] == "after", PATIENCE)
    assert seqs(bob) == list(range(1, 6))


async def test_what_is_sent_while_redis_is_frozen_arrives_once(start_hosts, redis):
    hosts = await start_hosts(redis.url)
    alice, bob = await hosts.join(1, 2)
    redis.freeze()
    try:
        for number in range(20):
            await say_id(alice, "2", str(number))
        await until(lambda: len(seqs(bob)) == 20, PATIENCE)
    finally:
        redis.thaw()
    await until(lambda: is_up(hosts), PATIENCE)
    await say_id(alice, "2", "after")
    await until(lambda: len(seqs(bob)) == 21, PATIENCE)
    assert seqs(bob) == list(range(1, 22))


async def test_a_host_that_ends_is_forgotten(start_hosts, redis):
    hosts = await start_hosts(redis.url)
    await hosts.join(1, 2)
    await hosts[1].server.stop()
    await until(lambda: hosts[0].server.others.peers == 0, PATIENCE)
    assert not hosts[0].server.hub.is_connected("2")


async def test_users_chat_through_a_cluster(start_hosts, tmp_path):
    cluster = RedisCluster(tmp_path / "cluster", KINDS[-1])
    try:
        await cluster.start()
        hosts = await start_hosts(cluster.nodes[0].url, 3)
        alice, bob = await hosts.join(1, 2)
        for number in range(20):
            await say_id(alice, "2", str(number))
        await until(lambda: len(seqs(bob)) == 20, PATIENCE)
        assert seqs(bob) == list(range(1, 21))
    finally:
        cluster.kill()
