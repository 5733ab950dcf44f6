"""The real server on the test's event loop, a real database, real sockets."""

import asyncio
import base64
import secrets
from contextlib import AsyncExitStack

import pytest
import uvloop

from fastchat.app import database_arguments, prepare_database
from fastchat.auth.tokens import make_token
from fastchat.config import load
from fastchat.host import Host, Place
from fastchat.server import Server
from fastchat.telemetry.board import Board
from fastchat.telemetry.census import Registrar
from tests.functional.client import ChatClient
from tests.strict import check_event, check_reply

SECRET = bytes(range(48))
ENVIRONMENT = {
    "NODE_ENV": "production",
    "HOST": "127.0.0.1",
    "PORT": "0",
    "DB_SSL": "false",
    "JWT_SECRET": base64.b64encode(SECRET).decode(),
    "CHAT_ENCRYPTION_KEY": "a key for tests, 32 characters !",
    "MAX_CONNECTIONS": "1000",
    "MAX_CONNECTIONS_PER_IP": "1000",
    "PRESENCE_SCOPE": "none",
}


class StrictClient(ChatClient):
    """Notes every frame that is not exactly an event, or does not answer the command it names."""

    def __init__(self, websocket) -> None:
        self.faults: list[str] = []
        self.asked: dict[str, str] = {}  # types of commands by their ids
        super().__init__(websocket)

    async def send(self, **command) -> None:
        if isinstance(command.get("requestId"), str):
            self.asked[command["requestId"]] = command.get("type")
        await super().send(**command)

    def look_at(self, frame) -> None:
        try:
            check_event(frame)
            if isinstance(frame.get("requestId"), str) and frame["requestId"] in self.asked:
                check_reply(frame, self.asked[frame["requestId"]])
        except AssertionError as error:
            self.faults.append(str(error))


class Chat:
    """A running server and its clients; whatever was opened is closed at the end."""

    def __init__(self, database: str, stack: AsyncExitStack) -> None:
        self.database = database
        self.stack = stack
        self.server: Server
        self.clients: list[StrictClient] = []

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    async def start(self, place: Place | None = None, **settings: str) -> None:
        config = load(ENVIRONMENT | {"DATABASE_URL": self.database} | settings)
        arguments = database_arguments(config, None)
        tables = await prepare_database(config, arguments)
        self.server = Server(config, arguments, tables, place)
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()

    def token(self, user_id: int | str, expires_in: float = 3600.0, **claims: str) -> str:
        return make_token(SECRET, str(user_id), expires_in, **claims)

    async def guest(self, **options) -> ChatClient:
        client = await StrictClient.connect(self.url, **options)
        self.clients.append(client)
        return await self.stack.enter_async_context(client)

    async def join(self, user_id: int | str, **options) -> ChatClient:
        client = await self.guest(**options)
        await client.authenticate(self.token(user_id))
        return client


def pytest_asyncio_loop_factories(config, item):
    """The event loop of production."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def start_chat(database):
    """A function that starts a server with settings of the test's own."""
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    running = []
    async with AsyncExitStack() as stack:

        async def start(place: Place | None = None, **settings: str) -> Chat:
            chat = Chat(database, stack)
            await chat.start(place, **settings)
            running.append(chat)
            return chat

        yield start
    for chat in running:
        await chat.stop()
        for client in chat.clients:
            assert client.faults == []
    assert not failures
    assert asyncio.all_tasks() == {asyncio.current_task()}


class Workers(list[Chat]):
    """Several workers of one host, all on this event loop, and each with a port of its own."""

    async def join(self, *user_ids: int | str) -> list[ChatClient]:
        """Log users in, one after the other, the first on the first worker, and so on."""
        return [
            await self[index % len(self)].join(user_id) for index, user_id in enumerate(user_ids)
        ]


def make_places(count: int, make_place=Place) -> list[Place]:
    """Places of workers of one host."""
    host = Host(sockets=(), board=Board(count + 2), bus=secrets.token_hex(8))
    Registrar(host.board, count)
    return [
        make_place(host=host, worker=number, run=number, seat=number)
        for number in range(1, count + 1)
    ]


@pytest.fixture
async def start_workers(start_chat):
    """A function that starts several workers."""

    async def start(count: int = 2, make_place=Place, **settings: str) -> Workers:
        places = make_places(count, make_place)
        return Workers(
            [await start_chat(place, WEB_CONCURRENCY=str(count), **settings) for place in places]
        )

    return start


@pytest.fixture
async def workers(start_workers):
    """Two workers."""
    return await start_workers()


@pytest.fixture
async def chat(start_chat):
    """A server with the settings above."""
    return await start_chat()


@pytest.fixture
async def quick(start_chat):
    """One that sends queued events in one write."""
    return await start_chat(EVENT_DELIVERY_DELAY="0")
