"""The terminal client against a small server over real sockets."""

import argparse
import asyncio
import contextlib

import pytest

from fastchat.auth.tokens import TokenChecker
from fastchat.cli.chat import Chat, full_jitter, token_source
from fastchat.cli.development import development_secrets
from fastchat.cli.secret import jwt_secret
from fastchat.config import ConfigError
from tests.unit.cli.chat_server import CONVERSATION, PEER, ChatServer, Screen

LONG_AGO = "2020-01-02T03:04:05.000Z"


@pytest.fixture
async def server():
    async with ChatServer() as server:
        yield server


@pytest.fixture
def screen():
    return Screen()


@contextlib.asynccontextmanager
async def chatting(server, screen, **options):
    """A chat that goes on until the input ends; it yields the task that returns the exit code."""
    settings = {"token": lambda: "token", "show": screen.show, "delay": lambda attempt: 0.0}
    chat = Chat(server.url, PEER, **(settings | options))
    task = asyncio.create_task(chat.run(screen.typed()))
    try:
        yield task
    finally:
        screen.type(None)
        async with asyncio.timeout(10):
            await task


async def test_prints_the_history_at_the_start(server, screen):
    server.store("1", "from me")
    server.store("2", "from bob")
    async with chatting(server, screen) as task:
        screen.type(None)
        assert await task == 0
    assert screen.lines[:2] == ["✓ from me", "Bob ␛[31mB.: from bob"]
    assert "(online)" in screen.lines[2]


async def test_shows_the_date_of_a_message_of_another_day(server):
    server.store("2", "old")["timestamp"] = LONG_AGO
    lines = []
    screen = Screen()
    async with chatting(server, screen, show=lines.append):
        screen.type(None)
    assert lines[0].startswith("2020-01-0")


async def test_shows_an_own_message_when_it_is_stored(server, screen):
    async with chatting(server, screen) as task:
        screen.type("hello")
        await screen.wait_for("✓ hello")
        screen.type("   ")
        screen.type("/quit")
        assert await task == 0
    assert [message["content"] for message in server.messages] == ["hello"]


async def test_shows_what_the_other_does_as_it_happens(server, screen):
    async with chatting(server, screen):
        await screen.wait_for("You chat with")
        typing = {"userId": PEER, "isTyping": True, "conversationId": CONVERSATION}
        await server.event("user_typing", **typing)
        await server.event("user_typing", **typing)
        await server.say("hi")
        await server.event("user_offline", user={"id": PEER})
        await server.event("user_offline", user={"id": "9"})
        await server.event("of_the_future")
        await server.event(
            "message_edited",
            messageId="10-1",
            conversationId=CONVERSATION,
            message={"id": "10-1", "content": "hi!"},
        )
        await screen.wait_for("edited")
    name = "Bob ␛[31mB."
    assert screen.lines[1:] == [
        f"* {name} is typing…",
        f"{name}: hi",
        f"* {name} is offline",
        "* edited: hi!",
    ]


async def test_ignores_messages_of_other_conversations(server, screen):
    async with chatting(server, screen):
        await screen.wait_for("You chat with")
        other = server.store("3", "not for this window") | {"conversationId": "conv_1_3"}
        await server.event("new_private_message", message=other)
        await server.say("hi")
        await screen.wait_for("hi")
    assert not any("not for this" in line for line in screen.lines)


@pytest.mark.parametrize("fault", ["cut before", "cut after"])
async def test_resends_with_the_same_id_after_a_cut(server, screen, fault):
    server.store("2", "first")
    server.before_answer = [fault]
    async with chatting(server, screen) as task:
        screen.type("a")
        screen.type("b")
        await screen.wait_for("✓ b")
        screen.type(None)
        assert await task == 0
    assert server.connections == 2
    assert [message["content"] for message in server.messages] == ["first", "a", "b"]
    assert [line for line in screen.lines if "✓" in line] == ["✓ a", "✓ b"]
    sends = server.received("send_private_message")
    assert len({send["clientMessageId"] for send in sends}) == 2


async def test_resends_when_the_history_does_not_hold_the_message_yet(server, screen):
    """With an empty history the conversation is started anew, which shows what was stored."""
    server.before_answer = ["cut after"]
    async with chatting(server, screen):
        screen.type("a")
        await screen.wait_for("✓ a")
    assert len(server.received("start_conversation")) == 2
    assert len(server.messages) == 1


async def test_fetches_all_it_missed_before_it_shows_what_is_new(server, screen):
    server.store("2", "known")
    async with chatting(server, screen, delay=lambda attempt: 0.05):
        await screen.wait_for("You chat with")
        for number in range(5):
            server.store("2", f"missed {number}")
        server.live.transport.abort()
        await screen.wait_for("missed 4")
        await screen.wait_for("connected again")
        await server.say("new")
        await screen.wait_for("new")
    shown = [line.rpartition(": ")[2] for line in screen.lines if "Bob" in line and ": " in line]
    assert shown == ["known", *(f"missed {number}" for number in range(5)), "new"]
    afters = [command["after"] for command in server.received("get_private_messages")]
    assert afters == [1, 3, 5]


async def test_a_message_that_comes_during_the_catching_up_is_shown_once_and_in_order(
    server, screen
):
    server.store("2", "known")
    answer = server._get_private_messages

    async def answer_late(command):
        if server.messages[-1]["content"] != "meanwhile":
            server.store("2", "missed")
            await server.say("meanwhile")
        await answer(command)

    server._get_private_messages = answer_late
    async with chatting(server, screen):
        await screen.wait_for("You chat with")
        server.live.transport.abort()
        await screen.wait_for("connected again")
        await server.say("end")
        await screen.wait_for("end")
    shown = [line.rpartition(": ")[2] for line in screen.lines if "Bob" in line and ": " in line]
    assert shown == ["known", "missed", "meanwhile", "end"]


@pytest.mark.parametrize("code", ["RATE_LIMIT_EXCEEDED", "SERVICE_UNAVAILABLE"])
async def test_sends_again_after_the_pause_that_the_server_asks_for(server, screen, code):
    server.before_answer = [{"code": code, "message": "m", "details": "later", "retryAfter": 1}]
    async with chatting(server, screen) as task:
        screen.type("a")
        screen.type("b")
        await screen.wait_for("✓ b")
        screen.type(None)
        assert await task == 0
    assert "! not stored yet (later); sent again in 1 s" in screen.lines
    assert [message["content"] for message in server.messages] == ["a", "b"]


async def test_a_message_that_turns_out_to_be_stored_is_not_sent_again(server, screen):
    error = {"code": "SERVICE_UNAVAILABLE", "message": "m", "details": "later", "retryAfter": 60}
    server.before_answer = [error]
    async with chatting(server, screen) as task:
        screen.type("a")
        screen.type("b")
        await screen.wait_for("sent again in 60 s")
        (send,) = server.received("send_private_message")
        stored = server.store("1", "a", send["clientMessageId"])
        await server.event("message_sent", messageId=stored["id"], message=stored)
        await screen.wait_for("✓ b")
        screen.type(None)
        assert await task == 0
    sent = [command["content"] for command in server.received("send_private_message")]
    assert sent == ["a", "b"]


async def test_gives_up_a_message_that_the_server_refuses(server, screen):
    server.before_answer = [{"code": "USER_BLOCKED", "message": "m", "details": "Blocked."}]
    async with chatting(server, screen) as task:
        screen.type("a")
        screen.type("b")
        await screen.wait_for("✓ b")
        screen.type(None)
        assert await task == 1
    assert "! not sent: a (Blocked.)" in screen.lines


async def test_ends_when_the_token_is_refused(server, screen):
    server.accepts = lambda token: False
    async with chatting(server, screen) as task:
        assert await asyncio.wait_for(task, 5) == 1
    assert screen.lines == ["! Session expired. Please log in again."]


async def test_takes_a_new_token_when_the_session_has_expired(server, screen):
    tokens = iter(["old", "new"])
    async with chatting(server, screen, token=lambda: next(tokens)):
        await screen.wait_for("You chat with")
        await server.event("auth_error", message="m", details="Ended.", code="SESSION_EXPIRED")
        await screen.wait_for("You chat with", times=2)
    used = [command["token"] for command in server.received("authenticate")]
    assert used == ["old", "new"]


async def test_survives_a_server_that_sends_nonsense(server, screen):
    async with chatting(server, screen):
        await screen.wait_for("You chat with")
        await server.live.send('{"type": "new_private_message"}')
        await screen.wait_for("no event")
        await screen.wait_for("You chat with", times=2)


async def test_tells_what_was_not_stored_when_the_server_cannot_be_reached(screen):
    async with ChatServer() as server:
        pass
    async with chatting(server, screen, delay=lambda attempt: 0.01, farewell=0.1) as task:
        screen.type("a")
        screen.type(None)
        assert await task == 1
    assert len([line for line in screen.lines if "trying to connect again" in line]) == 1
    assert screen.lines[-1] == "! 1 of your messages may not have been stored"


async def test_says_that_a_url_is_none(server, screen):
    server.url = "nonsense"
    async with chatting(server, screen) as task:
        assert await asyncio.wait_for(task, 5) == 1
    assert screen.lines == ["! 'nonsense': expected a ws:// or wss:// URL"]


def test_backs_off_over_a_span_that_grows_from_1_s_to_30_s():
    for attempt, most in [(0, 1.0), (1, 2.0), (4, 16.0), (5, 30.0), (1000, 30.0)]:
        delays = [full_jitter(attempt) for _ in range(200)]
        assert 0.0 <= min(delays) < most / 4
        assert most * 3 / 4 < max(delays) <= most


def arguments(token=None):
    return argparse.Namespace(as_name="Alice", to="bob", url="ws://x", token=token)


def test_a_given_token_is_used_before_that_of_the_environment():
    environ = {"FASTCHAT_TOKEN": " theirs "}
    assert token_source(arguments("mine"), environ)() == "mine"
    assert token_source(arguments(), environ)() == "theirs"


def test_uses_the_secret_that_a_development_server_has_left(tmp_path):
    environ = {"FASTCHAT_DATA_DIR": str(tmp_path)}
    development_secrets(tmp_path)
    token = token_source(arguments(), environ)()
    secret = jwt_secret(environ | {"NODE_ENV": "development"})
    assert TokenChecker(secret).check(token).user_id == "1"


def test_without_any_secret_says_what_is_missing_and_makes_none(tmp_path):
    with pytest.raises(ConfigError, match="JWT_SECRET"):
        token_source(arguments(), {"FASTCHAT_DATA_DIR": str(tmp_path)})
    assert not list(tmp_path.iterdir())
