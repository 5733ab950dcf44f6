"""A user who answers every message with the same words, and reads what he answers.

    URL=ws://127.0.0.1:3001 TOKEN=… .venv/bin/python clients/python/echo_bot.py

``TOKEN`` is what ``fastchat gentoken --user ID`` prints, or the backend. The bot comes back by
itself when the connection ends, and answers what it missed meanwhile.
"""

import asyncio
import os

from fastchat.client import Client
from fastchat.protocol.message_types import NewPrivateMessage


async def run(url: str, token: str) -> None:
    """Answer until cancelled."""

    async def get_token() -> str:
        return token

    async with Client(url, get_token, first_limit=1) as client:
        async for event in client.events(NewPrivateMessage):
            message = event.message
            if client.user is not None and message.sender_id == client.user.user_id:
                continue  # written on another device of the bot
            client.send_private_message(message.sender_id, f"You said: {message.content}")
            await client.mark_message_read(event.message_id)


if __name__ == "__main__":
    asyncio.run(run(os.environ["URL"], os.environ["TOKEN"]))
