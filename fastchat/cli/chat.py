"""``fastchat chat``: a small chat in the terminal that loses nothing and doubles nothing.

What was typed waits in a queue and only its first message is in flight, so the order stays. Each
keeps its ``clientMessageId`` over every reconnection, so the server stores it once; after a
reconnection the client asks for all that came after the last ``seq`` it knows.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastchat.cli.development import SECRETS_FILE, user_id
from fastchat.cli.terminal import read_lines, visible, visible_lines

if TYPE_CHECKING:
    from aiohttp import ClientSession, ClientWebSocketResponse

Event = dict[str, Any]

CONNECT_TIMEOUT = 10.0  # seconds
ANSWER_TIMEOUT = 15.0  # seconds; the server answers within 5
FAREWELL_TIMEOUT = 5.0  # seconds for the last acknowledgements
HEARTBEAT = 20.0  # seconds between pings, half of it for the pong
STABLE = 30.0  # seconds after which the next back-off begins anew
TICK = 1.0  # seconds between looks at the clock
PAGE = 200  # messages, the most the server sends at once
MAX_WAITING = 100  # typed messages; more are not read yet
TOKEN_LIFETIME = 12 * 3600.0  # seconds
TRY_AGAIN = ("SERVICE_UNAVAILABLE", "RATE_LIMIT_EXCEEDED")
INFINITY = float("inf")


class ChatError(Exception):
    """The chat cannot go on; the message tells the user why."""


class _ConnectionLost(Exception):
    """This connection is of no use any more; the next one may be."""


def run(args: argparse.Namespace) -> int:
    """Chat until the input ends; 0 when everything typed was stored."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    chat = Chat(args.url, user_id(args.to), token_source(args, os.environ), show=_print)
    return await chat.run(read_lines(sys.stdin.fileno()))


def _print(line: str) -> None:
    print(line, flush=True)


def token_source(args: argparse.Namespace, environ: Mapping[str, str]) -> Callable[[], str]:
    """How to come by a token for each connection: a given one, else one signed here.

    With neither ``JWT_SECRET`` nor ``NODE_ENV`` set, the secrets that a development server has
    left in ``FASTCHAT_DATA_DIR`` are used, so that a second terminal needs no settings.

    Raises:
        ConfigError: there is no secret to sign with.
        DevelopmentError: the data directory cannot be used.
    """
    given = getattr(args, "token", None) or environ.get("FASTCHAT_TOKEN", "").strip()
    if given:
        return lambda: given
    from fastchat.auth.tokens import make_token
    from fastchat.cli.secret import jwt_secret

    folder = environ.get("FASTCHAT_DATA_DIR", "").strip() or ".fastchat"
    is_unset = not any(environ.get(name, "").strip() for name in ("JWT_SECRET", "NODE_ENV"))
    if is_unset and Path(folder, SECRETS_FILE).exists():
        environ = {**environ, "NODE_ENV": "development"}
    secret = jwt_secret(environ)
    return lambda: make_token(secret, user_id(args.as_name), TOKEN_LIFETIME)


def full_jitter(attempt: int) -> float:
    """Seconds before the next try, up to 1 at first and up to 30 in the end.

    Spread over the whole span, so that the clients of a restarted server come back evenly.
    """
    return random.uniform(0.0, min(30.0, 2.0 ** min(attempt, 5)))


@dataclass(slots=True)
class _Link:
    """What is true of one connection only."""

    websocket: "ClientWebSocketResponse"
    due: float  # loop time at which an answer is overdue; infinity: none is awaited
    is_live: bool = False  # the history has been read; what comes now is new
    in_flight: bool = False  # the first waiting message was sent, or will be after a pause
    held: list[Event] = field(default_factory=list)  # messages that came before the history
    retry: asyncio.Task[None] | None = None  # sends the first message again after a pause


class Chat:
    """A conversation with one person, over as many connections as it takes."""

    def __init__(
        self,
        url: str,
        peer_id: str,
        token: Callable[[], str],
        *,
        show: Callable[[str], None],
        delay: Callable[[int], float] = full_jitter,
        farewell: float = FAREWELL_TIMEOUT,
    ) -> None:
        """Take where to, to whom, and as whom.

        Args:
            url: Of the server, ``ws://`` or ``wss://``.
            peer_id: User id of the other.
            token: Called for each connection.
            show: Prints one line.
            delay: Seconds before the nth try to connect again, counted from 0.
            farewell: Seconds for the last acknowledgements when the lines have ended.
        """
        self._url = url
        self._peer_id = peer_id
        self._token = token
        self._show = show
        self._delay = delay
        self._farewell = farewell
        self._user_id = ""
        self._peer_name = visible(peer_id)
        self._conversation_id = ""
        self._last_seq = 0
        self._shown: set[str] = set()  # message ids
        self._waiting: deque[tuple[str, str]] = deque()  # (clientMessageId, content), not stored
        self._link: _Link | None = None
        self._settled = asyncio.Event()  # live, and nothing waits
        self._trouble = ""  # what the user was told last
        self._is_peer_typing = False
        self._has_refused = False  # the server refused something that was typed

    async def run(self, lines: AsyncIterator[str]) -> int:
        """Chat until the lines end or the server refuses for good.

        Returns:
            0 when everything typed was stored, else 1.
        """
        talking = asyncio.create_task(self._stay_connected())
        typing = asyncio.create_task(self._take(lines))
        try:
            await asyncio.wait({talking, typing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_settled = self._settled.is_set() and not self._has_refused
            talking.cancel()
            typing.cancel()
            results = await asyncio.gather(talking, typing, return_exceptions=True)
        for result in results:
            if isinstance(result, ChatError):
                self._show(f"! {result}")
            elif isinstance(result, Exception):
                raise result
        if self._waiting:
            self._show(f"! {len(self._waiting)} of your messages may not have been stored")
        return 0 if is_settled else 1

    async def _take(self, lines: AsyncIterator[str]) -> None:
        """Queue what is typed; at its end wait a moment for the last acknowledgements."""
        async for line in lines:
            content = line.rstrip("\r")
            if content.strip() == "/quit":
                break
            if not content.strip():
                continue
            if len(self._waiting) >= MAX_WAITING:
                await self._settled.wait()
            self._waiting.append((uuid.uuid4().hex, content))
            self._settled.clear()
            await self._send_first()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._farewell):
                await self._settled.wait()

    async def _stay_connected(self) -> None:
        """Connect again and again; ends only by ``ChatError``."""
        from aiohttp import ClientError, ClientSession

        loop = asyncio.get_running_loop()
        attempt = 0
        async with ClientSession() as http:
            while True:
                began = loop.time()
                try:
                    await self._converse(http)
                except (ClientError, OSError, TimeoutError, _ConnectionLost) as error:
                    if isinstance(error, ValueError):
                        raise ChatError(f"{self._url!r}: expected a ws:// or wss:// URL") from None
                    reason = visible(str(error)) or type(error).__name__
                finally:
                    was_live = self._link is not None and self._link.is_live
                    self._forget_link()
                if was_live and loop.time() - began >= STABLE:
                    attempt = 0
                self._tell_trouble(reason)
                await asyncio.sleep(self._delay(attempt))
                attempt += 1

    def _forget_link(self) -> None:
        if self._link is not None and self._link.retry is not None:
            self._link.retry.cancel()
        self._link = None
        self._settled.clear()

    async def _converse(self, http: "ClientSession") -> None:
        """Live through one connection; ends only by an exception."""
        from aiohttp import ClientWSTimeout, WSMsgType

        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_TIMEOUT):
            websocket = await http.ws_connect(
                self._url, heartbeat=HEARTBEAT, timeout=ClientWSTimeout(ws_close=2.0)
            )
        async with websocket:
            self._link = _Link(websocket, due=loop.time() + ANSWER_TIMEOUT)
            while True:
                try:
                    message = await websocket.receive(timeout=TICK)
                except TimeoutError:
                    if loop.time() >= self._link.due:
                        raise _ConnectionLost("the server does not answer") from None
                    continue
                if message.type is WSMsgType.TEXT:
                    await self._understand(self._link, message.data)
                elif message.type is WSMsgType.CLOSE:
                    raise _ConnectionLost(f"closed: {message.data} {message.extra or ''}".strip())
                else:
                    raise _ConnectionLost("the connection was cut")

    async def _understand(self, link: _Link, text: str) -> None:
        try:
            event = json.loads(text)
            handler = self._handlers().get(event["type"])
            if handler is not None:
                await handler(link, event)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _ConnectionLost("the server sent something that is no event") from None

    def _handlers(self) -> dict[str, Callable[[_Link, Event], Awaitable[None]]]:
        """What is done on which event; others do not matter here."""
        return {
            "connected": self._on_connected,
            "auth_error": self._on_auth_error,
            "conversation_started": self._on_history,
            "private_messages": self._on_history,
            "message_sent": self._on_message,
            "new_private_message": self._on_message,
            "message_edited": self._on_edited,
            "message_deleted": self._on_deleted,
            "user_typing": self._on_typing,
            "user_online": self._on_presence,
            "user_offline": self._on_presence,
            "error": self._on_error,
        }

    async def _on_connected(self, link: _Link, event: Event) -> None:
        if "user" not in event:
            await self._ask(link, type="authenticate", token=self._token())
            return
        self._user_id = event["user"]["id"]
        if self._last_seq:
            await self._ask_history(link)
        else:
            await self._ask(link, type="start_conversation", recipientId=self._peer_id)

    async def _on_auth_error(self, link: _Link, event: Event) -> None:
        reason = visible(event.get("details") or event["message"])
        # An expired token may be followed by a better one; a given token stays what it is.
        if event["code"] not in TRY_AGAIN and event["code"] != "SESSION_EXPIRED":
            raise ChatError(reason)
        raise _ConnectionLost(reason)

    async def _on_history(self, link: _Link, event: Event) -> None:
        """Show a page of what was missed; after the last one the connection is live."""
        link.due = INFINITY
        self._conversation_id = event["conversationId"]
        peer = event.get("participant")
        if peer is not None:
            self._peer_name = visible(peer["displayName"])
        for message in event["messages"]:
            self._show_message(message)
        if peer is None and event["pagination"]["hasMore"] and event["messages"]:
            await self._ask_history(link)
            return
        if peer is not None:
            state = "online" if peer["online"] else "offline"
            self._show(f"* You chat with {self._peer_name} ({state}); /quit or Ctrl-D ends it")
        elif self._trouble:
            self._show("* connected again")
        self._trouble = ""
        link.is_live = True
        for message in link.held:
            self._show_message(message)
        await self._send_first()

    async def _on_message(self, link: _Link, event: Event) -> None:
        if not link.is_live:
            # Shown now, it would stand before what was missed, and move ``after`` past it.
            link.held.append(event["message"])
            return
        self._acknowledge(event.get("clientMessageId"))
        self._show_message(event["message"])
        await self._send_first()

    async def _on_edited(self, link: _Link, event: Event) -> None:
        if event["conversationId"] == self._conversation_id:
            self._show(f"* edited: {visible_lines(event['message']['content'])}")

    async def _on_deleted(self, link: _Link, event: Event) -> None:
        if event["conversationId"] == self._conversation_id and event["deleteForEveryone"]:
            self._show("* a message was deleted")

    async def _on_typing(self, link: _Link, event: Event) -> None:
        if event["userId"] != self._peer_id or event["conversationId"] != self._conversation_id:
            return
        if event["isTyping"] and not self._is_peer_typing:
            self._show(f"* {self._peer_name} is typing…")
        self._is_peer_typing = event["isTyping"]

    async def _on_presence(self, link: _Link, event: Event) -> None:
        if event["user"]["id"] == self._peer_id:
            state = event["type"].removeprefix("user_")
            self._show(f"* {self._peer_name} is {state}")

    async def _on_error(self, link: _Link, event: Event) -> None:
        """Try again what may work later; give up what never will."""
        reason = visible(event.get("details") or event["message"])
        first = self._waiting[0][0] if self._waiting else None
        if link.is_live and link.in_flight and event.get("requestId") == first:
            link.due = INFINITY
            if event["code"] in TRY_AGAIN:
                pause = max(1.0, float(event.get("retryAfter") or 1))
                self._show(f"! not stored yet ({reason}); sent again in {pause:g} s")
                link.retry = asyncio.create_task(self._send_again(link, pause))
                return
            self._show(f"! not sent: {visible_lines(self._waiting.popleft()[1])} ({reason})")
            self._has_refused = True
            link.in_flight = False
            await self._send_first()
        elif not link.is_live and event["code"] not in (*TRY_AGAIN, "MAX_CONNECTIONS_EXCEEDED"):
            raise ChatError(reason)
        elif not link.is_live:
            raise _ConnectionLost(reason)
        else:
            self._show(f"! {reason}")

    async def _send_again(self, link: _Link, pause: float) -> None:
        await asyncio.sleep(pause)
        link.in_flight = False
        await self._send_first()

    async def _send_first(self) -> None:
        """Send the first waiting message, unless one is on its way already."""
        link = self._link
        if link is None or not link.is_live or link.in_flight:
            return
        if not self._waiting:
            self._settled.set()
            return
        client_message_id, content = self._waiting[0]
        link.in_flight = True
        await self._ask(
            link,
            type="send_private_message",
            recipientId=self._peer_id,
            content=content,
            clientMessageId=client_message_id,
            requestId=client_message_id,
        )

    async def _ask_history(self, link: _Link) -> None:
        await self._ask(
            link,
            type="get_private_messages",
            conversationId=self._conversation_id,
            after=self._last_seq,
            limit=PAGE,
        )

    async def _ask(self, link: _Link, **command: object) -> None:
        """Send a command whose answer is awaited; there is one at a time."""
        link.due = asyncio.get_running_loop().time() + ANSWER_TIMEOUT
        # A cut connection is noticed, and replaced, where it is read.
        with contextlib.suppress(ConnectionError):
            await link.websocket.send_str(json.dumps(command))

    def _acknowledge(self, client_message_id: str | None) -> None:
        """Take the first waiting message for stored when this is its id; the next may be sent."""
        if not self._waiting or client_message_id != self._waiting[0][0]:
            return
        self._waiting.popleft()
        if self._link is not None:
            self._link.due = INFINITY
            self._link.in_flight = False
            if self._link.retry is not None:
                self._link.retry.cancel()

    def _show_message(self, message: Event) -> None:
        """Show a message, unless it was shown before; one's own is thereby known to be stored."""
        if message["conversationId"] != self._conversation_id:
            return
        is_mine = message["senderId"] == self._user_id
        if is_mine:
            self._acknowledge(message.get("clientMessageId"))
        if message["id"] in self._shown:
            return
        self._shown.add(message["id"])
        self._last_seq = max(self._last_seq, message["seq"])
        self._is_peer_typing = False
        text = visible_lines(message["content"])
        author = "✓" if is_mine else f"{self._peer_name}:"
        self._show(f"{_clock(message['timestamp'])} {author} {text}")

    def _tell_trouble(self, reason: str) -> None:
        """Say why there is no connection, but not at every try."""
        if reason != self._trouble:
            self._show(f"! {reason}; trying to connect again")
        self._trouble = reason


def _clock(timestamp: str) -> str:
    """Local time of an ISO time; with the date when it is not of today."""
    moment = datetime.fromisoformat(timestamp).astimezone()
    is_today = moment.date() == datetime.now().astimezone().date()
    return moment.strftime("%H:%M" if is_today else "%Y-%m-%d %H:%M")
