"""The main backend asks one worker and means all; of all, one tells it."""

from contextlib import AsyncExitStack

import pytest

from fastchat.handlers.local_sessions import REASON
from tests.functional.chat.hooked import open_backend
from tests.functional.chat.talking import run_sql, say


@pytest.fixture
async def backend():
    async with AsyncExitStack() as stack:
        yield await open_backend(stack)


async def test_what_is_asked_of_one_worker_is_asked_of_all(start_workers, backend):
    workers = await start_workers(3)
    first, second, third = [await worker.join(1) for worker in workers]
    page = "/api/service/connections?userId=1"
    listed = (await backend.ask(workers[1], "GET", page))["connections"]
    clients = [client.client_id for client in (first, second, third)]
    assert [one["clientId"] for one in listed] == clients
    assert [one["worker"] for one in listed] == [1, 2, 3]
    body = {"userId": "1", "clientId": third.client_id}
    path = "/api/service/disconnect"
    assert (await backend.ask(workers[0], "POST", path, json=body))["closed"] == 1
    assert await third.wait_closed() == (1008, REASON)
    assert (await backend.ask(workers[2], "POST", path, json={"userId": "1"}))["closed"] == 2
    for client in (first, second):
        assert await client.wait_closed() == (1008, REASON)


async def test_a_token_ends_and_a_profile_is_new_on_every_worker(workers, backend):
    alice, bob = await workers.join(1, 2)
    await run_sql(workers[0], "UPDATE users_auth SET username = 'anna' WHERE user_id = 1")
    path = "/api/service/profiles/invalidate"
    await backend.ask(workers[1], "POST", path, json={"userId": "1"})
    await say(alice, "2")
    assert (await bob.expect("new_private_message"))["message"]["username"] == "anna"
    guest = await workers[0].guest()
    await guest.authenticate(workers[0].token(3, jti="t1"))
    path = "/api/service/tokens/revoke"
    assert (await backend.ask(workers[1], "POST", path, json={"jti": "t1"}))["closed"] == 1
    assert (await guest.expect("auth_error"))["code"] == "SESSION_REVOKED"


async def test_the_backend_hears_of_each_change_once(start_workers, backend):
    workers = await start_workers(2, **backend.settings, OFFLINE_GRACE_PERIOD_MS="0")
    alice, bob = await workers.join(1, 2)
    await say(alice, "2", "he is elsewhere")
    await say(alice, "3", "he is not here")
    await bob.close()
    gone = await backend.heard("user.offline")
    assert gone["data"]["user"]["userId"] == "2"
    told = await backend.heard("message.offline")
    assert told["data"]["offlineUserIds"] == ["3"]
    await alice.close()
    await backend.wait_for(
        lambda backend: [one["type"] for one in backend.received].count("user.offline") == 2
    )
    kinds = sorted(one["type"] for one in backend.received)
    assert kinds == ["message.offline", *["user.offline"] * 2, *["user.online"] * 2]
