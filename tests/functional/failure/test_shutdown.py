"""SIGTERM under load, and what becomes of the embedded database when its server ends."""

import asyncio
from contextlib import AsyncExitStack, suppress

from websockets.exceptions import ConnectionClosed

from tests.functional.failure.load import IN_FLIGHT, Crowd
from tests.functional.failure.process import is_alive, until
from tests.functional.store.freezing import frozen

USERS = ("1", "2", "3")
SOME = 300  # messages
READERS = 16
DRAIN_TIME = 5.0  # seconds; far below SHUTDOWN_TIMEOUT


async def test_everything_accepted_is_stored_and_acknowledged_when_the_server_is_told_to_stop(
    embedded,
):
    async with Crowd(embedded, USERS) as crowd:
        await crowd.acknowledged(SOME)
        database = embedded.postgres_pid()
        for chatter in crowd.everybody:
            chatter.stay_away()
        embedded.terminate()
        async with asyncio.timeout(DRAIN_TIME):
            assert await embedded.ended() == 0
            await asyncio.gather(*(chatter.ended() for chatter in crowd.everybody))
        await until(lambda: not is_alive(database))
        for chatter in crowd.everybody:
            assert chatter.frames["server_draining"] == 1
            assert chatter.close_codes == [1001]
        await crowd.everything_delivered()
        await embedded.start()
        assert await crowd.verify() == set(crowd.ledger.acknowledged)
    assert embedded.events("shutting down")


async def test_the_server_ends_in_time_when_it_is_told_to_stop_without_a_database(start):
    server = await start(NODE_ENV="development", SHUTDOWN_TIMEOUT="1000")
    async with Crowd(server, USERS) as crowd:
        await crowd.acknowledged(SOME)
        for chatter in crowd.everybody:
            chatter.stay_away()
        with frozen(server.postgres_pid()):
            await until(lambda: any(chatter.waiting for chatter in crowd.writers))
            server.terminate()
            await asyncio.gather(*(chatter.ended() for chatter in crowd.everybody))
        # The database ends as soon as it can.
        assert await server.ended() == 0
        await server.start()
        assert await crowd.verify() >= set(crowd.ledger.acknowledged)
    assert not server.bugs()


async def test_readers_who_never_pause_do_not_delay_the_end(embedded):
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(await embedded.join(1)) for _ in range(READERS)]
        sent = await readers[0].request(
            type="send_private_message", recipientId="2", content="hello"
        )

        async def read(client):
            command = {"type": "get_private_messages"}
            command["conversationId"] = sent["message"]["conversationId"]
            with suppress(ConnectionClosed):
                for _ in range(IN_FLIGHT):
                    await client.send(**command)
                while client.close_code is None:
                    await client.expect(None)
                    await client.send(**command)

        reading = [asyncio.create_task(read(client)) for client in readers]
        await until(lambda: all(len(client.frames) > SOME for client in readers))
        embedded.terminate()
        async with asyncio.timeout(DRAIN_TIME):
            assert await embedded.ended() == 0
            await asyncio.gather(*(client.wait_closed() for client in readers))
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        assert [client.close_code for client in readers] == [1001] * READERS
