"""What tests of queued events share: numbered events, and what became of them."""

import asyncio
import socket

import orjson

from tests.functional.chat.talking import run_sql

KIND = "message_edited"


def edit(number, padding=0):
    """A numbered event, as it is stored."""
    message = {"id": "1-1", "content": "x" * padding, "editedAt": "2026-01-01T00:00:00.000Z"}
    event = {"type": KIND, "messageId": "1-1", "conversationId": "dm_1_2", "message": message}
    return orjson.dumps({**event, "rev": number + 1})


async def queue_events(chat, count, user_id="2", *, start=0, padding=0):
    """Queue numbered events as if their user had not been here."""
    events = [edit(number, padding) for number in range(start, start + count)]
    await asyncio.gather(*(chat.server.event_queue.put(1, event, [user_id]) for event in events))


def numbers(client):
    """Which of those a client got, in the order of arrival."""
    return [frame["rev"] - 1 for frame in client.frames if frame["type"] == KIND]


async def undelivered(chat, user_id="2"):
    rows = await run_sql(
        chat, "SELECT FROM event_queue WHERE user_id = $1 AND delivered_at IS NULL", user_id
    )
    return len(rows)


async def until(condition, timeout=5.0):
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.005)


async def all_marked(chat, user_id="2"):
    async with asyncio.timeout(5):
        while await undelivered(chat, user_id):
            await asyncio.sleep(0.01)


async def guest_with(chat, user_id=2, **fields):
    """A client that has asked to log in and got no answer yet."""
    guest = await chat.guest()
    await guest.send(type="authenticate", token=chat.token(user_id), requestId="login", **fields)
    return guest


def stop_reading(client):
    transport = client.websocket.transport
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    transport.pause_reading()
