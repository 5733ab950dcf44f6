"""``fastchat chat`` against the real server."""

import asyncio
import contextlib
import os
import sys

import pytest

from fastchat.cli.chat import Chat
from tests.functional.chat.screen import Screen
from tests.functional.chat.talking import contents, run_sql, say, say_id
from tests.functional.chat.wire import Wire

ME, PEER = "1", "2"
NAME = "Bob ␛[31mB."


@pytest.fixture
def screen():
    return Screen()


@pytest.fixture
async def named(quick):
    """A server on which user 2 has a name that paints the terminal."""
    await run_sql(
        quick,
        "INSERT INTO user_profile_info (user_id, first_name, last_name, display_name)"
        " VALUES (2, 'Bob', 'B', E'Bob \\x1b[31mB.')",
    )
    return quick


@contextlib.asynccontextmanager
async def chatting(chat, screen, **options):
    """A chat that goes on until the input ends; it yields the task that returns the exit code."""
    settings = {
        "url": chat.url,
        "token": lambda: chat.token(ME),
        "show": screen.show,
        "delay": lambda attempt: 0.02,
    }
    settings |= options
    terminal = Chat(settings.pop("url"), PEER, **settings)
    task = asyncio.create_task(terminal.run(screen.typed()))
    try:
        yield task
    finally:
        screen.type(None)
        async with asyncio.timeout(10):
            await task


async def test_prints_the_history_at_the_start(named, screen):
    me, bob = await named.join(ME), await named.join(PEER)
    await say(me, PEER, "from me")
    await say(bob, ME, "from bob")
    async with chatting(named, screen) as task:
        screen.type(None)
        assert await task == 0
    assert screen.lines[:2] == ["✓ from me", f"{NAME}: from bob"]
    assert "(online)" in screen.lines[2]


async def test_shows_the_date_of_a_message_of_another_day(quick):
    await say(await quick.join(PEER), ME, "old")
    await run_sql(quick, "UPDATE chat_messages SET created_at = '2020-01-02 03:04:05Z'")
    await quick.stop()
    await quick.start(EVENT_DELIVERY_DELAY="0")
    lines = []
    screen = Screen()
    async with chatting(quick, screen, show=lines.append):
        screen.type(None)
    assert lines[0].startswith("2020-01-0")


async def test_shows_an_own_message_when_it_is_stored(quick, screen):
    async with chatting(quick, screen) as task:
        screen.type("hello")
        await screen.wait_for("✓ hello")
        screen.type("   ")
        screen.type("/quit")
        assert await task == 0
    assert await contents(await quick.join(ME), PEER) == ["hello"]


async def test_shows_what_the_other_does_as_it_happens(named, screen):
    bob, carol = await named.join(PEER), await named.join(3)
    async with chatting(named, screen):
        await screen.wait_for("You chat with")
        await bob.send(type="typing", isTyping=True, recipientId=ME)
        await screen.wait_for("typing")
        await bob.send(type="typing", isTyping=True, recipientId=ME)
        message_id = await say_id(bob, ME, "hi")
        await say(carol, ME, "not for this window")
        await bob.request(type="edit_message", messageId=message_id, content="hi!")
        await bob.request(type="delete_message", messageId=message_id)
        await screen.wait_for("deleted")
    assert screen.lines[1:] == [
        f"* {NAME} is typing…",
        f"{NAME}: hi",
        "* edited: hi!",
        "* a message was deleted",
    ]


async def test_shows_that_the_other_comes_and_goes(start_chat, screen):
    chat = await start_chat(PRESENCE_SCOPE="all", OFFLINE_GRACE_PERIOD_MS="0")
    async with chatting(chat, screen):
        await screen.wait_for("You chat with user2 (offline)")
        bob = await chat.join(PEER)
        await screen.wait_for("* user2 is online")
        await bob.close()
        await screen.wait_for("* user2 is offline")


@pytest.mark.parametrize("lost", [b"message_sent", b"sync_result"])
async def test_loses_and_doubles_nothing_over_a_cut(quick, screen, lost):
    async with Wire(quick.server.port) as wire, chatting(quick, screen, url=wire.url) as task:
        await screen.wait_for("You chat with")
        wire.lose = lost
        if lost == b"sync_result":
            wire.cut()
            await screen.wait_for("trying to connect again")
        screen.type("a")
        screen.type("b")
        await screen.wait_for("✓ b")
        screen.type(None)
        assert await task == 0
    assert [line for line in screen.lines if "✓" in line] == ["✓ a", "✓ b"]
    assert await contents(await quick.join(ME), PEER) == ["a", "b"]


@pytest.mark.parametrize("missed", [3, 201])
async def test_shows_all_it_missed_before_what_is_new(quick, screen, missed):
    bob = await quick.join(PEER)
    await say(bob, ME, "known")
    async with Wire(quick.server.port) as wire, chatting(quick, screen, url=wire.url):
        await screen.wait_for("You chat with")
        wire.is_closed = True
        wire.cut()
        await screen.wait_for("trying to connect again")
        for number in range(missed):
            await bob.send(type="send_private_message", recipientId=ME, content=f"missed {number}")
        for _ in range(missed):
            await bob.expect("message_sent")
        wire.is_closed = False
        await screen.wait_for("connected again")
        await say(bob, ME, "new")
        await screen.wait_for("new")
    shown = [line.rpartition(": ")[2] for line in screen.lines if line.startswith("user2: ")]
    assert shown == ["known", *(f"missed {number}" for number in range(missed)), "new"]


async def test_shows_what_was_changed_meanwhile(quick, screen):
    bob = await quick.join(PEER)
    first, second = await say_id(bob, ME, "first"), await say_id(bob, ME, "second")
    async with Wire(quick.server.port) as wire, chatting(quick, screen, url=wire.url):
        await screen.wait_for("You chat with")
        wire.is_closed = True
        wire.cut()
        await screen.wait_for("trying to connect again")
        await bob.request(type="edit_message", messageId=first, content="1st")
        await bob.request(type="delete_message", messageId=second)
        wire.is_closed = False
        await screen.wait_for("* edited: 1st")
        await screen.wait_for("* a message was deleted")


async def test_says_that_the_server_lets_it_wait(start_chat, screen):
    chat = await start_chat(MESSAGE_RATE_LIMIT="1")
    async with chatting(chat, screen, farewell=0.1) as task:
        screen.type("a")
        await screen.wait_for("✓ a")
        screen.type("b")
        await screen.wait_for("! not stored yet (")
        screen.type(None)
        assert await task == 1
    assert screen.lines[-1] == "! 1 of your messages may not have been stored"


async def test_gives_up_a_message_that_the_server_refuses(quick, screen):
    async with chatting(quick, screen) as task:
        await screen.wait_for("You chat with")
        await run_sql(quick, "INSERT INTO blocked_relationships VALUES (2, 1)")
        screen.type("a")
        await screen.wait_for("! not sent: a (")
        await run_sql(quick, "DELETE FROM blocked_relationships")
        screen.type("b")
        await screen.wait_for("✓ b")
        screen.type(None)
        assert await task == 1


async def test_ends_when_the_token_is_refused(quick, screen):
    token = quick.token("nobody")
    async with chatting(quick, screen, token=lambda: token) as task:
        assert await asyncio.wait_for(task, 5) == 1
    assert screen.lines == ["! Nobody knows the user of this token."]


async def test_ends_when_nobody_knows_the_other(quick, screen):
    await run_sql(quick, "DELETE FROM users_auth WHERE user_id = 2")
    async with chatting(quick, screen) as task:
        assert await asyncio.wait_for(task, 5) == 1
    (line,) = screen.lines
    assert line.startswith("! ")


async def test_tells_what_was_not_stored_when_the_server_cannot_be_reached(quick, screen):
    async with Wire(quick.server.port) as wire:
        url = wire.url
    async with chatting(quick, screen, url=url, farewell=0.1) as task:
        screen.type("a")
        await screen.wait_for("trying to connect again")
        screen.type(None)
        assert await task == 1
    assert len([line for line in screen.lines if "trying to connect again" in line]) == 1
    assert screen.lines[-1] == "! 1 of your messages may not have been stored"


async def test_says_that_a_url_is_none(quick, screen):
    async with chatting(quick, screen, url="nonsense") as task:
        assert await asyncio.wait_for(task, 5) == 1
    assert screen.lines == ["! 'nonsense': expected a ws:// or wss:// URL"]


COMMAND = """
import argparse, sys
from fastchat.cli.chat import run
sys.exit(run(argparse.Namespace(as_name="alice", to="bob", url=sys.argv[1], token=sys.argv[2])))
"""


async def test_the_command_sends_its_input_and_ends_when_all_is_stored(quick):
    await say(await quick.join(PEER), ME, "\x1b[31mred")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", COMMAND, quick.url, quick.token(ME)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )
    async with asyncio.timeout(20):
        output, errors = await process.communicate("hällo\n".encode())
    assert (process.returncode, errors) == (0, b"")
    assert "␛[31mred" in output.decode()
    assert "✓ hällo" in output.decode()
