"""Two users of a server of development chat; PORT, ALICE and BOB are in the environment."""

import asyncio
import os

import aiohttp

PATIENCE = 60.0  # seconds


async def expect(socket: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, object]:
    """Return the next event of a type."""
    while True:
        event: dict[str, object] = await socket.receive_json()
        if event["type"] == kind:
            return event


async def chat() -> None:
    """Log in, send, receive."""
    url = f"http://127.0.0.1:{os.environ['PORT']}"
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/ready") as response:
                    if response.status == 200:
                        break
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)
        async with session.ws_connect(url) as alice, session.ws_connect(url) as bob:
            for socket, name in ((alice, "ALICE"), (bob, "BOB")):
                await expect(socket, "connected")
                await socket.send_json({"type": "authenticate", "token": os.environ[name]})
                await expect(socket, "connected")
            await alice.send_json(
                {"type": "send_private_message", "recipientId": "2", "content": "hello"}
            )
            sent = await expect(alice, "message_sent")
            received = await expect(bob, "new_private_message")
            assert received["messageId"] == sent["messageId"]
    print("two users chatted")


asyncio.run(asyncio.wait_for(chat(), PATIENCE))
