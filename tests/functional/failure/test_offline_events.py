"""Events for users who are away survive whatever happens to the server."""

import asyncio

import pytest

from tests.functional.client import ChatClient
from tests.functional.failure.process import PATIENCE, token, until

SOME = 40
KIND = "reaction_added"


@pytest.fixture
async def server(start, own_database):
    server = await start(NODE_ENV="production", DATABASE_URL=own_database, EVENT_DELIVERY_DELAY="2")
    yield server
    assert server.is_running
    assert not server.bugs()


def reactions(*clients):
    return [
        frame["reaction"]["reaction"]
        for client in clients
        for frame in client.frames
        if frame["type"] == KIND
    ]


async def react(author, count):
    """Change something so often while the other user is away; return what was answered."""
    sent = await author.request(
        type="send_private_message", recipientId="32", content="hello", clientMessageId="m"
    )
    message_id = sent["messageId"]
    answered = []
    for number in range(count):
        command = {"type": "add_reaction", "messageId": message_id, "reaction": str(number)}
        answer = await author.request(**command)
        assert answer["type"] == KIND
        answered.append(str(number))
    return answered


async def test_events_that_were_answered_survive_a_kill(server):
    async with await server.join(31) as author:
        answered = await react(author, SOME)
        await author.send(type="ping")
        await server.kill()
    await server.start()
    async with await server.join(32) as reader:
        assert reactions(reader) == answered
        assert reader.frames[-1]["queuedEvents"] == SOME
    async with await server.join(32) as reader:
        assert reactions(reader) == []


async def test_a_kill_in_the_middle_of_the_delivery_loses_no_event(server):
    async with await server.join(31) as author:
        answered = await react(author, SOME)
    reader = await ChatClient.connect(server.url)
    await reader.send(type="authenticate", token=token(32))
    await reader.expect(KIND)
    await server.kill()
    await reader.close()
    first = reactions(reader)
    await server.start()
    async with await server.join(32) as reader:
        # What the dead one had claimed is free after some seconds.
        await reader.expect(KIND, timeout=PATIENCE, reaction=event(answered[-1]))
        assert reactions(reader)[-len(answered) :] == answered
    assert first == answered[: len(first)]


def event(reaction):
    return {"userId": "31", "username": "user31", "reaction": reaction}


async def test_events_are_queued_when_the_database_comes_back(server, own_postgres):
    async with await server.join(31) as author:
        sent = await author.request(type="send_private_message", recipientId="32", content="hello")
        message_id = sent["messageId"]

        async def keep_reacting():
            done = []
            for number in range(10_000):
                command = {"type": "add_reaction", "messageId": message_id}
                answer = await author.request(**command, reaction=str(number), timeout=PATIENCE)
                if answer["type"] == KIND:
                    done.append(str(number))
                    if refused and len(done) > 2 * SOME:
                        return done
                else:
                    assert answer["code"] == "SERVICE_UNAVAILABLE"
                    refused.append(str(number))
            raise AssertionError("the database never was away")

        refused = []
        work = asyncio.create_task(keep_reacting())
        await until(lambda: reactions(author) or work.done())
        await asyncio.to_thread(own_postgres.stop)
        try:
            await until(lambda: refused or work.done())

        finally:
            own_postgres.start()
        answered = await work
        # One that was refused may have been made all the same; then it is told of, too.
        async with await server.join(32) as reader:
            got = reactions(reader)
            assert set(answered) <= set(got) <= {*answered, *refused}
            assert got == sorted(set(got), key=int)
