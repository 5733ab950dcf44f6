"""What lies between a worker and its Redis: cut wires, silent ones, late bytes, TLS."""

import asyncio
import ssl

import pytest

from tests.functional.broker.carrying import QUICK, Noting
from tests.functional.broker.redis_process import RedisProcess
from tests.functional.broker.wire import Wire
from tests.functional.certificates import make_certificate


def server_context(settings):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(settings["TLS_CERT"], settings["TLS_KEY"])
    return context


async def test_cut_wire_is_one_loss(redis):
    async with Wire(redis.port) as wire, Noting(f"redis://127.0.0.1:{wire.port}", "a") as a:
        await wire.cut()
        await a.until_up(2)
        assert len(a.downs) == 1
        a.carrier.send("a", b"after")
        await a.until_frames(b"after")


async def test_silent_wire_is_noticed_and_what_was_under_way_does_not_come_late(redis):
    async with (
        Wire(redis.port) as wire,
        Noting(f"redis://127.0.0.1:{wire.port}", "a", timings=QUICK) as a,
        Noting(redis.url, "b") as b,
    ):
        wire.hold()
        assert a.carrier.send("b", b"old")
        assert a.carrier.send_to_all(b"old to all")
        await a.until_down()
        assert "no answer within 0.5 s" in a.downs[0]
        await a.until_up(2)
        assert a.carrier.send("b", b"new")
        assert a.carrier.send_to_all(b"new to all")
        await b.until_frames(b"new", b"new to all")
        wire.release()
        async with Noting(redis.url, "c"):
            while b.carrier.frames_late < 2:
                a.carrier.send("c", b"")
                await redis.ask("PING")
        await b.until_frames(b"new", b"new to all")
        assert b.carrier.frames_late == 2


async def test_master_that_became_a_replica_is_left(redis, tmp_path):
    other = RedisProcess(tmp_path / "other", redis.kind)
    await other.start()
    try:
        async with Noting(redis.url, "a") as a:
            await redis.ask("REPLICAOF", "127.0.0.1", str(other.port))
            await a.until_up(2)
            assert "has become a replica" in a.downs[0]
    finally:
        other.kill()


@pytest.fixture
async def encrypted(redis, tmp_path):
    """A wire that encrypts, since neither server can by itself; and its certificate."""
    settings = make_certificate(tmp_path)
    async with Wire(redis.port, server_context(settings)) as wire:
        yield wire, settings["TLS_CERT"]


async def test_encrypted_server_is_reached_when_its_certificate_is_known(encrypted):
    wire, certificate = encrypted
    url = f"rediss://127.0.0.1:{wire.port}"
    async with (
        Noting(f"{url}?ssl_ca_certs={certificate}", "a", timings=QUICK) as a,
        Noting(f"{url}?ssl_cert_reqs=none", "b") as b,
    ):
        a.carrier.send("b", b"x" * 300_000)
        await b.until_frames(b"x" * 300_000)
        await wire.cut()
        await a.until_up(2)
        wire.hold()
        await a.until_up(3)
        assert "no answer within 0.5 s" in a.downs[1]


async def test_unknown_certificate_is_refused(encrypted):
    wire, _ = encrypted
    async with Noting(f"rediss://127.0.0.1:{wire.port}", "a") as a:
        assert not a.carrier.is_up
        assert "certificate verify failed" in a.downs[0]


async def test_missing_file_of_certificates_is_told(redis):
    async with Noting(f"rediss://127.0.0.1:{redis.port}?ssl_ca_certs=/none.pem", "a") as a:
        assert "No such file" in a.downs[0]


async def test_server_that_does_not_encrypt_is_refused(redis):
    async with Noting(f"rediss://127.0.0.1:{redis.port}", "a", timings=QUICK) as a:
        assert not a.carrier.is_up
        assert len(a.downs) == 1


async def test_something_that_is_no_redis_is_told(tmp_path):
    async def answer(reader, writer):
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with Noting(f"redis://127.0.0.1:{port}", "a") as a:
            assert "expected the protocol of Redis" in a.downs[0]
