"""Frames through one real server: their order, their batches, and what becomes of losses."""

import asyncio
import re
from dataclasses import replace

import pytest

from tests.functional.broker.carrying import CALM, QUICK, Noting
from tests.functional.broker.redis_process import KINDS, RedisProcess, until


def numbered(count, start=0):
    return [b"%d" % number for number in range(start, start + count)]


async def test_frames_arrive_in_the_order_in_which_they_were_sent(server):
    async with Noting(server.url, "a") as a, Noting(server.socket_url, "b") as b:
        frames = numbered(2000)
        for number, frame in enumerate(frames):
            assert a.carrier.send("b", frame)
            if number % 300 == 0:
                await asyncio.sleep(0)
        await b.until_frames(*frames)
        assert a.frames == []
        assert (a.carrier.frames_sent, b.carrier.frames_received) == (2000, 2000)


async def test_frame_may_hold_any_bytes_and_be_large(server):
    frames = [b"", b"\r\n$5\r\n", bytes(range(256)), b"x" * 3_000_000]
    async with Noting(server.url, "ä b") as a:
        for frame in frames:
            assert a.carrier.send("ä b", frame)
        await a.until_frames(*frames)


async def test_frame_to_all_reaches_every_other_worker_once(server):
    async with (
        Noting(server.url, "a") as a,
        Noting(server.url, "b") as b,
        Noting(server.url, "c") as c,
    ):
        assert a.carrier.send_to_all(b"hello")
        assert b.carrier.send_to_all(b"world")
        await c.until_frames(b"hello", b"world")
        await b.until_frames(b"hello")
        await a.until_frames(b"world")


async def test_frame_to_a_worker_who_is_not_there_is_taken_and_lost(server):
    async with Noting(server.url, "a") as a:
        assert a.carrier.send("nobody", b"lost")
        assert a.carrier.send("a", b"found")
        await a.until_frames(b"found")


async def test_other_namespaces_and_databases_hear_nothing(server):
    async with (
        Noting(server.url, "a") as a,
        Noting(server.url, "b") as b,
        Noting(server.url, "b", namespace="other") as other_name,
        Noting(f"{server.url}/1", "b") as other_database,
    ):
        a.carrier.send("b", b"one")
        a.carrier.send_to_all(b"two")
        await b.until_frames(b"one", b"two")
        assert other_name.frames == other_database.frames == []


async def test_frames_of_one_turn_go_in_one_write(server):
    quiet = replace(CALM, ping_interval=600.0, refresh_interval=600.0)
    async with (
        Noting(server.socket_url, "a", timings=quiet) as a,
        Noting(server.socket_url, "b", timings=quiet) as b,
        server.connected() as observer,
    ):

        async def reads():
            answer = await observer.call("INFO", "stats")
            return int(re.search(rb"total_reads_processed:(\d+)", answer)[1])

        before = await reads()
        for frame in numbered(32):
            assert a.carrier.send("b", frame)
            assert a.carrier.send("nobody", frame)
        await b.until_frames(*numbered(32))
        assert await reads() - before == 2  # the frames, and the question itself


async def test_what_was_taken_before_the_end_still_goes_out(server):
    async with Noting(server.url, "b") as b:
        async with Noting(server.url, "a") as a:
            for frame in numbered(100):
                assert a.carrier.send("b", frame + bytes(20_000))
            assert a.carrier.send_to_all(b"good-bye")
        await until(lambda: len(b.frames) == 101)
        assert b.frames[-1] == b"good-bye"


async def test_end_does_not_wait_for_a_frozen_server(redis):
    async with asyncio.timeout(10), Noting(redis.url, "a") as a:
        redis.freeze()
        assert a.carrier.send("b", b"lost")
        await a.carrier.close()
    redis.thaw()


async def test_killed_server_is_one_loss_and_its_successor_is_found(server):
    async with Noting(server.url, "a") as a, Noting(server.url, "b") as b:
        assert (a.ups, a.downs, a.carrier.reason) == (1, [], "")
        server.kill()
        await a.until_down()
        await b.until_down()
        assert not a.carrier.send("b", b"lost")
        assert not a.carrier.send_to_all(b"lost")
        assert a.carrier.frames_refused == 2
        await server.start()
        await a.until_up(2)
        await b.until_up(2)
        assert a.carrier.send("b", b"after")
        await b.until_frames(b"after")
        assert len(a.downs) == 1
        assert str(server.port) in a.downs[0]


async def test_worker_starts_without_a_server_and_finds_it_later(redis):
    redis.kill()
    async with Noting(redis.url, "a") as a:
        assert not a.carrier.is_up
        assert len(a.downs) == 1
        assert "refused" in a.downs[0]
        await redis.start()
        await a.until_up()
        assert len(a.downs) == 1


async def test_frozen_server_is_noticed_and_welcomed_back(server):
    async with Noting(server.url, "a", timings=QUICK) as a:
        server.freeze()
        try:
            await a.until_down()
        finally:
            server.thaw()
        assert "no answer within 0.5 s" in a.downs[0]
        await a.until_up(2)
        a.carrier.send("a", b"after")
        await a.until_frames(b"after")


async def test_opening_ends_although_the_server_says_nothing(redis):
    redis.freeze()
    try:
        async with asyncio.timeout(10), Noting(redis.url, "a", timings=QUICK) as a:
            assert "no answer within 0.5 s" in a.carrier.reason
    finally:
        redis.thaw()


async def test_idle_connection_to_a_server_that_answers_stays(redis):
    async with Noting(redis.url, "a", timings=QUICK) as a:
        (connection,) = a.carrier._servers._connections.values()
        pings = []
        answered = connection._answered
        connection._answered = lambda answer: (pings.append(1), answered(answer))
        await until(lambda: len(pings) >= 15)  # more than the patience
        assert (a.ups, a.downs) == (1, [])


async def test_flushed_server_makes_no_difference(server):
    async with Noting(server.url, "a") as a:
        await server.ask("FLUSHALL")
        a.carrier.send("a", b"after")
        await a.until_frames(b"after")
        assert a.downs == []


async def test_connection_killed_by_an_operator_is_made_again(server):
    async with Noting(server.url, "a") as a:
        await server.ask("CLIENT", "KILL", "TYPE", "pubsub")
        await a.until_up(2)
        assert len(a.downs) == 1


async def test_queue_over_its_limit_refuses_frames_and_recovers(server):
    async with (
        Noting(server.url, "a", queue_limit=1_000_000) as a,
        Noting(server.url, "b", queue_limit=1_000_000) as b,
    ):
        server.freeze()
        taken = 0
        try:
            while a.carrier.send("b", bytes(60_000)):
                taken += 1
                assert taken < 1000
                await asyncio.sleep(0)
            (connection,) = a.carrier._servers._connections.values()
            assert connection.backlog <= 1_000_000
            assert a.carrier.frames_refused == 1
            assert not a.carrier.send_to_all(bytes(60_000))
        finally:
            server.thaw()
        await until(lambda: len(b.frames) == taken)
        assert a.carrier.send("b", b"more")
        await until(lambda: b.frames[-1] == b"more")
        assert a.downs == b.downs == []


async def test_bug_in_one_frame_does_not_end_the_connection(server, strict_loop):
    async with Noting(server.url, "a") as a:
        frames = a.frames.append

        def fail_once(frame):
            frames(frame)
            if frame == b"bad":
                raise LookupError("a bug")

        a.carrier._on_frame = fail_once
        a.carrier.send("a", b"bad")
        a.carrier.send("a", b"good")
        await a.until_frames(b"bad", b"good")
        assert a.downs == []
        (failure,) = strict_loop
        assert isinstance(failure["exception"], LookupError)
        strict_loop.clear()


async def test_bug_of_whoever_is_told_does_not_end_the_reconnecting(server, strict_loop):
    async with Noting(server.url, "a") as a:

        def fail():
            a.ups += 1
            raise LookupError("a bug")

        a.carrier._servers._on_up = fail
        for ups in (2, 3):
            await server.ask("CLIENT", "KILL", "TYPE", "pubsub")
            await a.until_up(ups)
        a.carrier.send("a", b"after")
        await a.until_frames(b"after")
        assert len(strict_loop) == 2
        strict_loop.clear()


async def test_late_frame_of_an_earlier_way_is_dropped(server):
    async with Noting(server.url, "a") as a, Noting(server.url, "b") as b:
        old = a.carrier._stamp
        a.carrier._find_routes()  # as after a loss
        a.carrier.send("b", b"new")
        a.carrier.send_to_all(b"new to all")
        channel = a.carrier._channel("b").decode()
        await server.ask("PUBLISH", channel, old + b"late")
        await server.ask("PUBLISH", a.carrier._common.decode(), old + b"late to all")
        a.carrier.send("b", b"newer")
        await b.until_frames(b"new", b"new to all", b"newer")
        assert b.carrier.frames_late == 2


async def test_password_opens_the_server(tmp_path):
    server = RedisProcess(tmp_path / "locked", "valkey", password="pä ss:/@?#")
    await server.start()
    try:
        async with Noting(server.url, "a") as a, Noting(server.socket_url, "b") as b:
            a.carrier.send("b", b"in")
            await b.until_frames(b"in")
    finally:
        server.kill()


@pytest.mark.parametrize("kind", KINDS)
async def test_wrong_password_is_told_without_showing_it(tmp_path, kind):
    server = RedisProcess(tmp_path / "locked", kind, password="right-9341")
    await server.start()
    try:
        for login, code in ((":wrong-5520@", "WRONGPASS"), ("", "NOAUTH")):
            url = server.url.replace(":right-9341@", login)
            async with Noting(url, "a") as a:
                assert not a.carrier.is_up
                assert code in a.downs[0]
                assert "5520" not in a.downs[0]
                assert "9341" not in a.downs[0]
    finally:
        server.kill()


@pytest.mark.parametrize(
    ("missing", "rules"),
    [
        ("subscribe", ["+publish", "&*"]),
        ("publish", ["+subscribe", "&*"]),
        ("channels", ["+publish", "+subscribe", "resetchannels", "&else:*"]),
    ],
)
async def test_missing_right_is_told_and_found_when_it_is_given(server, missing, rules):
    await server.ask("ACL", "SETUSER", "chat", "reset", "on", ">secret", "+ping", *rules)
    url = server.url.replace("//", "//chat:secret@")
    async with Noting(url, "a") as a:
        assert not a.carrier.is_up
        assert "NOPERM" in a.downs[0]
        rules = ["+publish", "+subscribe", "&fastchat:*"]
        await server.ask("ACL", "SETUSER", "chat", "resetchannels", *rules)
        await a.until_up()
        await server.ask("ACL", "SETUSER", "chat", "-publish")
        a.carrier.send("a", b"refused")
        await a.until_down(2)
        assert len(a.downs) == 2
        assert "NOPERM" in a.downs[1]
