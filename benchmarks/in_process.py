"""The whole server in this process, of one worker or several, and its clients on real sockets.

Only PostgreSQL is not there: what stands in its place knows every user and every room, and answers
the statements of log-ins and sends at once. So what is measured is the path of a message in the
server alone, and it is the same each time.
"""

import asyncio
import base64
import json
import secrets
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import uvloop

from fastchat.admission.table import WindowTable
from fastchat.auth.tokens import make_token
from fastchat.broker.exchange import Exchange
from fastchat.broker.local import LocalCarrier
from fastchat.config import load
from fastchat.host import Host, Place
from fastchat.server import Server
from fastchat.store.backend import BackendTables
from fastchat.store.fence import NEW_LANE
from fastchat.store.group_send_statement import GROUP_BATCH
from fastchat.store.rooms import conversation_id_of
from fastchat.telemetry.board import Board
from fastchat.transport.port import bind
from tests.functional.transport.raw_client import TEXT, RawClient, frame

SECRET = bytes(range(48))
ENVIRONMENT = {
    "NODE_ENV": "production",
    "HOST": "127.0.0.1",
    "PORT": "0",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    "JWT_SECRET": base64.b64encode(SECRET).decode(),
    "CHAT_ENCRYPTION_KEY": "a key for benchmarks, of 32 chars",
    "MAX_CONNECTIONS_PER_IP": "1000",
    "MESSAGE_RATE_LIMIT": "1000000",
    "COMMAND_RATE_LIMIT": "1000000",
    "PRESENCE_SCOPE": "none",
    "DB_MAX_CONNECTIONS": "50",
}
TABLES = BackendTables(
    id_type="bigint",
    profile_id_type="bigint",
    revocation_id_type="text",
    blocks_id_type="bigint",
    follows_id_type="bigint",
)
GROUP = "group_1"
GROUP_ROOM = 1_000_000
GROUP_REV = 1
CREATED = 1705314600_123456  # microseconds; the same for all, so that no path depends on it
CONTENT = "x" * 200
CLIENT_ID = "5b0c2c0e-7f0c-4b8e-9c3f-0a9d5d0f6a11"
SCRATCH = bytearray(1 << 16)  # for what nobody looks at
MOST_TURNS = 10_000  # of the event loop, for one exchange


class InstantDatabase:
    """Pool and connection at once; everybody is known, and a statement is committed when asked."""

    def __init__(self, members: Sequence[str]) -> None:
        """Take who is in the one group."""
        self._members = list(members)
        self._seqs: dict[int, int] = {}
        self._rooms: dict[str, int] = {}
        self._answers: dict[str, Callable[..., list[Any]]] = {
            "users": self._find_users,
            "rooms": self._open_rooms,
            "members": lambda room_ids: [(GROUP_REV, self._members) for _ in room_ids],
            "relations": lambda ones, others: [(True,) for _ in ones],
            "missed": self._find_missed,
        }

    async def connect(self, **settings: str) -> "InstantDatabase":
        return self

    def is_closed(self) -> bool:
        return False

    def terminate(self) -> None:
        pass

    async def fetch(
        self, query: str, *arguments: Any, timeout: float | None = None, name: str = "other"
    ) -> list[Any]:
        return self._answers[name](*arguments)

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        if query == NEW_LANE:
            return 1
        rooms = arguments[2]
        if isinstance(rooms, int):
            seq = self._advance(rooms, 1)
            return [seq, seq, CREATED]
        seqs = [self._advance(room, n) for room, n in zip(rooms, arguments[3], strict=True)]
        answer = seqs + seqs + [CREATED] * len(seqs)
        return answer + [GROUP_REV] * len(seqs) if query == GROUP_BATCH else answer

    async def fetchmany(self, query: str, rows: Sequence[Sequence[Any]]) -> list[tuple[list[int]]]:
        answer: list[int] = []
        records = []
        for row in rows:
            answer = [*answer, *await self.fetchval(query, *row)]
            records.append((answer,))
        return records

    def _advance(self, room_id: int, messages: int) -> int:
        seq = self._seqs[room_id] = self._seqs.get(room_id, 0) + messages
        return seq

    def _find_users(self, user_ids: list[str], *_: Any) -> list[Any]:
        return [
            (False, False, user_id, f"user{user_id}", None, None, None, None)
            for user_id in user_ids
        ]

    @staticmethod
    def _find_missed(*arguments: Any) -> list[Any]:
        """All that a worker has not heard of in a room was stored just now; no room has moved."""
        rooms, *others = arguments
        if not (others and isinstance(others[0], list)):
            return []
        return [(max(after, 0) + 1,) * 2 for _, after in zip(rooms, others[0], strict=True)]

    def _open_rooms(self, conversations: list[str], *users: Any) -> list[Any]:
        if not users:
            return [(GROUP_ROOM, GROUP, None, None) for _ in conversations]
        return [
            (True, self._rooms.setdefault(conversation, len(self._rooms) + 1), conversation, *pair)
            for conversation, *pair in zip(conversations, *users[:2], strict=True)
        ]


class InProcess:
    """A server and users who are logged in, numbered from 0; all are in the one group.

    User N is connected to worker N modulo their number, so with several workers what one user
    sends to the next has to cross.

    Attributes:
        server: The first worker; as in production, but without what happens by the clock.
        workers: All of them.
        clients: The other ends of the connections, by user.
    """

    def __init__(self, users: int, workers: int = 1) -> None:
        """Start the server and log users in."""
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.users = [str(number + 1) for number in range(users)]
        self.clients: list[RawClient] = []
        self.workers: list[Server] = []
        self.server: Server
        self.run(self._start(workers))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run the event loop until something is done."""
        return self._runner.run(work)

    async def _start(self, workers: int) -> None:
        self.database = InstantDatabase(self.users)
        for place in make_places(workers):
            self.workers.append(await self._start_worker(place, workers))
        self.server = self.workers[0]
        self.endpoint = self.server.endpoint
        for number, user in enumerate(self.users):
            worker = self.workers[number % workers]
            client = await RawClient.open(worker.listener.port)
            self.clients.append(client)
            assert json.loads(await client.read_text())["type"] == "connected"
            login = {"type": "authenticate", "token": make_token(SECRET, user, 86_400.0)}
            await client.send_frame(TEXT, json.dumps(login))
            assert json.loads(await client.read_text())["user"]["id"] == user
        for worker in self.workers:
            if worker.others is not None:
                _hush(worker.others.exchange)

    async def _start_worker(self, place: Place, workers: int) -> Server:
        config = load(ENVIRONMENT | {"WEB_CONCURRENCY": str(workers)})
        worker = Server(config, {}, TABLES, place)
        worker.pool.fetch = self.database.fetch
        worker.pool.connect = self.database.connect
        worker.writer.start(worker.flush)
        if worker.others is not None:
            await worker.others.start()
        await worker.listener.start([bind("127.0.0.1", 0)])
        return worker

    @property
    def messages_out(self) -> int:
        """Frames that all workers have appended."""
        return sum(worker.endpoint.messages_out for worker in self.workers)

    @property
    def stored(self) -> int:
        """Messages that all workers have stored."""
        return sum(worker.writer.messages for worker in self.workers)

    def session(self, user: int) -> Any:
        """Return the session of a user."""
        worker = self.workers[user % len(self.workers)]
        return worker.hub.open_connections(self.users[user])[0].session

    def direct(self, sender: int, recipient: int, client_id: str = CLIENT_ID) -> bytes:
        """Return the payload of a message from one user to another."""
        pair = (self.users[sender], self.users[recipient])
        command = {
            "type": "send_private_message",
            "recipientId": pair[1],
            "content": CONTENT,
            "conversationId": conversation_id_of(*pair),
            "clientMessageId": client_id,
        }
        return json.dumps(command, separators=(",", ":")).encode()

    def to_group(self, client_id: str = CLIENT_ID) -> bytes:
        """Return the payload of a message to the group."""
        command = {
            "type": "send_group_message",
            "groupId": GROUP,
            "content": CONTENT,
            "clientMessageId": client_id,
        }
        return json.dumps(command, separators=(",", ":")).encode()

    async def exchange(self, sends: Sequence[tuple[int, bytes]], events: int) -> None:
        """Let users send frames, and go on until the server has written what follows.

        Args:
            sends: Who sends which bytes.
            events: How many frames the server has to answer with, replies included.

        Raises:
            RuntimeError: they were not written within ``MOST_TURNS`` turns of the event loop.
        """
        expected = self.messages_out + events
        for user, data in sends:
            assert self.clients[user].sock.send(data) == len(data)
        await self.write(expected)

    async def write(self, expected: int) -> None:
        """Go on until so many frames were ever appended, and write them; see ``exchange``."""
        for _ in range(MOST_TURNS):
            if self.messages_out >= expected:
                break
            await asyncio.sleep(0)
        else:
            raise RuntimeError(f"{self.messages_out} frames: expected {expected}")
        await asyncio.sleep(0)  # what is in the outboxes is written at the end of a turn

    def drain(self) -> int:
        """Read what arrived at the clients; return how many bytes."""
        return sum(map(_drain, self.clients))

    def close(self) -> None:
        """End everything."""
        self.run(self._stop())
        self._runner.close()

    async def _stop(self) -> None:
        for client in self.clients:
            client.close()
        for worker in self.workers:
            await worker.listener.stop(1001, "", timeout=1.0)
            await worker.messages.stop()
            await worker.group_messages.stop()
            await worker.writer.stop(1.0)
            if worker.others is not None:
                await worker.others.stop()


def make_places(workers: int) -> list[Place]:
    """Return the places of the workers of one host; that of the only one is ``Place.alone``."""
    if workers == 1:
        return [Place.alone()]
    seats = workers + 1
    host = Host(sockets=(), board=Board(seats), table=WindowTable(seats), bus=secrets.token_hex(8))
    return [
        Place(host=host, worker=number, run=number, seat=number) for number in range(1, workers + 1)
    ]


def _hush(exchange: Exchange) -> None:
    """Let a worker give no signs of life, nor wait for any: they come by the clock."""
    ticker, carrier = exchange._ticker, exchange._carrier
    assert ticker is not None
    assert isinstance(carrier, LocalCarrier)
    assert carrier._timer is not None
    ticker.cancel()
    carrier._timer.cancel()


def masked(payload: bytes) -> bytes:
    """Return a payload in a client's frame."""
    return frame(TEXT, payload)


def _drain(client: RawClient) -> int:
    size = 0
    try:
        while count := client.sock.recv_into(SCRATCH):
            size += count
    except BlockingIOError:
        pass
    return size


def relays(server: InProcess, pairs: int) -> tuple[list[tuple[int, bytes]], int]:
    """Return sends of one user to another, by as many pairs, and how many frames come of them."""
    assert 2 * pairs <= len(server.users)
    sends = [(2 * pair, masked(server.direct(2 * pair, 2 * pair + 1))) for pair in range(pairs)]
    return sends, 2 * pairs


def fan_outs(server: InProcess, senders: int) -> tuple[list[tuple[int, bytes]], int]:
    """Return sends of as many members to the group, and how many frames come of them."""
    data = masked(server.to_group())
    return [(user, data) for user in range(senders)], senders * len(server.users)
