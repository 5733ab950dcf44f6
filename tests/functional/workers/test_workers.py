"""Several workers behind one port: who serves whom, and what becomes of one that dies."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import asyncpg
import pytest

from tests.functional.failure.load import Crowd
from tests.functional.failure.process import is_alive, kill, until
from tests.functional.workers.process import WorkersProcess

USERS = range(1, 25)
PAGES = 16  # so many that each worker answers some, but for bad luck
SOME = 200  # messages


async def connections_of(server, total):
    """How many connections each process has, once these are so many together."""
    async with asyncio.timeout(10):
        while True:
            each = (await server.metrics())["workers"]["each"]
            counts = {one["pid"]: one["connections"] for one in each}
            if sum(counts.values()) == total:
                return counts
            await asyncio.sleep(0.05)


async def test_every_worker_serves_some_and_tells_the_figures_of_all(start):
    server = await start(workers=3)
    assert len(server.worker_pids()) == 3
    async with AsyncExitStack() as stack:
        for client in await server.join_all(USERS):
            await stack.enter_async_context(client)

        await connections_of(server, len(USERS))
        for found in [await server.metrics() for _ in range(PAGES)]:
            assert found["connections"] == len(USERS)
            workers = found["workers"]
            assert (workers["total"], workers["healthy"], workers["restarts"]) == (3, 3, 0)
            assert {each["pid"] for each in workers["each"]} == server.worker_pids()
            assert all(each["connections"] > 0 for each in workers["each"])
            assert found["activeUsers"] == len(USERS)


async def test_killed_worker_is_started_again_and_the_others_do_not_notice(start):
    server = await start()
    before = server.worker_pids()
    victim = await server.pid_of(2)
    async with AsyncExitStack() as stack:
        clients = await server.join_all(USERS)
        for client in clients:
            await stack.enter_async_context(client)
        each = await connections_of(server, len(USERS))
        kill(victim)
        await until(lambda: any(client.close_code for client in clients))
        await until(lambda: len(server.events("ready")) == 3)
        gone = [client for client in clients if client.close_code == 1006]
        assert len(gone) == each[victim]
        for client in clients:
            if client not in gone:
                assert (await client.request(type="ping"))["type"] == "pong"
    assert before - server.worker_pids() == {victim}
    assert len(server.worker_pids()) == 2
    found = (await server.metrics())["workers"]
    assert (found["healthy"], found["restarts"]) == (2, 1)
    (event,) = server.events("worker 2 ended with code -9 and starts again in 0 s")
    assert event["pid"] == victim


async def test_nothing_acknowledged_is_lost_or_doubled_when_workers_are_killed(start):
    server = await start()
    async with Crowd(server, ("1", "2", "3")) as crowd:
        for worker in (1, 2, 1):
            await crowd.acknowledged(SOME)
            kill(await server.pid_of(worker))
        await crowd.acknowledged(SOME)
        await crowd.settle()
        assert await crowd.verify() == set(crowd.ledger.sent)


async def test_worker_that_keeps_dying_waits_longer_each_time_while_the_other_serves(start):
    server = await start()
    delays = (0, 0.25, 0.5)
    for number, delay in enumerate(delays):
        kill(await server.pid_of(1))
        ended = f"worker 1 ended with code -9 and starts again in {delay:g} s"
        await until(lambda text=ended: server.events(text))
        await until(lambda wanted=3 + number: len(server.events("ready")) == wanted)
    assert server.events("ready")[-1]["worker"] == 1
    times = [event["time"] for event in server.events("ready") if event["worker"] == 2]
    assert len(times) == 1


async def test_counters_never_go_back_when_a_worker_dies(start):
    server = await start()
    async with AsyncExitStack() as stack:
        for client in await server.join_all(USERS):
            await stack.enter_async_context(client)
        before = await server.metrics()
        while before["messagesReceived"] < len(USERS):
            before = await server.metrics()
        kill(await server.pid_of(1))
        await until(lambda: server.events("worker 1 ended"))
        for found in [await server.metrics() for _ in range(PAGES)]:
            assert found["messagesReceived"] >= before["messagesReceived"]
            assert found["peakConnections"] >= len(USERS)


async def test_connections_to_the_database_are_divided_among_the_workers(start, database):
    server = await start(workers=3, DB_MAX_CONNECTIONS="10", DB_MIN_CONNECTIONS="0")
    observer = await asyncpg.connect(database)
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    counts = []

    async def observe():
        while True:
            counts.append(await observer.fetchval(query) - 1)
            await asyncio.sleep(0.005)

    observing = asyncio.create_task(observe())
    async with AsyncExitStack() as stack:
        clients = await asyncio.gather(*(server.join(user_id) for user_id in USERS))
        for client in clients:
            await stack.enter_async_context(client)
        for _ in range(5):
            answers = await asyncio.gather(
                *(
                    client.request(type=kind, **fields)
                    for client in clients
                    for kind, fields in (
                        ("send_private_message", {"recipientId": "99", "content": "hello"}),
                        ("start_conversation", {"recipientId": "98"}),
                        ("get_conversations", {}),
                    )
                )
            )
            kinds = Counter(answer["type"] for answer in answers)
            assert set(kinds) == {"message_sent", "conversation_started", "conversations"}, kinds
    observing.cancel()
    await observer.close()
    assert 6 <= max(counts) <= 9


async def test_nothing_is_left_when_the_supervisor_is_killed_and_the_next_start_works(start):
    server = await start(NODE_ENV="development", DATABASE_URL="")
    async with await server.join(1) as client:
        sent = await client.request(
            type="send_private_message", recipientId="2", content="still there"
        )
        assert sent["type"] == "message_sent"
        assert server.threads() == 1
        processes = {*server.worker_pids(), server.postgres_pid()}
        assert len(processes) == 3
        assert 0 not in processes
        port = server.port
        await server.kill()
        # No wait: the next start has to cope with what is still going down.
        again = WorkersProcess(
            server.folder, 2, NODE_ENV="development", DATABASE_URL="", PORT=str(port)
        )
        try:
            await again.start()
            assert not any(map(is_alive, processes))
            async with await again.join(2) as other:
                history = await other.request(type="get_private_messages", recipientId="1")
                assert [each["content"] for each in history["messages"]] == ["still there"]
        finally:
            await again.close()


async def test_a_second_server_on_the_port_does_not_start(start, database):
    server = await start()
    other = WorkersProcess(server.folder, 2, DATABASE_URL=database, PORT=str(server.port))
    with pytest.raises(AssertionError, match="fastchat cannot start"):
        await other.start()
    (event,) = server.events("fastchat cannot start")
    assert event["message"].endswith("Address already in use")
    assert (await server.metrics())["workers"]["healthy"] == 2


async def test_worker_that_cannot_start_ends_the_start_with_one_sentence(start):
    with pytest.raises(AssertionError, match="cannot be used"):
        await start(TLS_KEY="/dev/null", TLS_CERT="/dev/null")


async def test_user_is_served_by_whichever_worker_he_comes_to(start):
    server = await start()
    async with await server.join(1) as alice:
        for number in range(PAGES):
            await alice.request(
                type="send_private_message", recipientId="2", content=f"number {number}"
            )
    for _ in range(PAGES):
        async with await server.join(2) as bob:
            page = await bob.request(type="get_private_messages", recipientId="1")
            assert len(page["messages"]) == PAGES
