"""``fastchat chat``: a small chat in the terminal that loses nothing and doubles nothing.

The client of ``fastchat.client`` sees to that; here is what is typed and what is shown.
"""

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from io import TextIOWrapper
from typing import TypeVar

from fastchat.cli.development import user_id
from fastchat.cli.terminal import read_lines, visible, visible_lines
from fastchat.client import (
    TRY_AGAIN,
    CaughtUp,
    Client,
    ClientClosed,
    ClientError,
    CommandFailed,
    ConnectionLost,
    Resync,
    SendDelayed,
    State,
    StateChanged,
    full_jitter,
)
from fastchat.protocol.command import MOST_PER_PAGE
from fastchat.protocol.message_types import (
    Message,
    MessageDeleted,
    MessageEdited,
    MessageSent,
    NewPrivateMessage,
    UserTyping,
)
from fastchat.protocol.system_types import Error, UserOffline, UserOnline

FAREWELL_TIMEOUT = 5.0  # seconds for the last acknowledgements
MAX_WAITING = 100  # typed messages; more are not read yet
TOKEN_LIFETIME = 12 * 3600.0  # seconds

T = TypeVar("T")


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
    """How to come by a token: a given one, else one signed here.

    Raises:
        ConfigError: there is no secret to sign with.
        DevelopmentError: the data directory cannot be used.
    """
    given = getattr(args, "token", None) or environ.get("FASTCHAT_TOKEN", "").strip()
    if given:
        return lambda: given
    from fastchat.auth.tokens import make_token
    from fastchat.cli.secret import server_secret

    secret = server_secret(environ)
    return lambda: make_token(secret, user_id(args.as_name), TOKEN_LIFETIME)


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
            token: Called when a token is needed.
            show: Prints one line.
            delay: Seconds before the nth try to connect again, counted from 0.
            farewell: Seconds for the last acknowledgements when the lines have ended.
        """
        self._client = Client(url, token, delay=delay, first_limit=1, most_waiting=MAX_WAITING)
        self._peer_id = peer_id
        self._show = show
        self._farewell = farewell
        self._peer_name = visible(peer_id)
        self._conversation_id = ""  # once the history is there
        self._last_seq = 0
        self._shown: set[str] = set()  # message ids
        self._early: list[Message] | None = []  # what came before the history; None: it is shown
        self._is_open = asyncio.Event()  # the history was shown
        self._reading: asyncio.Task[None] | None = None  # of what was missed
        self._unsent = 0
        self._trouble = ""  # what the user was told last
        self._is_peer_typing = False
        self._has_refused = False  # the server refused something that was typed

    async def run(self, lines: AsyncIterator[str]) -> int:
        """Chat until the lines end or the server refuses for good.

        Returns:
            0 when everything typed was stored, else 1.
        """
        client = self._client
        client.on(StateChanged, self._on_state)
        client.on(NewPrivateMessage, lambda event: self._take_message(event.message))
        client.on(MessageSent, lambda event: self._take_message(event.message))
        client.on(MessageEdited, self._on_edited)
        client.on(MessageDeleted, self._on_deleted)
        client.on(UserTyping, self._on_typing)
        client.on(UserOnline, lambda event: self._on_presence(event.user.id, "online"))
        client.on(UserOffline, lambda event: self._on_presence(event.user.id, "offline"))
        client.on(SendDelayed, self._on_delayed)
        client.on(CaughtUp, self._on_caught_up)
        client.on(Resync, self._on_resync)
        client.on(Error, lambda event: self._show(f"! {visible(event.details)}"))
        async with client:
            living = asyncio.create_task(self._live())
            typing = asyncio.create_task(self._take(lines))
            await asyncio.wait({living, typing}, return_when=asyncio.FIRST_COMPLETED)
            refusal = living.result() if living.done() else ""
            living.cancel()
            typing.cancel()
            results = await asyncio.gather(living, typing, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, ClientClosed):
                raise result
        if refusal:
            self._show(f"! {visible(refusal)}")
        if self._unsent:
            self._show(f"! {self._unsent} of your messages may not have been stored")
        has_failed = refusal or self._unsent or self._has_refused or not self._is_open.is_set()
        return 1 if has_failed else 0

    async def _live(self) -> str:
        """Show the history, then what happens, until the server refuses for good; return why."""
        try:
            await self._begin()
        except CommandFailed as error:
            return error.details
        except ClientClosed as error:
            return str(error)
        return await self._client.closed()

    async def _begin(self) -> None:
        started = await _insist(lambda: self._client.start_conversation(self._peer_id))
        self._conversation_id = started.conversation_id
        self._peer_name = visible(started.participant.display_name)
        for message in started.messages:
            self._show_message(message)
        state = "online" if started.participant.online else "offline"
        self._show(f"* You chat with {self._peer_name} ({state}); /quit or Ctrl-D ends it")
        self._is_open.set()
        self._release()

    async def _take(self, lines: AsyncIterator[str]) -> None:
        """Queue what is typed; at its end wait a moment for the last acknowledgements."""
        async for line in lines:
            content = line.rstrip("\r")
            if content.strip() == "/quit":
                break
            if not content.strip():
                continue
            if self._client.waiting >= MAX_WAITING:
                await self._client.drained()
            sent = self._client.send_private_message(self._peer_id, content)
            sent.add_done_callback(partial(self._on_done, content))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._farewell):
                await self._is_open.wait()
                await self._client.drained()

    def _on_done(self, content: str, sent: "asyncio.Future[MessageSent]") -> None:
        error = sent.exception()
        if isinstance(error, ClientClosed):
            self._unsent += 1
        elif error is not None:
            reason = error.details if isinstance(error, CommandFailed) else str(error)
            self._show(f"! not sent: {visible_lines(content)} ({visible(reason)})")
            self._has_refused = True

    def _on_state(self, change: StateChanged) -> None:
        """Say why there is no connection, but not at every try."""
        if change.state is State.WAITING:
            if change.reason != self._trouble:
                self._show(f"! {visible(change.reason)}; trying to connect again")
            self._trouble = change.reason
        elif change.state is State.ONLINE:
            if self._trouble and self._is_open.is_set():
                self._show("* connected again")
            self._trouble = ""

    def _on_delayed(self, event: SendDelayed) -> None:
        reason = visible(event.reason)
        self._show(f"! not stored yet ({reason}); sent again in {event.retry_in:g} s")

    def _on_caught_up(self, event: CaughtUp) -> None:
        if event.news.conversation_id != self._conversation_id:
            return
        for message in event.news.changed:
            if message.get("isDeleted"):
                self._show("* a message was deleted")
            elif "editedAt" in message:
                self._show(f"* edited: {visible_lines(message['content'])}")

    def _on_resync(self, event: Resync) -> None:
        """Read what was missed; what comes meanwhile waits, or it would stand before that."""
        if event.news.conversation_id == self._conversation_id:
            self._early = self._early or []
            self._reading = asyncio.create_task(self._read_on())

    async def _read_on(self) -> None:
        has_more = True
        with contextlib.suppress(ClientError):
            while has_more:
                page = await _insist(
                    lambda: self._client.get_private_messages(
                        self._conversation_id, after=self._last_seq, limit=MOST_PER_PAGE
                    )
                )
                for message in page.messages:
                    self._show_message(message)
                has_more = page.pagination.has_more and bool(page.messages)
        self._release()

    def _release(self) -> None:
        early, self._early = self._early or [], None
        for message in early:
            self._show_message(message)

    def _on_edited(self, event: MessageEdited) -> None:
        if event.conversation_id == self._conversation_id:
            self._show(f"* edited: {visible_lines(event.message.content)}")

    def _on_deleted(self, event: MessageDeleted) -> None:
        if event.conversation_id == self._conversation_id and event.delete_for_everyone:
            self._show("* a message was deleted")

    def _on_typing(self, event: UserTyping) -> None:
        if event.user_id != self._peer_id or event.conversation_id != self._conversation_id:
            return
        if event.is_typing and not self._is_peer_typing:
            self._show(f"* {self._peer_name} is typing…")
        self._is_peer_typing = event.is_typing

    def _on_presence(self, who: str, state: str) -> None:
        if who == self._peer_id:
            self._show(f"* {self._peer_name} is {state}")

    def _take_message(self, message: Message) -> None:
        if self._early is not None:
            self._early.append(message)
        else:
            self._show_message(message)

    def _show_message(self, message: Message) -> None:
        """Show a message, unless it was shown before; one's own is thereby known to be stored."""
        if message.conversation_id != self._conversation_id or message.id in self._shown:
            return
        self._shown.add(message.id)
        self._last_seq = max(self._last_seq, message.seq)
        self._is_peer_typing = False
        is_mine = message.sender_id != self._peer_id
        author = "✓" if is_mine else f"{self._peer_name}:"
        self._show(f"{_clock(message.timestamp)} {author} {visible_lines(message.content)}")


async def _insist(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until there is an answer, over as many connections as it takes."""
    while True:
        try:
            return await ask()
        except (ConnectionLost, TimeoutError):
            continue
        except CommandFailed as error:
            if error.code not in TRY_AGAIN:
                raise
            await asyncio.sleep(error.retry_after or 1.0)


def _clock(timestamp: str) -> str:
    """Local time of an ISO time; with the date when it is not of today."""
    moment = datetime.fromisoformat(timestamp).astimezone()
    is_today = moment.date() == datetime.now().astimezone().date()
    return moment.strftime("%H:%M" if is_today else "%Y-%m-%d %H:%M")
