"""The database is stopped, frozen or restarted: the server stays, answers, and recovers."""

import asyncio
import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import chain

import pytest

from fastchat.protocol import commands
from fastchat.protocol.commands import COMMANDS
from fastchat.protocol.group_commands import GetGroupMessages, SendAnnouncement, SendGroupMessage
from fastchat.protocol.membership_commands import MEMBERSHIP_COMMANDS
from tests.functional.client import ChatClient
from tests.functional.failure.load import Crowd
from tests.functional.failure.process import token, until
from tests.functional.grouping import GROUP, make_group
from tests.functional.store.freezing import frozen

GROUP_FIELDS = {"userId": "22", "groupName": "meanwhile", "canAddMembers": True}
USERS = ("11", "12", "13")
MARGIN = 0.5  # seconds; this machine does other things too
DEADLINE = 5.0 + MARGIN  # seconds; docs/protocol.md, "Answers"
SOME = 150  # messages


@pytest.fixture
async def server(start, own_database):
    server = await start(NODE_ENV="production", DATABASE_URL=own_database)
    await make_group(own_database, {"21": "owner", "22": "member"})
    yield server
    assert server.is_running
    assert not server.bugs()


@asynccontextmanager
async def stopped(postgres):
    await asyncio.to_thread(postgres.stop)
    try:
        yield
    finally:
        postgres.start()  # not in a thread: it would end with it


@asynccontextmanager
async def silent(postgres):
    with frozen(postgres.pid):
        yield


@pytest.fixture(params=[stopped, silent])
def away(request, own_postgres):
    """A context in which the database is away in one way or the other."""
    return request.param(own_postgres)


async def test_messages_survive_a_database_that_is_away(server, away):
    async with Crowd(server, USERS) as crowd:
        await crowd.acknowledged(SOME)
        async with away:
            await server.until_ready(503)
            await until(lambda: crowd.ledger.refused)
            assert await server.status("/live") == 200
            acknowledged = len(crowd.ledger.acknowledged)
            await until(lambda: crowd.ledger.refused > 2 * len(crowd.writers))
            assert len(crowd.ledger.acknowledged) == acknowledged
        await server.until_ready()
        await crowd.acknowledged(SOME)
        await crowd.settle()
        assert await crowd.verify() == set(crowd.ledger.sent)
        await crowd.everything_delivered()
        assert crowd.ledger.slowest < DEADLINE


async def test_messages_survive_a_restart_of_the_database(server, own_postgres):
    async with Crowd(server, USERS) as crowd:
        await crowd.acknowledged(SOME)
        async with stopped(own_postgres):
            pass
        await crowd.acknowledged(SOME)
        await crowd.settle()
        assert await crowd.verify() == set(crowd.ledger.sent)
        await crowd.everything_delivered()
        assert crowd.ledger.slowest < DEADLINE
        await server.until_ready()


async def questions(server):
    """Store what the commands ask about; return some of each type, by its class."""
    async with await server.join(21) as author:
        command = {"type": "send_group_message", "groupId": GROUP, "content": "before"}
        assert (await author.request(**command))["type"] == "group_message_sent"
        sent = await author.request(
            type="send_private_message", recipientId="22", content="before", clientMessageId="b"
        )
    old = {"messageId": sent["messageId"]}
    room = {"conversationId": sent["message"]["conversationId"]}
    send = {"type": "send_private_message", "content": "meanwhile"}
    group = {"groupId": GROUP, "content": "meanwhile"}
    return {
        commands.Authenticate: [{"type": "authenticate", "token": token(21)}],
        commands.AckEvents: [{"type": "ack_events", "eventIds": ["1"]}],
        commands.Ping: [{"type": "ping"}],
        commands.Test: [{"type": "test"}],
        commands.GetOnlineUsers: [{"type": "get_online_users"}],
        commands.StartConversation: [
            {"type": "start_conversation", "recipientId": other} for other in ("22", "23")
        ],
        commands.SendPrivateMessage: [
            send | {"recipientId": "22"},
            send | {"recipientId": "23"},
            send | {"recipientId": "22", "replyToMessageId": sent["messageId"]},
            send | {"recipientId": "22", "replyToMessageId": str(uuid.uuid4())},
            send | {"recipientId": "22", "clientMessageId": "b"},
        ],
        commands.GetPrivateMessages: [
            {"type": "get_private_messages"} | room,
            {"type": "get_private_messages", "recipientId": "23"},
        ],
        commands.MarkMessageRead: [{"type": "mark_message_read"} | old],
        commands.EditMessage: [{"type": "edit_message", "content": "after"} | old],
        commands.DeleteMessage: [
            {"type": "delete_message", "deleteForEveryone": for_everyone} | old
            for for_everyone in (True, False)
        ],
        commands.AddReaction: [{"type": "add_reaction", "reaction": "+1"} | old],
        commands.RemoveReaction: [{"type": "remove_reaction"} | old],
        commands.PinMessage: [{"type": "pin_message"} | old | room],
        commands.UnpinMessage: [{"type": "unpin_message"} | old | room],
        commands.GetPinnedMessages: [{"type": "get_pinned_messages"} | room],
        commands.GetConversations: [{"type": "get_conversations"}],
        commands.Sync: [{"type": "sync"}],
        commands.DeleteConversation: [{"type": "delete_conversation"} | room],
        SendGroupMessage: [
            {"type": "send_group_message", **group},
            {"type": "send_group_message", **group, "content": "@everyone"},
        ],
        SendAnnouncement: [{"type": "send_announcement", **group}],
        GetGroupMessages: [{"type": "get_group_messages", **group}],
        **{
            command: [{"type": command.__struct_config__.tag, **group, **GROUP_FIELDS}]
            for command in MEMBERSHIP_COMMANDS
        },
        commands.Typing: [{"type": "typing", "recipientId": "22", "isTyping": True}],
    }


async def ask(client, question):
    """Send a command and a ping behind it; return the answer, None for typing."""
    await client.send(**question, requestId="question")
    assert (await client.request(type="ping", timeout=DEADLINE))["type"] == "pong"
    if question["type"] == "typing":
        return None  # and no answer: see the end of the test
    return await client.expect(None, timeout=DEADLINE, requestId="question")


def is_unavailable(answer):
    return answer.get("code") == "SERVICE_UNAVAILABLE" and answer["retryAfter"] >= 1


async def test_every_command_is_answered_in_time_without_a_database(server, away):
    asked = await questions(server)
    assert asked.keys() == set(COMMANDS)
    async with AsyncExitStack() as stack:
        asking = []
        for question in chain.from_iterable(asked.values()):
            client = await stack.enter_async_context(await server.join(21))
            asking.append((client, question))
        guest = await stack.enter_async_context(await ChatClient.connect(server.url))
        asking.append((guest, asked[commands.Authenticate][0]))

        async with away:
            answers = await asyncio.gather(*(ask(*pair) for pair in asking))
        for (_, question), answer in zip(asking, answers, strict=True):
            match question["type"]:
                case "ping":
                    assert answer["type"] == "pong"
                case "test":
                    assert answer["type"] == "test_response"
                case "authenticate":
                    assert answer["type"] == "auth_error"
                    assert is_unavailable(answer)
                case "typing":
                    assert answer is None
                case _:
                    assert answer["type"] == "error"
                    assert is_unavailable(answer)

        await server.until_ready()
        for client, question in asking:
            answer = await ask(client, question)
            assert answer is None or not is_unavailable(answer)
            if question["type"] == "typing":
                assert all(frame.get("requestId") != "question" for frame in client.frames)
