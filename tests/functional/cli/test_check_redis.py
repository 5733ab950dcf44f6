"""What ``fastchat check`` says about a real Redis."""

import asyncio
import os
import subprocess
import sys

import pytest

from fastchat.cli.check import redis_lines
from fastchat.config import load
from tests.functional.broker.redis_process import BEFORE_SHARDING, KINDS, RedisCluster, RedisProcess
from tests.unit.config.test_config import DEVELOPMENT


@pytest.fixture(params=KINDS)
async def server(request, tmp_path):
    process = RedisProcess(tmp_path / "server", request.param, password="secret-7714")
    await process.start()
    yield process
    process.kill()


async def lines_of(url):
    async with asyncio.timeout(20):
        lines = await redis_lines(load(DEVELOPMENT | {"REDIS_URL": url}))
    assert "7714" not in repr(lines)
    return lines


async def test_server_that_passes_messages_is_fine(server):
    for url in (server.url, server.socket_url):
        lines = await lines_of(url)
        assert [line.level for line in lines] == ["ok", "ok"]
        assert lines[0].found.lower().startswith(server.kind)
        assert lines[0].found.endswith(" ms, a single server")


async def test_server_that_is_not_there_fails(server):
    server.kill()
    (line,) = await lines_of(server.url)
    assert line.level == "FAIL"
    assert f"127.0.0.1:{server.port}" in line.found


async def test_wrong_password_fails(server):
    (line,) = await lines_of(server.url.replace("secret-7714", "other-7714"))
    assert line.level == "FAIL"
    assert "WRONGPASS" in line.found


async def test_user_who_may_not_subscribe_fails(server):
    rules = ["on", ">secret-7714", "+ping", "+publish", "resetchannels", "&fastchat:*"]
    await server.ask("ACL", "SETUSER", "chat", *rules)
    lines = await lines_of(server.url.replace("//:", "//chat:"))
    assert [line.level for line in lines] == ["ok", "FAIL"]
    assert "NOPERM" in lines[1].found
    await server.ask("ACL", "SETUSER", "chat", "+subscribe")
    lines = await lines_of(server.url.replace("//:", "//chat:"))
    assert [line.level for line in lines] == ["ok", "ok"]


async def test_replica_is_a_warning(server):
    await server.ask("REPLICAOF", "127.0.0.1", "1")
    lines = await lines_of(server.url)
    assert [line.level for line in lines] == ["ok", "warn", "ok"]


@pytest.mark.parametrize("kind", BEFORE_SHARDING)
async def test_cluster_is_looked_at_as_a_whole(tmp_path, kind):
    cluster = RedisCluster(tmp_path, kind, 3)
    try:
        await cluster.start(is_whole=False)
        lines = await lines_of(cluster.nodes[0].url)
        assert [line.level for line in lines] == ["ok", "ok"]
        assert "a cluster of 3 with slots, every message to every server" in lines[0].found
        cluster.nodes[1].kill()
        lines = await lines_of(cluster.nodes[0].url)
        assert [line.level for line in lines] == ["ok", "FAIL", "ok"]
        assert f"127.0.0.1:{cluster.nodes[1].port}" in lines[1].found
    finally:
        cluster.kill()


@pytest.mark.parametrize("server", KINDS[:1], indirect=True)
async def test_command_exits_with_failure_when_redis_is_away(server, tmp_path):
    def check():
        return subprocess.run(
            [sys.executable, "-m", "fastchat", "check"],
            env={"PATH": os.environ["PATH"]}
            | DEVELOPMENT
            | {"REDIS_URL": server.url, "FASTCHAT_DATA_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    assert "ok    Redis messages: pass" in (await asyncio.to_thread(check)).stdout
    server.kill()
    result = await asyncio.to_thread(check)
    assert result.returncode == 1
    assert "FAIL  Redis: " in result.stdout
