"""The measuring itself, on a private server and real sockets, as short as it gets."""

import asyncio
import base64
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from fastchat.bench.crowd import Crowd
from fastchat.bench.measure import measure_private, measure_running
from fastchat.bench.peer import Peer, PeerError
from fastchat.bench.private_server import (
    UNLIMITED,
    PrivateServerError,
    private_database,
    private_server,
)
from fastchat.bench.processes import usage
from fastchat.cli import main
from fastchat.cli.bench import table
from fastchat.config import load
from loadtests import offered_load

BOUND = 30.0  # seconds
DATABASES = "SELECT count(*) FROM pg_database WHERE datname LIKE 'fastchat_bench_%'"


@pytest.fixture(scope="module")
def server(postgres):
    """One server for all tests here, on a database made beside others."""
    with (
        private_database(60, postgres.dsn) as (dsn, pid),
        private_server(dsn, UNLIMITED, postgres_pid=pid) as server,
    ):
        yield server


@pytest.fixture
def limited(postgres):
    """A server that lets each user send 40 messages a minute."""
    with (
        private_database(2, postgres.dsn) as (dsn, _),
        private_server(dsn, {"MESSAGE_RATE_LIMIT": "40"}) as server,
    ):
        yield server


def say_nothing(step, share):
    """Show no progress."""


async def test_measures_everything_it_shows(server):
    steps = []
    result = await measure_private(
        server, lambda step, share: steps.append((step, share)), scale=0.02
    )
    assert result.capacity > 0
    assert result.server_time > 0
    assert result.base > 0
    assert len(result.acks) == len(result.deliveries) > 0
    assert (result.lost, result.refused) == (0, {})
    assert steps[-1] == ("done", 1.0)
    shares = [share for _, share in steps]
    assert shares == sorted(shares)
    assert all(0.0 <= share <= 1.0 for share in shares)
    lines = table(result, load({"NODE_ENV": "development"}))
    assert not any("nan" in line for line in lines)


async def test_a_turn_at_each_rate_shows_what_was_offered_and_what_came_of_it(server):
    found = await offered_load.measure(server, [100, 200], pairs=4, seconds=0.5, runs=2)
    assert list(found) == [100, 200]
    for rate, looks in found.items():
        assert len(looks) == 2
        look = offered_load.middle(looks)
        assert 0 < look.offered_messages_per_s < 3 * rate
        assert look.acknowledged_messages_per_s > 0
        assert 0 < look.ack_p50_ms <= look.ack_p99_ms <= look.ack_p999_ms
        assert 0 < look.delivery_p50_ms <= look.delivery_p99_ms <= look.delivery_p999_ms
        assert look.server_us_per_message >= 0
        assert look.refused_messages == 0


async def test_measures_a_running_server_within_its_limits(server):
    result = await measure_running(server.url, server.token, ["1", "2"], 0.2, say_nothing)
    assert result.capacity > 0
    assert result.lost == 0
    assert result.base == 0


async def test_a_running_server_is_measured_until_it_refuses_and_no_longer(limited):
    async with asyncio.timeout(BOUND):
        found = await measure_running(limited.url, limited.token, ["1", "2"], 3600.0, say_nothing)
    assert found.refused == {"RATE_LIMIT_EXCEEDED": 1}
    assert (len(found.acks), found.lost) == (40, 0)
    # As fast as they went, not spread over the time that was given.
    assert found.capacity > 40 / BOUND


def test_the_command_prints_a_table(server, monkeypatch, capsys):
    monkeypatch.setenv("JWT_SECRET", base64.b64encode(server.secret).decode())
    command = ["bench", "--url", server.url, "--users", "3,4", "--scale", "0.01"]
    assert main(command) == 0
    output, progress = capsys.readouterr()
    assert "messages per second, one of each pair in flight" in output
    assert "shared this machine" not in output
    assert "p99.9" in output
    assert progress.splitlines()[-1] == "100%  done"


def test_the_command_says_in_one_line_what_it_cannot_have(server, monkeypatch, capsys):
    monkeypatch.setenv("JWT_SECRET", base64.b64encode(server.secret).decode())
    assert main(["bench", "--url", server.url, "--users", "3,nobody"]) == 1
    assert "user nobody cannot log in" in capsys.readouterr().err


async def test_a_crowd_loses_nothing_while_its_users_come_and_go(server):
    crowd = Crowd(server.url, server.token, [str(number) for number in range(20, 30)])
    await crowd.open()
    try:
        for number in range(6):
            await crowd.write_open(0.05, 400.0)
            await crowd.reenter(number, cut=number % 2 == 0)
        assert await crowd.settle() == 0
        assert crowd.tally.report() == {"lost": 0, "duplicated": 0, "out of order": 0}
        assert crowd.figures.refused == {}
    finally:
        await crowd.close()


async def test_a_user_whom_nobody_knows_cannot_log_in(server):
    peer = Peer("999")
    await peer.connect(server.url)
    with pytest.raises(PeerError, match="user 999 cannot log in: Nobody knows"):
        await peer.log_in(server.token(999))
    peer.close()
    await peer.ended()
    with pytest.raises(PeerError, match="the server closed"):
        await peer.ask(type="ping")


async def test_a_server_that_is_not_there_cannot_be_measured():
    with pytest.raises(PeerError, match="no connection"):
        await Peer("1").connect("ws://127.0.0.1:1")


def test_sees_what_a_process_holds(server):
    held = usage(server.worker_pid)
    assert (held.listeners, held.threads >= 1) == (1, True)
    assert held.resident > 10_000
    assert held.descriptors > 5


async def test_the_database_of_a_measurement_is_gone_afterwards(postgres):
    admin = await asyncpg.connect(postgres.dsn)
    before = await admin.fetchval(DATABASES)

    def use():
        with private_database(1, postgres.dsn) as (dsn, _):
            return dsn.rpartition("/")[2]

    name = await asyncio.to_thread(use)
    assert name.startswith("fastchat_bench_")
    assert await admin.fetchval(DATABASES) == before
    await admin.close()


def test_says_why_no_database_can_be_made():
    with (
        pytest.raises(PrivateServerError, match="no database can be made"),
        private_database(1, "postgresql://nobody@127.0.0.1:1/x"),
    ):
        pass


def test_says_why_the_server_does_not_start(postgres):
    with (
        pytest.raises(PrivateServerError, match="the server did not start"),
        private_server(postgres.dsn, {"PORT": "x"}),
    ):
        pass


def test_a_measurement_that_is_told_to_end_leaves_nothing_behind(postgres):
    command = [sys.executable, "-m", "fastchat", "bench", "--database", postgres.dsn]
    with subprocess.Popen([*command, "--scale", "0.5"], stderr=subprocess.PIPE, text=True) as bench:
        assert bench.stderr is not None
        assert any("log-ins" in line for line in bench.stderr)
        started = descendants(bench.pid)
        assert started  # its server at least
        bench.terminate()
        assert bench.wait(BOUND) == 128 + signal.SIGTERM
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []


def descendants(pid):
    """The processes that a process has started, and those that they have."""
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found += [child, *descendants(child)]
    return found
