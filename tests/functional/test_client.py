"""The test client itself: a wait that ends in vain must say why."""

import json

import pytest
from websockets.asyncio.server import serve

from tests.functional.client import ChatClient


async def greet_and_echo(websocket):
    """Greet, accept any token, answer each command with itself, and obey ``close``."""
    await websocket.send('{"type": "connected", "clientId": "c1", "requiresAuth": true}')
    async for text in websocket:
        command = json.loads(text)
        if command["type"] == "authenticate":
            event = {"type": "connected", "clientId": "c1", "user": {"id": command["token"]}}
            await websocket.send(json.dumps(event))
        elif command["type"] == "close":
            await websocket.close(1008, "as asked")
        elif command["type"] != "silence":
            await websocket.send(text)


@pytest.fixture
async def url():
    async with serve(greet_and_echo, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_connect_with_a_token_waits_for_the_session(url):
    async with await ChatClient.connect(url, "7") as client:
        assert (client.client_id, client.user["id"]) == ("c1", "7")
        assert [frame["type"] for frame in client.frames] == ["connected", "connected"]
        assert client.close_code is None


async def test_expect_leaves_other_events_for_later(url):
    async with await ChatClient.connect(url) as client:
        for number in range(3):
            await client.send(type="a", number=number)
        assert (await client.expect("a", number=1))["number"] == 1
        assert (await client.expect("a"))["number"] == 0
        assert (await client.expect("a"))["number"] == 2


async def test_request_returns_the_answer_to_this_very_command(url):
    async with await ChatClient.connect(url) as client:
        await client.send(type="b")
        assert (await client.request(type="b", text="x"))["text"] == "x"
        assert "requestId" not in await client.expect("b")


async def test_expect_in_vain_says_what_came_instead(url):
    async with await ChatClient.connect(url) as client:
        await client.request(type="other")
        await client.send(type="surprise")
        with pytest.raises(AssertionError, match=r"no pong within 0.05 s.*surprise.*still open"):
            await client.expect("pong", timeout=0.05)


async def test_expect_after_the_end_fails_at_once_with_the_close_code(url):
    async with await ChatClient.connect(url) as client:
        await client.send(type="close")
        with pytest.raises(AssertionError, match="closed 1008 'as asked'"):
            await client.expect("pong", timeout=60)
        assert await client.wait_closed() == (1008, "as asked")


async def test_assert_nothing_fails_on_what_is_already_there(url):
    async with await ChatClient.connect(url) as client:
        await client.assert_nothing("a", within=0.05)
        await client.send(type="a")
        with pytest.raises(AssertionError, match="expected no a"):
            await client.assert_nothing("a", within=5)


async def test_a_frame_that_is_no_event_ends_every_wait(url):
    async with await ChatClient.connect(url) as client:
        await client.send_text('{"type": 1}')
        with pytest.raises(AssertionError, match="no event"):
            await client.expect("pong", timeout=60)


async def test_wait_closed_is_bounded(url):
    async with await ChatClient.connect(url) as client:
        with pytest.raises(AssertionError, match=r"not closed within 0.05 s"):
            await client.wait_closed(timeout=0.05)
        await client.cut()
        assert client.close_code == 1006
