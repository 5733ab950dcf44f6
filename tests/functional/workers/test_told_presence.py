"""The main backend does not take those for online whose worker, or whole server, was killed."""

from collections import defaultdict
from contextlib import AsyncExitStack

import pytest

from tests.functional.chat.hooked import open_backend
from tests.functional.failure.process import kill, until

USERS = range(1, 13)
ONLINE, OFFLINE = "user.online", "user.offline"


@pytest.fixture
async def backend():
    async with AsyncExitStack() as stack:
        yield await open_backend(stack)


def told(backend):
    """What was told of each user, in the order of its happening, each webhook once."""
    found = defaultdict(list)
    unique = {one["id"]: one for one in backend.received}
    for one in sorted(unique.values(), key=lambda one: one["timestamp"]):
        if "user" in one["data"]:
            found[int(one["data"]["user"]["userId"])].append(one["type"])
    return found


async def test_each_online_has_one_offline_when_one_of_two_workers_is_killed(start, backend):
    server = await start(**backend.settings, OFFLINE_GRACE_PERIOD_MS="100")
    async with AsyncExitStack() as stack:
        clients = dict(zip(USERS, await server.join_all(USERS), strict=True))
        for client in clients.values():
            await stack.enter_async_context(client)
        await backend.wait_for(lambda backend: told(backend) == {user: [ONLINE] for user in USERS})
        kill(await server.pid_of(1))
        expected = {user: [ONLINE] for user in USERS}
        await until(lambda: any(client.close_code for client in clients.values()))
        await until(lambda: len(server.events("ready")) == 3)
        gone = [user for user in USERS if clients[user].close_code]
        expected |= {user: [ONLINE, OFFLINE] for user in gone}
        await backend.wait_for(lambda backend: told(backend) == expected)
        for user in gone:
            await stack.enter_async_context(await server.join(user))
        expected |= {user: [ONLINE, OFFLINE, ONLINE] for user in gone}
        await backend.wait_for(lambda backend: told(backend) == expected)
    expected = {user: [*kinds, OFFLINE] for user, kinds in expected.items()}
    await backend.wait_for(lambda backend: told(backend) == expected)


async def test_who_does_not_come_back_after_a_kill_of_the_whole_server_is_told_of(start, backend):
    server = await start(**backend.settings, OFFLINE_GRACE_PERIOD_MS="100")
    async with AsyncExitStack() as stack:
        for client in await server.join_all(range(1, 5)):
            await stack.enter_async_context(client)
        await backend.wait_for(
            lambda backend: told(backend) == {user: [ONLINE] for user in range(1, 5)}
        )
        await server.kill()
    await server.start()
    async with await server.join(1):
        expected = {1: [ONLINE]} | {user: [ONLINE, OFFLINE] for user in range(2, 5)}
        await backend.wait_for(lambda backend: told(backend) == expected)
    expected[1] = [ONLINE, OFFLINE]
    await backend.wait_for(lambda backend: told(backend) == expected)
