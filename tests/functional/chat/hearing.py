"""A Python client in a test, and everything it tells."""

import asyncio
from contextlib import asynccontextmanager

from fastchat.client import Client, StateChanged
from fastchat.protocol.message_types import NewPrivateMessage

BOUND = 10.0  # seconds for every wait


class Heard:
    """Everything a client told, and a way to wait for it."""

    def __init__(self, client: Client) -> None:
        self.events = []
        self._news = asyncio.Event()
        client.on(object, self._note)

    def _note(self, event) -> None:
        self.events.append(event)
        self._news.set()

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, condition):
        """Wait until something is so, whenever an event comes."""
        async with asyncio.timeout(BOUND):
            while not (found := condition()):
                self._news.clear()
                await self._news.wait()
        return found

    async def first(self, kind, start=0):
        return (await self.until(lambda: self.of(kind)[start:]))[0]

    async def state(self, state, times=1):
        """Wait until a state was entered so many times; return how it was the last time."""
        changes = await self.until(
            lambda: (
                (found := [one for one in self.of(StateChanged) if one.state is state])
                and len(found) >= times
                and found
            )
        )
        return changes[times - 1]

    @property
    def contents(self):
        return [event.message.content for event in self.of(NewPrivateMessage)]


@asynccontextmanager
async def joined(chat, user_id, url, **options):
    """A client that is online, and what it tells."""
    settings = {"get_token": lambda: chat.token(user_id), "delay": lambda attempt: 0.0}
    client = Client(url, **(settings | options))
    heard = Heard(client)
    async with client, asyncio.timeout(3 * BOUND):
        await client.online()
        yield client, heard
