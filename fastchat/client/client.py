"""The client: connects, logs in, catches up, stays, and comes back.

A visit is one connection from its beginning to its end. ``docs/clients.md`` has the figure of the
states and the table of what follows which end.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Self, TypeVar, cast

import msgspec

from fastchat.client.catching_up import CatchingUp
from fastchat.client.commands import Commands
from fastchat.client.decoding import Decoder
from fastchat.client.errors import (
    AuthenticationFailed,
    ClientClosed,
    CommandFailed,
    ConnectionLost,
    TokenTrouble,
    TokenUnavailable,
)
from fastchat.client.exchange import Exchange, encode
from fastchat.client.link import GOODBYE, HEARTBEAT, PONG_TIMEOUT, CannotConnect, Link
from fastchat.client.listening import Listeners, Stream
from fastchat.client.news import News
from fastchat.client.outbox import MOST_WAITING, Outbox
from fastchat.client.pauses import ABNORMAL, Ending, full_jitter, is_final, pause
from fastchat.client.positions import SavedPositions
from fastchat.client.presence import one_by_one
from fastchat.client.sending import TRY_AGAIN, Sending
from fastchat.client.signals import State, StateChanged
from fastchat.client.tokens import FOREVER, Tokens, TokenSource
from fastchat.protocol.codes import CloseCode
from fastchat.protocol.command import MOST_PER_PAGE, Command
from fastchat.protocol.commands import Authenticate
from fastchat.protocol.event import Reply
from fastchat.protocol.group_types import AnnouncementSent, GroupMessageSent
from fastchat.protocol.message_types import MessageSent
from fastchat.protocol.system_types import (
    Account,
    AuthError,
    Connected,
    Error,
    ServerDraining,
    TokenRefreshed,
    Welcome,
)

ANSWER_TIMEOUT = 10.0  # seconds; the server answers within 5
PATIENCE = 30.0  # seconds that a command waits for a connection
STABLE = 30.0  # seconds online after which the next back-off begins anew
TOKEN_RETRY = 10.0  # seconds between tries to replace a token that is about to end
LONGEST_SLEEP = 86400.0  # seconds

E = TypeVar("E")
R = TypeVar("R", bound=Reply)


class Client(Commands):
    """A user's place in the chat. ``async with`` starts and closes it.

    It belongs to the event loop it was started on.
    """

    def __init__(
        self,
        url: str,
        get_token: TokenSource,
        *,
        delay: Callable[[int], float] = full_jitter,
        positions: SavedPositions | None = None,
        first_limit: int = MOST_PER_PAGE,
        sync_limit: int = MOST_PER_PAGE,
        most_waiting: int = MOST_WAITING,
        patience: float = PATIENCE,
        answer_timeout: float = ANSWER_TIMEOUT,
        heartbeat: float = HEARTBEAT,
        pong_timeout: float = PONG_TIMEOUT,
        tls: ssl.SSLContext | None = None,
        local_address: str | None = None,
    ) -> None:
        """Take where to, and as whom.

        Args:
            url: Of the server, ``ws://`` or ``wss://``.
            get_token: Function or coroutine function that returns a token; it is asked when there
                is none, shortly before the token ends, and when the server refused it, one
                question at a time. It may raise ``TokenUnavailable`` to end the client.
            delay: Seconds before the nth try to connect again, counted from 0.
            positions: What ``positions`` of an earlier client was; what came since is told first.
                Without it ``CaughtUp`` tells each conversation with its latest messages.
            first_limit: Messages of a conversation then, 1 to 200. Small is cheap.
            sync_limit: Messages of a conversation that may be missed without ``Resync``, 1 to 200.
            most_waiting: Messages in the outbox; more are refused with ``OutboxFull``.
            patience: Seconds that a command which does not send waits for a connection.
            answer_timeout: Seconds without an answer after which the connection counts as dead.
            heartbeat: Seconds between pings.
            pong_timeout: Seconds without a pong after which the connection counts as dead; at
                most ``heartbeat``.
            tls: For ``wss://``, instead of the machine's own.
            local_address: Where to come from, on a machine with several addresses.

        Raises:
            ValueError: the pong may take longer than the heartbeat.
        """
        if pong_timeout > heartbeat:
            raise ValueError(f"pong_timeout {pong_timeout:g}: expected at most {heartbeat:g}")
        self.url = url
        self.state = State.IDLE
        self.user: Account | None = None  # as of the last log-in
        self._delay = delay
        self._patience = patience
        self._heartbeat = heartbeat
        self._pong_timeout = pong_timeout
        self._tls = tls
        self._local_address = local_address
        self._tokens = Tokens(get_token)
        self._listeners = Listeners()
        self._decoder = Decoder()
        self._exchange = Exchange(answer_timeout)
        self._sending = Sending(Outbox(most_waiting), self._exchange, self._listeners.emit)
        tell = one_by_one(self._listeners.emit, lambda: self._sending.user_id)
        self._news = News(tell, self._sending.take_own, positions)
        self._catching_up = CatchingUp(
            self._news, self._exchange, first_limit=first_limit, sync_limit=sync_limit
        )
        self._is_online = asyncio.Event()  # or closed, so that nobody waits for ever
        self._is_closed = asyncio.Event()
        self._closed_because = ""
        self._task: asyncio.Task[None] | None = None
        # Of this visit:
        self._link: Link | None = None
        self._welcome: asyncio.Future[Welcome] | None = None
        self._draining: ServerDraining | None = None
        self._session_end: AuthError | None = None
        self._online_at: float | None = None

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def start(self) -> None:
        """Begin to connect; once."""
        if self._task is not None:
            raise RuntimeError("the client was started already")
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Say good-bye to the server and end; what waits for an answer raises ``ClientClosed``."""
        self._exchange.fail(ClientClosed("closed"))
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._finish("closed")

    async def online(self) -> None:
        """Wait until everything that was missed is known and commands are answered.

        Raises:
            ClientClosed: there will be no connection any more.
        """
        while not self._is_online.is_set():
            await self._is_online.wait()
        if self._is_closed.is_set():
            raise ClientClosed(self._closed_because)

    async def closed(self) -> str:
        """Wait until there will be no connection any more, and return why."""
        await self._is_closed.wait()
        return self._closed_because

    async def drained(self) -> None:
        """Wait until the outbox is empty."""
        await self._sending.outbox.drained()

    @property
    def positions(self) -> SavedPositions:
        """How far each conversation is known; to be saved as JSON for the next client."""
        return self._news.positions.save()

    @property
    def waiting(self) -> int:
        """Messages that are not stored yet."""
        return len(self._sending.outbox)

    def on(self, kind: type[E], callback: Callable[[E], None]) -> Callable[[], None]:
        """Call back for each event of a type, of ``protocol`` or ``client``; also for a base.

        Returns:
            A function that ends that.
        """
        return self._listeners.on(kind, callback)

    def events(self, *kinds: type[E]) -> Stream[E]:
        """Return a stream of the events of some types, for ``async for``; close it, or leave it.

        It ends with the client. One that holds 10 000 unread events ends with ``StreamOverflow``.
        """
        return self._listeners.stream(*kinds)

    async def ask(self, command: Command, *kinds: type[R]) -> R:
        """Send a command and return its answer, which is of one of some types.

        Raises:
            TimeoutError, ClientClosed, ConnectionLost, CommandFailed: see ``commands``.
        """
        async with asyncio.timeout(self._patience):
            await self.online()
        assert self._link is not None
        return await self._exchange.ask(self._link, command, *kinds)

    def post(self, command: Command, room: str, kind: type[R]) -> asyncio.Future[R]:
        """Put a message into the outbox; the future has the answer when it is stored.

        Raises:
            OutboxFull: too many wait already.
            ClientClosed: nothing will be sent any more.
        """
        if self._is_closed.is_set():
            raise ClientClosed(self._closed_because)
        return cast(asyncio.Future[R], self._sending.post(command, room, kind))

    def tell(self, command: Command) -> None:
        """Send a command that has no answer, if there is a connection."""
        if self.state is State.ONLINE and self._link is not None:
            self._link.send(encode(command, None))

    # The life of a client

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        attempt = 0
        reason = "closed"
        try:
            while True:
                ending = await self._visit()
                if is_final(ending):
                    raise ClientClosed(ending.reason or f"the server closed with {ending.code}")
                if self._online_at is not None and loop.time() - self._online_at >= STABLE:
                    attempt = 0
                seconds = pause(ending, attempt, self._delay)
                self._enter(State.WAITING, ending.reason, seconds, ending.code)
                await asyncio.sleep(seconds)
                attempt += 1
        except ClientClosed as error:
            reason = str(error)
        except Exception as error:
            reason = f"a mistake in the client: {type(error).__name__}"
            raise
        finally:
            self._finish(reason)

    async def _visit(self) -> Ending:
        """Live through one connection, and return how it ended.

        Raises:
            ClientClosed: no other one would do better.
        """
        self._draining = self._session_end = self._online_at = None
        self._enter(State.CONNECTING)
        try:
            await self._tokens.get()
        except TokenUnavailable as error:
            raise ClientClosed(str(error)) from None
        except TokenTrouble as error:
            return _explain_failure(error)
        try:
            self._link = link = await self._open()
        except CannotConnect as error:
            return error.ending
        except ValueError as error:
            raise ClientClosed(str(error)) from None
        beside: list[asyncio.Task[None]] = []
        failure: Ending | None = None
        try:
            self._enter(State.AUTHENTICATING)
            await self._log_in(link)
            self._enter(State.SYNCING)
            await self._catching_up.finish(link)
            beside.append(asyncio.create_task(self._keep_token(link)))
            beside.append(asyncio.create_task(self._catching_up.fill_gaps(link)))
            self._online_at = asyncio.get_running_loop().time()
            self._enter(State.ONLINE)
            self._sending.begin(link)
        except ConnectionLost:
            pass
        except (CommandFailed, TokenTrouble) as error:
            link.close()
            failure = _explain_failure(error)
        except BaseException as error:
            link.close()
            if isinstance(error, TokenUnavailable):
                raise ClientClosed(str(error)) from None
            raise
        finally:
            try:
                ending = await self._leave(link)
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)
        return failure or self._explain(ending)

    async def _open(self) -> Link:
        self._welcome = asyncio.get_running_loop().create_future()
        self._welcome.add_done_callback(lambda welcome: welcome.cancelled() or welcome.exception())
        self._news.hold()
        return await Link.open(
            self.url,
            self._receive,
            self._lost,
            tls=self._tls,
            local_address=self._local_address,
            heartbeat=self._heartbeat,
            pong_timeout=self._pong_timeout,
        )

    async def _leave(self, link: Link) -> Ending:
        """Wait for the end of a connection; closed by oneself, it may not take long."""
        try:
            return await link.ended()
        except asyncio.CancelledError:
            link.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(link.ended(), 2 * GOODBYE)
            raise
        finally:
            self._link = None

    async def _log_in(self, link: Link) -> None:
        assert self._welcome is not None
        deadline = self._exchange.watch(link)
        try:
            await self._welcome
        finally:
            deadline.cancel()
        try:
            connected = await self._authenticate(link)
        except AuthenticationFailed as error:
            if error.code in TRY_AGAIN:
                raise
            self._tokens.refuse()
            try:
                connected = await self._authenticate(link)
            except TokenUnavailable:
                raise error from None
        self.user = connected.user
        self._sending.user_id = connected.user.user_id

    async def _authenticate(self, link: Link) -> Connected:
        command = Authenticate(token=await self._tokens.get(), presence_batches=True)
        return await self._exchange.ask(link, command, Connected)

    async def _keep_token(self, link: Link) -> None:
        """Replace the token shortly before its end, so that the session goes on."""
        loop = asyncio.get_running_loop()
        while self._tokens.replace_at < FOREVER:
            left = self._tokens.replace_at - loop.time()
            if left > 0:
                await asyncio.sleep(min(left, LONGEST_SLEEP))
                continue
            before = self._tokens.replace_at
            try:
                token = await self._tokens.refresh()
                await self._exchange.ask(link, Authenticate(token=token), TokenRefreshed)
            except (TokenUnavailable, ConnectionLost):
                return
            except (TokenTrouble, CommandFailed):
                # The old one still holds.
                await asyncio.sleep(TOKEN_RETRY)
                continue
            if self._tokens.replace_at <= before:
                return  # there is no later one; the server will end the session

    def _explain(self, ending: Ending) -> Ending:
        """Add what the server said before the end."""
        if ending.code == CloseCode.MESSAGE_TOO_BIG:
            self._sending.refuse_largest()
        self._sending.land()
        if self._session_end is not None:
            self._tokens.refuse()
            return Ending(ABNORMAL, self._session_end.details)
        if self._draining is not None:
            return ending._replace(retry_after=float(self._draining.retry_after), is_drained=True)
        return ending

    def _finish(self, reason: str) -> None:
        if self._is_closed.is_set():
            return
        self._closed_because = reason
        self._tokens.close()
        self._sending.close(ClientClosed(reason))
        self._enter(State.CLOSED, reason)
        self._is_closed.set()
        self._is_online.set()
        self._listeners.end()

    def _enter(
        self, state: State, reason: str = "", retry_in: float = 0.0, code: int | None = None
    ) -> None:
        if state is State.ONLINE:
            self._is_online.set()
        else:
            self._is_online.clear()
        self.state = state
        self._listeners.emit(StateChanged(state, reason, retry_in, code))

    # What comes from the server

    def _lost(self) -> None:
        self._is_online.clear()
        self._exchange.fail(ConnectionLost("the connection ended before the answer"))
        if self._welcome is not None and not self._welcome.done():
            self._welcome.set_exception(ConnectionLost("the connection ended before the greeting"))
        self._sending.lose()

    def _receive(self, payload: bytes) -> None:
        try:
            event = self._decoder.decode(payload)
        except (ValueError, msgspec.DecodeError):
            if self._link is not None:
                self._link.fail("the server sent something that is no event")
            return
        if isinstance(event, MessageSent | GroupMessageSent | AnnouncementSent):
            self._news.note_message(event.message)
            self._sending.settle(event.message, event)
        elif isinstance(event, Error) and self._sending.take_refusal(event):
            pass
        elif isinstance(event, Reply) and self._exchange.take(event):
            self._news.note(event)
        elif isinstance(event, Welcome):
            if self._welcome is not None and not self._welcome.done():
                self._welcome.set_result(event)
                self._listeners.emit(event)
        elif isinstance(event, AuthError):
            self._session_end = event
            self._listeners.emit(event)
        else:
            if isinstance(event, ServerDraining):
                self._draining = event
            self._news.take(event)


def _explain_failure(error: CommandFailed | TokenTrouble) -> Ending:
    """Say how a visit ends that came to nothing.

    Raises:
        ClientClosed: the next one would end the same way.
    """
    if isinstance(error, TokenTrouble):
        return Ending(ABNORMAL, str(error))
    if error.code not in TRY_AGAIN:
        raise ClientClosed(error.details) from None
    return Ending(ABNORMAL, error.details, retry_after=error.retry_after or 0.0)
