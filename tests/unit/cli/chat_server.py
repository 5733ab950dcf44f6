"""A chat server for two people that keeps messages in a list and obeys a script of failures."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

ME, PEER = "1", "2"
CONVERSATION = "conv_1_2"


class ChatServer:
    """Speaks just enough of the protocol for one user; the peer is the test."""

    def __init__(self):
        self.messages = []
        self.commands = []  # everything that was received, in order
        self.connections = 0
        self.live = None  # the connection of the latest session
        self.accepts = lambda token: True
        self.before_answer = []  # of sends: one is taken for each, see _send_private_message

    async def __aenter__(self):
        self._server = await serve(self._converse, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        await self._server.wait_closed()

    def store(self, sender, content, client_message_id=None):
        seq = len(self.messages) + 1
        message = {
            "id": f"10-{seq}",
            "conversationId": CONVERSATION,
            "senderId": sender,
            "recipientId": PEER if sender == ME else ME,
            "content": content,
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "seq": seq,
        }
        if client_message_id is not None:
            message["clientMessageId"] = client_message_id
        self.messages.append(message)
        return message

    async def say(self, content):
        """Let the peer say something to the live session."""
        message = self.store(PEER, content)
        await self.event("new_private_message", message=message, messageId=message["id"])

    async def event(self, type, **fields):
        await self.live.send(json.dumps({"type": type, **fields}))

    def received(self, type):
        return [command for command in self.commands if command["type"] == type]

    async def _converse(self, websocket):
        self.connections += 1
        self.live = websocket
        with contextlib.suppress(ConnectionClosed):
            await self.event("connected", clientId="c", requiresAuth=True)
            async for text in websocket:
                command = json.loads(text)
                self.commands.append(command)
                await getattr(self, f"_{command['type']}")(command)

    async def _authenticate(self, command):
        if self.accepts(command["token"]):
            await self.event("connected", clientId="c", user={"id": ME}, queuedEvents=0)
        else:
            details = "Session expired. Please log in again."
            await self.event("auth_error", message="no", details=details, code="AUTH_FAILED")

    async def _start_conversation(self, command):
        await self.event(
            "conversation_started",
            conversationId=CONVERSATION,
            participant={"userId": PEER, "displayName": "Bob \x1b[31mB.", "online": True},
            messages=self.messages[-50:],
        )

    async def _get_private_messages(self, command):
        newer = [message for message in self.messages if message["seq"] > command["after"]]
        await self.event(
            "private_messages",
            conversationId=CONVERSATION,
            messages=newer[:2],
            pagination={"limit": 2, "offset": 0, "hasMore": len(newer) > 2},
        )

    async def _send_private_message(self, command):
        """Obey "cut before", "cut after" (storing), a dict with an error, or None."""
        fault = self.before_answer.pop(0) if self.before_answer else None
        if isinstance(fault, dict):
            await self.event("error", requestId=command["requestId"], **fault)
            return
        if fault == "cut before":
            self.live.transport.abort()
            return
        known = [
            message
            for message in self.messages
            if message.get("clientMessageId") == command["clientMessageId"]
        ]
        message = (
            known[0] if known else self.store(ME, command["content"], command["clientMessageId"])
        )
        if fault == "cut after":
            self.live.transport.abort()
            return
        fields = {"duplicate": True} if known else {}
        await self.event(
            "message_sent",
            messageId=message["id"],
            message=message,
            clientMessageId=command["clientMessageId"],
            requestId=command["requestId"],
            **fields,
        )


class Screen:
    """The lines a chat has printed, without their times; and the keyboard before it."""

    def __init__(self):
        self.lines = []
        self._news = asyncio.Event()
        self._typed = asyncio.Queue()

    def show(self, line):
        time, _, rest = line.partition(" ")
        self.lines.append(rest if time[:1].isdigit() else line)
        self._news.set()

    def type(self, line):
        """Type a line; None ends the input."""
        self._typed.put_nowait(line)

    async def typed(self):
        while (line := await self._typed.get()) is not None:
            yield line

    async def wait_for(self, text, times=1):
        """Wait until a line with this text was printed."""
        try:
            async with asyncio.timeout(5):
                while sum(text in line for line in self.lines) < times:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"no {text!r} among {self.lines}") from None
