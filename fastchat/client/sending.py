"""From the outbox to the server, over as many connections as it takes."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any, cast

from msgspec import UNSET

from fastchat.client.errors import ClientError, CommandFailed, MessageTooBig
from fastchat.client.exchange import Exchange, encode
from fastchat.client.link import Link
from fastchat.client.outbox import Outbox, Send
from fastchat.client.signals import SendDelayed
from fastchat.protocol.command import Command
from fastchat.protocol.event import Reply
from fastchat.protocol.message_types import Message
from fastchat.protocol.system_types import Error

# The session may end while a message is on its way; the next one takes it.
TRY_AGAIN = ("AUTH_REQUIRED", "RATE_LIMIT_EXCEEDED", "SERVICE_UNAVAILABLE")


class Sending:
    """Sends what waits, and takes what becomes of it."""

    def __init__(self, outbox: Outbox, exchange: Exchange, emit: Callable[[object], None]) -> None:
        """Take what waits, the deadlines of answers, and who is told of delays."""
        self.outbox = outbox
        self._exchange = exchange
        self._emit = emit
        self.user_id = ""  # whose messages these are
        self._link: Link | None = None  # while the client is online
        self._deadlines: dict[str, asyncio.TimerHandle] = {}  # of what is in flight
        self._resume: asyncio.TimerHandle | None = None  # while the outbox pauses

    def post(self, command: Command, room: str, kind: type[Reply]) -> asyncio.Future[Reply]:
        """Append a message and send it when its turn comes.

        Raises:
            OutboxFull: too many wait already.
        """
        message = cast(Any, command)
        message.client_message_id = message.client_message_id or uuid.uuid4().hex
        send = self.outbox.add(command, message.client_message_id, room, kind)
        self._flush()
        return send.stored

    def begin(self, link: Link) -> None:
        """Use a connection, on which all that was missed is known."""
        self._link = link
        self._flush()

    def lose(self) -> None:
        """The connection ended: nothing in flight will be answered on it."""
        self._link = None
        for deadline in self._deadlines.values():
            deadline.cancel()
        self._deadlines.clear()

    def land(self) -> None:
        """Take back what was in flight, to be sent again."""
        self.outbox.land()

    def refuse_largest(self) -> None:
        """Give up the message for which the server has closed because of its size."""
        send = self.outbox.largest_in_flight()
        if send is not None:
            self._give_up(send, MessageTooBig(f"the server takes no message of {send.size} bytes"))

    def settle(self, message: Message, answer: Reply) -> None:
        """A message is stored: tell it in its order, too. The next one of its room may go."""
        send = self.outbox.find(message.client_message_id)
        if send is None:
            return
        self._land(send)
        self.outbox.take(send)
        if not send.stored.done():
            send.stored.set_result(answer)
        self._emit(answer)
        self._flush()

    def take_own(self, message: Message) -> bool:
        """Take a message that came as an event; false when it is not from this outbox."""
        send = self.outbox.find(message.client_message_id)
        if send is None or message.sender_id != self.user_id:
            return False
        make = cast(Any, send.kind)
        answer = make(
            message_id=message.id,
            message=message,
            client_message_id=send.client_message_id,
            duplicate=True,
        )
        self.settle(message, answer)
        return True

    def take_refusal(self, event: Error) -> bool:
        """Try again what may work later, give up what never will; false when it is no message."""
        send = self.outbox.find(event.request_id) if event.request_id is not UNSET else None
        if send is None:
            return False
        self._land(send)
        error = CommandFailed.of(event)
        if error.code not in TRY_AGAIN:
            self._give_up(send, error)
            self._flush()
            return True
        seconds = max(1.0, error.retry_after or 0.0)
        self._pause(seconds)
        delayed = SendDelayed(send.client_message_id, error.code, error.details, seconds)
        self._emit(delayed)
        return True

    def close(self, error: ClientError) -> None:
        """Refuse everything that waits."""
        if self._resume is not None:
            self._resume.cancel()
        self.lose()
        self.outbox.fail_all(error)

    def _flush(self) -> None:
        if self._link is None or self._resume is not None:
            return
        for send in self.outbox.due():
            payload = encode(send.command, send.client_message_id)
            send.size = len(payload)
            self._deadlines[send.client_message_id] = self._exchange.watch(self._link)
            self._link.send(payload)

    def _give_up(self, send: Send, error: ClientError) -> None:
        self._land(send)
        self.outbox.take(send)
        if not send.stored.done():
            send.stored.set_exception(error)

    def _land(self, send: Send) -> None:
        send.is_in_flight = False
        deadline = self._deadlines.pop(send.client_message_id, None)
        if deadline is not None:
            deadline.cancel()

    def _pause(self, seconds: float) -> None:
        """Send nothing for a while: the limits are the user's, whichever room it is."""
        loop = asyncio.get_running_loop()
        if self._resume is not None:
            seconds = max(seconds, self._resume.when() - loop.time())
            self._resume.cancel()
        self._resume = loop.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._resume = None
        self._flush()
