"""The pool while its PostgreSQL is killed, frozen, away or ends connections."""

import asyncio
import os
import signal
import socket
import time

import asyncpg
import pytest

from fastchat.errors import ServiceUnavailable
from fastchat.store.connect import connect_arguments
from fastchat.store.embedded import EmbeddedPostgres
from fastchat.store.pool import Pool
from tests.functional.store.cutting_proxy import CuttingProxy
from tests.functional.store.folders import public_folder
from tests.functional.store.freezing import frozen

PATIENCE = 30.0


@pytest.fixture(scope="module")
def own_server():
    """A server that a test may hurt."""
    with public_folder() as folder, EmbeddedPostgres(folder) as server:
        yield server


@pytest.fixture
async def pool(own_server):
    pool = Pool(
        connect_arguments(dsn=own_server.dsn, ssl=False),
        min_size=2,
        max_size=4,
        connection_timeout=0.5,
    )
    await pool.start()
    yield pool
    async with asyncio.timeout(5.0):
        await pool.stop()


async def until(condition):
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


def revived(server):
    """Start it again as often as the rest of the old one is in its way; return whether it runs."""
    server.revive()
    return bool(server.pid)


async def refused_within(seconds, pool, **options):
    began = time.monotonic()
    with pytest.raises(ServiceUnavailable):
        await pool.fetch("SELECT 1", **options)
    assert time.monotonic() - began < seconds


async def test_a_killed_database_is_noticed_and_its_return_too(own_server, pool):
    pid = own_server.pid
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    await until(lambda: not pool.is_connected)
    await refused_within(0.1, pool)
    await until(lambda: revived(own_server) and pool.is_connected)
    assert (await pool.fetchrow("SELECT 1 AS one"))["one"] == 1
    await until(lambda: pool.idle >= 2)


async def test_a_database_that_is_stopped_and_started_again_is_found_again(own_server, pool):
    call = asyncio.create_task(pool.fetch("SELECT pg_sleep(20)"))
    await until(lambda: pool.in_use == 1)
    pid = own_server.pid
    os.kill(pid, signal.SIGINT)
    with pytest.raises(ServiceUnavailable):
        await asyncio.wait_for(call, PATIENCE)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    await until(lambda: not pool.is_connected)
    await refused_within(0.1, pool)
    await until(lambda: revived(own_server) and pool.is_connected and pool.idle >= 2)
    assert (await pool.fetchrow("SELECT 1 AS one"))["one"] == 1
    assert pool.in_use == 0


async def test_connections_that_fell_silent_do_not_delay_the_return(own_server):
    async with CuttingProxy(own_server.dsn) as proxy:
        pool = Pool(
            connect_arguments(dsn=proxy.dsn), min_size=6, max_size=6, connection_timeout=0.3
        )
        await pool.start()
        await until(lambda: pool.idle == 6)
        proxy.freeze()
        await refused_within(1.0, pool, timeout=0.2)
        await until(lambda: not pool.is_connected)
        # One that does not answer is enough: the others are not asked in turn.
        assert pool.idle == 0
        proxy.thaw()
        await until(lambda: pool.is_connected and pool.idle == 6)
        await pool.stop()


async def test_calls_end_in_time_while_the_database_is_frozen(own_server, pool):
    with frozen(own_server.pid):
        began = time.monotonic()
        answers = await asyncio.gather(
            *(pool.fetch("SELECT 1", timeout=0.5) for _ in range(50)), return_exceptions=True
        )
        assert time.monotonic() - began < 1.5
        assert {type(answer) for answer in answers} == {ServiceUnavailable}
        await until(lambda: not pool.is_connected)
        # Now it is known: nobody waits any more.
        await refused_within(0.1, pool)
    await until(lambda: pool.is_connected)
    assert (await pool.fetchrow("SELECT 1 AS one"))["one"] == 1
    assert pool.in_use == 0


async def test_a_frozen_database_does_not_delay_the_stop(own_server):
    pool = Pool(connect_arguments(dsn=own_server.dsn, ssl=False), connection_timeout=0.5)
    await pool.start()
    with frozen(own_server.pid):
        call = asyncio.create_task(pool.fetch("SELECT 1", timeout=20))
        await until(lambda: pool.in_use == 1)
        began = time.monotonic()
        await pool.stop(timeout=0.1)
        with pytest.raises(ServiceUnavailable):
            await call
        assert time.monotonic() - began < 1.0


async def test_connections_ended_by_an_administrator_are_replaced(own_server, pool):
    call = asyncio.create_task(pool.fetch("SELECT pg_sleep(10)"))
    await until(lambda: pool.in_use == 1)
    admin = await asyncpg.connect(own_server.dsn, ssl=False)
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    admin.terminate()
    with pytest.raises(ServiceUnavailable):
        await call
    await until(lambda: pool.is_connected and pool.idle >= 2)
    assert (await pool.fetchrow("SELECT 1 AS one"))["one"] == 1


async def test_starts_without_a_database_and_finds_it_later(own_server):
    with socket.socket() as taken:
        # Bound, not listening: connections are refused, and nobody else takes the port.
        taken.bind(("127.0.0.1", 0))
        arguments = connect_arguments(dsn=own_server.dsn, ssl=False)
        address = own_server.dsn.rsplit("@", 1)[0] + f"@127.0.0.1:{taken.getsockname()[1]}/fastchat"
        pool = Pool(arguments | {"dsn": address}, connection_timeout=0.5)
        async with asyncio.timeout(PATIENCE):
            await pool.start()
        assert not pool.is_connected
        await refused_within(0.1, pool)
        with pytest.raises(ServiceUnavailable):
            await pool.connect()
        pool._arguments = arguments
        await until(lambda: pool.is_connected)
        assert (await pool.fetchrow("SELECT 1 AS one"))["one"] == 1
        await pool.stop()


async def test_a_wrong_password_is_logged_without_it_and_refused(own_server, caplog):
    secret = "not-the-password-8c1f"
    address = f"postgresql://fastchat:{secret}@" + own_server.dsn.rsplit("@", 1)[1]
    pool = Pool(connect_arguments(dsn=address, ssl=False))
    await pool.start()
    with pytest.raises(ServiceUnavailable) as caught:
        await pool.fetch("SELECT 1")
    await pool.stop()
    assert "password authentication failed" in caplog.text
    assert secret not in caplog.text + str(caught.value) + repr(pool)


async def test_a_hurried_caller_does_not_make_the_database_count_as_away(own_server):
    pool = Pool(connect_arguments(dsn=own_server.dsn, ssl=False), min_size=1, max_size=2)
    await pool.start()
    slow = asyncio.create_task(pool.fetch("SELECT pg_sleep(0.2)"))
    await until(lambda: pool.in_use == 1)
    await refused_within(0.5, pool, timeout=0.0)
    assert pool.is_connected
    await slow
    await pool.stop()
