"""What sending a message means, wherever it goes. Hot path.

A send for which everything is in memory goes to the writer at once and is answered by a completion
function after the COMMIT. One that has to ask the database first waits, and with it all later ones
of the same user to the same place, so that the order of a conversation is that of sending.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Hashable
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from fastchat.errors import (
    CommandError,
    PermissionDenied,
    ResourceNotFound,
    ServiceUnavailable,
    UserBlocked,
    ValidationError,
)
from fastchat.handlers.answers import Answers
from fastchat.handlers.rows import RowEncoder
from fastchat.handlers.webhooks import Webhooks
from fastchat.interfaces import Connection, Session
from fastchat.protocol.events import with_request_id
from fastchat.store.batch import Duplicate, NewMessage, Outcome, Reason, Refused, Stored
from fastchat.store.cipher import Cipher, EncryptionFailed
from fastchat.store.history import History
from fastchat.store.messages import MessageRef, MessageRow, SealedContent
from fastchat.store.rooms import AnyRoom
from fastchat.store.writer import MessageWriter

PATIENCE = 4.5  # seconds that a send may wait; it is answered within five
MOST_WAITING = 20_000  # sends that wait for a look-up

C = TypeVar("C")  # the command
R = TypeVar("R", bound=AnyRoom)


class Neighbours(NamedTuple):
    """What every kind of send needs."""

    writer: MessageWriter
    history: History
    cipher: Cipher
    encoder: RowEncoder
    answers: Answers
    webhooks: Webhooks | None = None  # None: the main backend is not told


class Sending(ABC, Generic[C, R]):
    """One kind of send: stores messages, and tells everybody concerned."""

    def __init__(
        self, neighbours: Neighbours, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the neighbours that every send needs, and monotonic seconds."""
        self._writer, self._history, self._cipher, self._encoder, self._answers = neighbours[:5]
        self._webhooks = neighbours.webhooks
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._queues: dict[Hashable, deque[Send[C, R]]] = {}
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """Sends that wait for a look-up."""
        return self._waiting

    async def drain(self, timeout: float) -> None:
        """Wait until the look-ups that are under way now have been answered."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout)

    async def stop(self) -> None:
        """End what still waits."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @abstractmethod
    async def _look_up(self, send: "Send[C, R]") -> None:
        """Find what a send needs, and append it unless it was given up meanwhile."""

    @abstractmethod
    def _publish(self, send: "Send[C, R]", stored: Stored) -> None:
        """Tell everybody of a new message."""

    @abstractmethod
    def _encode_repeat(self, send: "Send[C, R]", message: bytes, row: MessageRow) -> bytes:
        """Encode the answer to a send that was stored before."""

    @abstractmethod
    def _receivers(self, room: R, group_rev: int) -> Collection[str] | None:
        """Return the members of a room as of ``group_rev``; None: they have to be asked for."""

    @abstractmethod
    async def _fetch_receivers(self, room: R) -> Collection[str]:
        """Ask for the members of a room."""

    def _seal(self, send: "Send[C, R]", room: R, client_message_id: str | None) -> SealedContent:
        try:
            return self._cipher.seal(
                send.content, room.conversation_id, send.session.user_id, client_message_id
            )
        except EncryptionFailed:
            raise ServiceUnavailable("The message could not be encrypted.") from None

    def _append(self, send: "Send[C, R]", room: R, message: NewMessage) -> None:
        send.room = room
        self._writer.append(message, send)

    def _is_queued(self, key: Hashable) -> bool:
        """Whether earlier sends of the same user to the same place wait."""
        return key in self._queues

    def _wait(self, key: Hashable, send: "Send[C, R]") -> None:
        if self._waiting >= MOST_WAITING:
            raise ServiceUnavailable
        self._waiting += 1
        send.timer = self._loop.call_later(PATIENCE, send.give_up)
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = deque()
            self._start(self._work_off(key, queue))
        queue.append(send)

    async def _work_off(self, key: Hashable, queue: "deque[Send[C, R]]") -> None:
        """Look up what the sends of a queue need, one after the other."""
        try:
            while queue:
                send = queue[0]
                if not send.is_answered:
                    try:
                        await self._look_up(send)
                    except CommandError as error:
                        send.refuse(error)
                    except Exception as error:
                        send.fail(error)
                queue.popleft()
                self._waiting -= 1
        finally:
            self._waiting -= len(queue)
            del self._queues[key]

    async def _find_reply(self, message_id: str | None) -> MessageRef | None:
        """Return where the message replied to is; it may not be there."""
        if message_id is None:
            return None
        reply = await self._history.resolve(message_id)
        if reply is None:
            raise ResourceNotFound
        return reply

    def _start(self, work: "asyncio._CoroutineLike[None]") -> "asyncio.Task[None]":
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def finish(self, send: "Send[C, R]", outcome: Outcome) -> None:
        """Answer the sender; if the message is new, tell everybody else."""
        if isinstance(outcome, Stored):
            self._publish(send, outcome)
        elif isinstance(outcome, Duplicate):
            if not send.is_answered:
                send.is_answered = True
                self._start(self._repeat(send, outcome.seq))
        else:
            send.refuse(_explain(outcome))

    def _acknowledge(
        self,
        send: "Send[C, R]",
        stored: Stored,
        payload: bytes,
        told: "asyncio.Future[None] | None",
    ) -> Connection | None:
        """Answer the sender; return his connection, or None if he hears of it as others do.

        ``told`` is what he has to wait for, see ``_tell_backend``.
        """
        if send.is_answered or stored.is_late:
            # He was told that nothing is known.
            return None
        if told is None:
            self._answer(send, payload)
        else:
            if send.timer is None:
                patience = PATIENCE - (self._clock() - send.started)
                send.timer = self._loop.call_later(max(0.0, patience), send.give_up)
            told.add_done_callback(partial(self._answer_later, send, payload))
        return send.session.connection

    def _answer(self, send: "Send[C, R]", payload: bytes) -> None:
        send.settle()
        send.session.connection.send(with_request_id(payload, send.request_id))
        self._answers.send_to_ack.observe(self._clock() - send.started)

    def _answer_later(
        self, send: "Send[C, R]", payload: bytes, told: "asyncio.Future[None]"
    ) -> None:
        if send.is_answered:
            return
        if told.cancelled() or told.exception() is not None:
            send.refuse(ServiceUnavailable())
        else:
            self._answer(send, payload)

    def _tell_backend(
        self, send: "Send[C, R]", message_id: str, message: bytes, group_rev: int = 0
    ) -> "asyncio.Future[None] | None":
        """Let the main backend know of a message for users who are away.

        Returns:
            What is done when that is durable; None: there is nothing to wait for.
        """
        if self._webhooks is None:
            return None
        room = send.room
        assert room is not None
        receivers = self._receivers(room, group_rev)
        if receivers is None:
            told = self._start(self._tell_backend_later(room, send, message_id, message))
            told.add_done_callback(_look_at)
            return told
        try:
            return self._webhooks.message_stored(
                message_id, message, send.session.user_id, receivers
            )
        except ServiceUnavailable as error:
            failed: asyncio.Future[None] = self._loop.create_future()
            failed.set_exception(error)
            _look_at(failed)
            return failed

    async def _tell_backend_later(
        self, room: R, send: "Send[C, R]", message_id: str, message: bytes
    ) -> None:
        assert self._webhooks is not None
        receivers = await self._fetch_receivers(room)
        told = self._webhooks.message_stored(message_id, message, send.session.user_id, receivers)
        if told is not None:
            await told

    async def _repeat(self, send: "Send[C, R]", seq: int) -> None:
        """Answer a repeat with the message that was stored the first time, as it is now."""
        room, connection = send.room, send.session.connection
        assert room is not None
        try:
            row = await self._history.fetch_message(room.room_id, seq)
            if row is None:
                raise ServiceUnavailable
            (message,) = self._encoder.encode(room, [row])
            if self._webhooks is not None:
                # Whether the backend was told the first time is not known.
                await self._tell_backend_later(room, send, row.message_id(room.room_id), message)
        except CommandError as error:
            self._answers.refuse(connection, error, send.request_id)
        except Exception as error:
            self._answers.fail(connection, error, send.request_id)
        else:
            payload = self._encode_repeat(send, message, row)
            connection.send(with_request_id(payload, send.request_id))

    def refuse(self, send: "Send[C, R]", error: CommandError) -> None:
        """Answer a send with an error."""
        self._answers.refuse(send.session.connection, error, send.request_id)

    def fail(self, send: "Send[C, R]", error: Exception) -> None:
        """Answer a send that met a bug."""
        self._answers.fail(send.session.connection, error, send.request_id)


class Send(Generic[C, R]):
    """One message on its way; the writer calls it with the outcome."""

    __slots__ = (
        "command",
        "content",
        "is_answered",
        "mentions",
        "request_id",
        "room",
        "sending",
        "session",
        "started",
        "timer",
    )

    def __init__(
        self,
        sending: Sending[C, R],
        session: Session,
        command: C,
        content: str,
        request_id: str | None,
        started: float,
    ) -> None:
        self.sending = sending
        self.session = session
        self.command = command
        self.content = content
        self.request_id = request_id
        self.started = started
        self.room: R | None = None
        self.mentions: list[str | None] = []
        self.is_answered = False
        self.timer: asyncio.TimerHandle | None = None

    def __call__(self, outcome: Outcome) -> None:
        """Take what became of the message."""
        self.sending.finish(self, outcome)

    def settle(self) -> None:
        """Take note that the sender has his answer."""
        self.is_answered = True
        if self.timer is not None:
            self.timer.cancel()

    def refuse(self, error: CommandError) -> None:
        """Answer with an error, unless the sender was answered already."""
        if not self.is_answered:
            self.settle()
            self.sending.refuse(self, error)

    def fail(self, error: Exception) -> None:
        """Answer a bug."""
        if not self.is_answered:
            self.settle()
            self.sending.fail(self, error)

    def give_up(self) -> None:
        """Answer in time although nothing is known yet."""
        self.refuse(ServiceUnavailable())


def _explain(outcome: Refused) -> CommandError:
    reason = outcome.reason
    if reason is Reason.BLOCKED:
        return UserBlocked()
    if reason is Reason.UNKNOWN_RECIPIENT:
        return ResourceNotFound("There is no such user.")
    if reason is Reason.REPLY_MISSING:
        return ResourceNotFound("There is no such message to reply to.")
    if reason is Reason.NOT_MEMBER:
        return ResourceNotFound("There is no such group.")
    if reason is Reason.NOT_ALLOWED:
        return PermissionDenied("You may not send this to the group.")
    if reason is Reason.INVALID:
        return ValidationError("The database refused the message.")
    return ServiceUnavailable()


def _look_at(future: "asyncio.Future[None]") -> None:
    """Spare the event loop its complaint about a failure that nobody waits for any more."""
    if not future.cancelled():
        future.exception()
