"""Clients that chat without a pause and lose nothing: they come back and send again."""

import asyncio
import itertools
import json
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import combinations
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.protocol import State

from tests.functional.failure.ledger import Ledger, Sent, read_history
from tests.functional.failure.process import PATIENCE, ServerProcess, token, until

PAUSE = 0.1  # seconds before a connection or a refused message is tried again
IN_FLIGHT = 8

numbers = itertools.count(1)


class Chatter:
    """One device of one user: keeps some messages in flight until it is told to stop."""

    def __init__(
        self, ledger: Ledger, server: ServerProcess, user_id: str, others: Sequence[str]
    ) -> None:
        """Take who is written to in turn; with nobody the device only listens."""
        self._ledger = ledger
        self._server = server
        self.user_id = user_id
        self._others = itertools.cycle(others) if others else None
        self.name = f"u{user_id}-{next(numbers)}"
        self.visits = 0
        self._websocket: ClientConnection | None = None
        self._open: dict[str, float] = {}  # what waits for its acknowledgement, sent when
        self._is_sending = True
        self._may_return = True
        self._repeats: set[asyncio.Task[None]] = set()
        self._task = asyncio.create_task(self._run())
        self.frames: dict[str, int] = {}  # how many came, by type
        self.other_errors: list[Any] = []
        self.close_codes: list[int | None] = []

    @property
    def connection_name(self) -> str:
        """The name of the latest connection in the ledger."""
        return f"{self.name}/{self.visits}"

    @property
    def is_online(self) -> bool:
        return self._websocket is not None

    @property
    def waiting(self) -> int:
        """Messages without their acknowledgement."""
        return len(self._open)

    def stop_sending(self) -> None:
        """Send nothing new."""
        self._is_sending = False

    def stay_away(self) -> None:
        """Do not come back after the next end of the connection."""
        self._may_return = False

    async def close(self) -> None:
        tasks = [self._task, *self._repeats]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def ended(self) -> None:
        """Wait until it has gone for good."""
        async with asyncio.timeout(PATIENCE):
            await self._task

    async def _run(self) -> None:
        while True:
            with suppress(OSError, WebSocketException, TimeoutError):
                # All that has come is read at once: a device may be slow, but is no slow reader.
                async with connect(
                    self._server.url,
                    compression=None,
                    ping_interval=None,
                    proxy=None,
                    max_queue=None,
                ) as websocket:
                    self.visits += 1
                    try:
                        await self._visit(websocket)
                    finally:
                        self._websocket = None
                        self.close_codes.append(websocket.close_code)
            if not self._may_return:
                return
            await asyncio.sleep(PAUSE)

    async def _visit(self, websocket: ClientConnection) -> None:
        await websocket.send(json.dumps({"type": "authenticate", "token": token(self.user_id)}))
        async for text in websocket:
            frame = json.loads(text)
            self.frames[frame["type"]] = self.frames.get(frame["type"], 0) + 1
            match frame["type"]:
                case "connected" if "user" in frame:
                    self._websocket = websocket
                    for name in list(self._open):
                        await self._send(name)
                case "auth_error":
                    return
                case "message_sent":
                    self._take_ack(frame)
                case "new_private_message":
                    self._ledger.note_delivery(self.connection_name, frame)
                case "error":
                    self._take_error(frame)
            while self._others and self._may_send():
                await self._send(self._write(next(self._others)))

    def _may_send(self) -> bool:
        websocket = self._websocket
        is_open = websocket is not None and websocket.state is State.OPEN
        return is_open and self._is_sending and len(self._open) < IN_FLIGHT

    def _write(self, recipient_id: str) -> str:
        name = f"{self.name}-{next(numbers)}"
        self._ledger.note_send(name, Sent(self.user_id, recipient_id, f"text of {name}"))
        return name

    async def _send(self, name: str) -> None:
        if self._websocket is None:
            return
        sent = self._ledger.sent[name]
        self._open[name] = time.monotonic()
        command = {
            "type": "send_private_message",
            "recipientId": sent.recipient_id,
            "content": sent.content,
            "clientMessageId": name,
            "requestId": name,
        }
        # What came before the end is read all the same.
        with suppress(WebSocketException):
            await self._websocket.send(json.dumps(command))

    def _take_ack(self, frame: dict[str, Any]) -> None:
        sent_at = self._open.pop(frame["clientMessageId"], None)
        self._ledger.note_ack(frame, 0.0 if sent_at is None else time.monotonic() - sent_at)

    def _take_error(self, frame: dict[str, Any]) -> None:
        name = frame.get("requestId", "")
        if frame["code"] != "SERVICE_UNAVAILABLE" or frame.get("retryAfter", 0) < 1:
            self.other_errors.append(frame)
            return
        if name in self._open:
            self._ledger.note_refusal(time.monotonic() - self._open[name])
            # Sooner than it was asked to, so that the tests get somewhere.
            repeat = asyncio.create_task(self._repeat(name))
            self._repeats.add(repeat)
            repeat.add_done_callback(self._repeats.discard)

    async def _repeat(self, name: str) -> None:
        await asyncio.sleep(PAUSE)
        if name in self._open:
            await self._send(name)


class Crowd:
    """All devices of a run: each user writes to every other one, and one more device listens."""

    def __init__(self, server: ServerProcess, user_ids: Iterable[str]) -> None:
        self.ledger = Ledger()
        self._server = server
        self._user_ids = list(user_ids)
        self.writers = [
            Chatter(self.ledger, server, user, [other for other in self._user_ids if other != user])
            for user in self._user_ids
        ]
        self.listeners = [Chatter(self.ledger, server, user, ()) for user in self._user_ids]

    @property
    def everybody(self) -> list[Chatter]:
        return self.writers + self.listeners

    async def __aenter__(self) -> Self:
        await until(lambda: all(chatter.is_online for chatter in self.everybody))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(chatter.close() for chatter in self.everybody))

    async def acknowledged(self, more: int) -> None:
        """Wait until so many more messages are acknowledged."""
        goal = len(self.ledger.acknowledged) + more
        await until(lambda: len(self.ledger.acknowledged) >= goal)

    async def settle(self) -> None:
        """Send nothing new, and wait until everything is acknowledged."""
        for chatter in self.writers:
            chatter.stop_sending()
        await until(lambda: not any(chatter.waiting for chatter in self.writers))

    async def everything_delivered(self) -> None:
        """Wait until every device has got each acknowledged message, over one connection.

        A device does not get what it has sent itself; another one of the same user does.
        """
        sent, acknowledged = self.ledger.sent, self.ledger.acknowledged
        for chatter in self.everybody:
            assert chatter.visits == 1, f"{chatter.name} was disconnected"
            wanted = {
                position.message_id
                for name, position in acknowledged.items()
                if chatter.user_id in (sent[name].sender_id, sent[name].recipient_id)
                and not name.startswith(f"{chatter.name}-")
            }
            delivered = self.ledger.delivered[chatter.connection_name]
            await until(lambda: wanted <= delivered.keys())  # noqa: B023

    async def verify(self) -> set[str]:
        """Hold the ledger against the history of every conversation, read by both users.

        Returns:
            The ``clientMessageId`` of each stored message.
        """
        errors = [error for chatter in self.everybody for error in chatter.other_errors]
        assert not errors, errors[:5]
        stored: set[str] = set()
        for first, second in combinations(self._user_ids, 2):
            async with await self._server.join(first) as client:
                history = await read_history(client, second)
            async with await self._server.join(second) as client:
                assert [message["id"] for message in await read_history(client, first)] == [
                    message["id"] for message in history
                ]
            stored |= self.ledger.compare(history)
        return stored
