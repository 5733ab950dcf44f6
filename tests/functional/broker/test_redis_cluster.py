"""A cluster on this host: sharded messages, slots that move, servers that die."""

import asyncio
import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest

from fastchat.broker.redis_servers import SLOTS, slot_of
from tests.functional.broker.carrying import CALM, QUICK, Noting
from tests.functional.broker.redis_process import BEFORE_SHARDING, PATIENCE, RedisCluster, until

# Slots are read anew only when a server says or shows that something has changed.
ASKED_ONLY = replace(CALM, refresh_interval=600.0)
NAMES = [f"w{number}" for number in range(200)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Three servers; the first one has a replica."""
    servers = RedisCluster(tmp_path_factory.mktemp("cluster"), "valkey", 3, replicas=1)
    try:
        asyncio.run(servers.start())
        yield servers
    finally:
        servers.kill()


def worker(node, name, timings=ASKED_ONLY, **options):
    return Noting(node.url, name, timings=timings, **options)


def channel(name, namespace="fastchat"):
    return f"fastchat:{namespace}:0:{name}".encode()


def name_at(part):
    """Name of a worker whose slot is in a third of all, counted from 0."""
    return next(n for n in NAMES if slot_of(channel(f"worker:{n}")) * 3 // SLOTS == part)


def namespace_at(part):
    """A namespace in which messages to all have their slot in a third."""
    return next(
        name
        for name in (f"space{number}" for number in itertools.count())
        if slot_of(channel("all", name)) * 3 // SLOTS == part
    )


def name_in(namespace, part):
    return next(n for n in NAMES if slot_of(channel(f"worker:{n}", namespace)) * 3 // SLOTS == part)


async def master_of(cluster, slot):
    """The server that has a slot now, and says so itself."""
    for node in cluster.nodes:
        for first, last, (_, port, *_), *_ in await node.ask("CLUSTER", "SLOTS"):
            if first <= slot <= last and port == node.port:
                return node
    raise AssertionError(f"slot {slot}: expected a server that has it")


async def until_heard(sender, to, heard):
    """Send until something arrives."""

    def try_again():
        sender.carrier.send(to, b"again")
        return b"again" in heard.frames

    await until(try_again)


async def test_each_channel_lives_on_the_server_of_its_slot_alone(cluster):
    names = [name_at(part) for part in range(3)]
    async with (
        worker(cluster.masters[0], names[0]) as a,
        worker(cluster.masters[1], names[1]) as b,
        worker(cluster.masters[2], names[2]) as c,
    ):
        found = [set(await node.ask("PUBSUB", "SHARDCHANNELS")) for node in cluster.masters]
        for part, name in enumerate(names):
            assert channel(f"worker:{name}") in found[part]
        wanted = {channel("all"), *(channel(f"worker:{name}") for name in names)}
        assert sorted(itertools.chain(*found)) == sorted(wanted)
        for node in cluster.nodes:
            assert await node.ask("PUBSUB", "CHANNELS") == []
        for sender in (a, b, c):
            for name in names:
                assert sender.carrier.send(name, sender.name.encode())
        everybody = sorted(name.encode() for name in names)
        for receiver in (a, b, c):
            await until(lambda frames=receiver.frames: len(frames) == 3)
            assert sorted(receiver.frames) == everybody
        assert a.carrier.send_to_all(b"all")
        for receiver in (b, c):
            await until(lambda frames=receiver.frames: frames[-1] == b"all")
        assert len(a.frames) == 3


async def test_frames_keep_their_order_from_one_worker_to_another(cluster):
    names = [name_at(part) for part in range(3)]
    async with (
        worker(cluster.masters[0], names[0]) as a,
        worker(cluster.masters[0], names[1]) as b,
        worker(cluster.masters[0], names[2]) as c,
    ):
        frames = [b"%d" % number for number in range(600)]
        for number, frame in enumerate(frames):
            assert a.carrier.send(names[1], frame)
            assert a.carrier.send(names[2], frame)
            if number % 50 == 0:
                await asyncio.sleep(0)
        await b.until_frames(*frames)
        await c.until_frames(*frames)


async def test_documented_rights_are_enough(cluster):
    page = Path(__file__).parents[3].joinpath("docs", "redis.md").read_text("utf-8")
    rules = re.search(r"ACL SETUSER fastchat (.*)\n", page)[1].split()
    rules += re.search(r"on a cluster `(.*)` besides", page)[1].split()
    for node in cluster.nodes:
        await node.ask("ACL", "SETUSER", "fastchat", *rules)
    names = [name_at(part) for part in range(3)]
    login = cluster.masters[0].url.replace("//", "//fastchat:PASSWORD@")
    async with (
        Noting(login, names[0], timings=CALM) as a,
        Noting(login, names[1], timings=CALM) as b,
        Noting(login, names[2], timings=CALM) as c,
    ):
        for sender, receiver in ((a, b), (b, c), (c, a)):
            assert sender.carrier.send(receiver.name, b"to one")
            await receiver.until_frames(b"to one")
        assert a.downs == b.downs == c.downs == []


async def test_slot_that_moves_takes_its_worker_along(cluster):
    receiver, sender = name_at(1), name_at(2)
    slot = slot_of(channel(f"worker:{receiver}"))
    async with (
        worker(cluster.masters[0], sender) as a,
        worker(cluster.masters[0], receiver) as b,
    ):
        assert a.carrier.send(receiver, b"before")
        await b.until_frames(b"before")
        old, new = cluster.masters[1], cluster.masters[2]
        old_id, new_id = await cluster.id_of(old), await cluster.id_of(new)
        await new.ask("CLUSTER", "SETSLOT", str(slot), "IMPORTING", old_id)
        await old.ask("CLUSTER", "SETSLOT", str(slot), "MIGRATING", new_id)
        for node in (new, old):
            await node.ask("CLUSTER", "SETSLOT", str(slot), "NODE", new_id)
        await b.until_up(2)
        assert "moved" in b.downs[0]
        assert (a.ups, a.downs) == (1, [])
        await until_heard(a, receiver, b)
        assert channel(f"worker:{receiver}") in await new.ask("PUBSUB", "SHARDCHANNELS")


async def test_replica_takes_over_from_a_dead_server_and_others_talk_meanwhile(cluster):
    namespace = namespace_at(2)
    names = [name_in(namespace, part) for part in range(3)]
    slot = slot_of(channel(f"worker:{names[0]}", namespace))
    master = await master_of(cluster, slot)
    options = {"namespace": namespace}
    async with (
        worker(cluster.masters[1], names[0], **options) as a,
        worker(cluster.masters[1], names[1], **options) as b,
        worker(cluster.masters[2], names[2], **options) as c,
    ):
        master.kill()
        await a.until_down()
        assert b.carrier.send(names[2], b"meanwhile")
        await c.until_frames(b"meanwhile")
        assert a.carrier.send(names[2], b"from one who hears nothing")
        await c.until_frames(b"meanwhile", b"from one who hears nothing")
        await a.until_up(2)
        await until_heard(b, names[0], a)
        assert (b.downs, c.downs) == ([], [])
        assert await master_of_others(cluster, master, slot) is not master
    await master.start()
    await cluster.until_all("cluster_state", "ok")
    await cluster.until_in(master, "INFO", "master_link_status", "up")


async def master_of_others(cluster, dead, slot):
    rest = RedisCluster.__new__(RedisCluster)
    rest.nodes = [node for node in cluster.nodes if node is not dead]
    return await master_of(rest, slot)


async def test_replica_takes_over_from_a_frozen_server(cluster):
    name = name_at(0)
    slot = slot_of(channel(f"worker:{name}"))
    master = await master_of(cluster, slot)
    other = next(node for node in cluster.nodes[1:3])
    quick = replace(QUICK, refresh_interval=600.0)
    async with worker(other, name, quick) as a, worker(other, name_at(2), quick) as b:
        master.freeze()
        try:
            await a.until_down()
            await a.until_up(2)
            await until_heard(b, name, a)
        finally:
            master.thaw()
    await cluster.until_in(master, "INFO", "master_link_status", "up")


@pytest.mark.parametrize("kind", BEFORE_SHARDING)
async def test_old_cluster_passes_every_message_to_all_its_servers(tmp_path, kind):
    cluster = RedisCluster(tmp_path, kind, 3)
    try:
        await cluster.start(is_whole=False)
        async with (
            worker(cluster.nodes[0], "a") as a,
            worker(cluster.nodes[1], "b") as b,
        ):
            assert await cluster.nodes[0].ask("PUBSUB", "CHANNELS", "*:a") == [channel("worker:a")]
            await until_heard(a, "b", b)
            await until_heard(b, "a", a)
            cluster.nodes[0].kill()
            await a.until_up(2)
            a.frames.clear()
            b.frames.clear()
            await until_heard(a, "b", b)
            await until_heard(b, "a", a)
            assert (b.ups, b.downs) == (1, [])
    finally:
        cluster.kill()


async def test_one_server_alone_of_a_cluster_without_slots_is_told(tmp_path):
    cluster = RedisCluster(tmp_path, "valkey", 1)
    (node,) = cluster.nodes
    try:
        await node.start()
        async with asyncio.timeout(PATIENCE), worker(node, "a") as a:
            assert not a.carrier.is_up
            assert a.downs == ["the cluster has slots without a server"]
            assert not a.carrier.send("a", b"nowhere")
            assert not a.carrier.send_to_all(b"nowhere")
            await node.ask("CLUSTER", "ADDSLOTSRANGE", "0", str(SLOTS - 1))
            await a.until_up()
    finally:
        cluster.kill()
