"""Real servers for every test, on the event loop of production."""

import asyncio

import pytest
import uvloop

from tests.functional.broker.redis_process import KINDS, RedisProcess


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
async def strict_loop():
    """Fail on an error that nobody caught, and on a task left behind."""
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    before = asyncio.all_tasks()
    yield failures
    assert failures == []
    assert asyncio.all_tasks() <= before | {asyncio.current_task()}


@pytest.fixture(scope="module", params=KINDS)
def process(request, tmp_path_factory):
    """One server for many tests, Redis and Valkey in turn."""
    process = RedisProcess(tmp_path_factory.mktemp("server"), request.param)
    yield process
    process.kill()


@pytest.fixture
async def server(process):
    """The same, running; a test may kill it."""
    if not process.is_running:
        await process.start()
    return process


@pytest.fixture
async def redis(tmp_path):
    """One server, where it makes no difference which."""
    process = RedisProcess(tmp_path / "server", KINDS[0])
    await process.start()
    yield process
    process.kill()
