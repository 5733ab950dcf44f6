"""What ``send_private_message`` means. Hot path.

A send whose conversation is in memory goes to the writer at once and is answered by a completion
function after the COMMIT. One that has to ask the database first waits, and with it all later ones
of the same user to the same other, so that the order of a conversation is that of sending.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

from fastchat.errors import (
    CommandError,
    ResourceNotFound,
    ServiceUnavailable,
    UserBlocked,
    ValidationError,
)
from fastchat.handlers.answers import Answers
from fastchat.handlers.rows import RowEncoder
from fastchat.hub.sessions import Hub
from fastchat.interfaces import Session
from fastchat.protocol.commands import SendPrivateMessage
from fastchat.protocol.events import (
    encode_message,
    encode_message_sent,
    encode_new_private_message,
    with_request_id,
)
from fastchat.store.batch import Duplicate, NewMessage, Outcome, Reason, Refused, Stored
from fastchat.store.cache import LruCache
from fastchat.store.cipher import Cipher, EncryptionFailed
from fastchat.store.history import History
from fastchat.store.messages import MessageRef, make_message_id, parse_reference
from fastchat.store.relations import FOLLOW_AGE, Relations
from fastchat.store.rooms import Room, Rooms, conversation_id_of
from fastchat.store.writer import MessageWriter

PATIENCE = 4.5  # seconds that a send may wait; it is answered within five
MOST_WAITING = 20_000  # sends that wait for a look-up
PAIRS_KEPT = 50_000

log = logging.getLogger(__name__)

Pair = tuple[str, str]  # who sends, to whom


class Messages:
    """Stores messages and tells both sides."""

    def __init__(
        self,
        writer: MessageWriter,
        rooms: Rooms,
        history: History,
        relations: Relations | None,
        cipher: Cipher,
        encoder: RowEncoder,
        hub: Hub,
        answers: Answers,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the neighbours; without ``relations`` nobody is warned about missing follows."""
        self._writer = writer
        self._rooms = rooms
        self._history = history
        self._relations = relations
        self._cipher = cipher
        self._encoder = encoder
        self._hub = hub
        self._answers = answers
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._queues: dict[Pair, deque[_Send]] = {}
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._looked_at: LruCache[Pair, bool] = LruCache(PAIRS_KEPT, FOLLOW_AGE)

    @property
    def waiting(self) -> int:
        """Sends that wait for a look-up."""
        return self._waiting

    def send(self, session: Session, command: SendPrivateMessage, now: float) -> None:
        """Store one message; ``message_sent`` follows once it is durable."""
        recipient_id = command.recipient_id
        if recipient_id == session.user_id:
            raise ValidationError("You cannot send messages to yourself.", field="recipientId")
        pair = (session.user_id, recipient_id)
        room = self._rooms.peek(*pair)
        conversation_id = room.conversation_id if room else conversation_id_of(*pair)
        if command.conversation_id not in (None, conversation_id):
            raise ValidationError(
                "The field 'conversationId' is not the conversation with this recipient.",
                field="conversationId",
            )
        reply = command.reply_to_message_id
        ref = None if reply is None else parse_reference(reply)
        send = _Send(self, session, command, now)
        if room is None or pair in self._queues or (reply is not None and ref is None):
            self._wait(pair, send)
        else:
            self._append(room, ref, send)
        if self._relations is not None and self._looked_at.get(pair, now) is None:
            self._looked_at.put(pair, True, now)
            self._start(self._warn_of_strangers(pair, self._relations))

    async def drain(self, timeout: float) -> None:
        """Wait until the look-ups that are under way now have been answered."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout)

    async def stop(self) -> None:
        """End what still waits."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _append(self, room: Room, reply: MessageRef | None, send: "_Send") -> None:
        command = send.command
        if reply is not None and reply.room_id != room.room_id:
            raise ResourceNotFound
        try:
            sealed = self._cipher.seal(
                command.content,
                room.conversation_id,
                send.session.user_id,
                command.client_message_id,
            )
        except EncryptionFailed:
            raise ServiceUnavailable("The message could not be encrypted.") from None
        send.room = room
        self._writer.append(
            NewMessage(
                room.room_id,
                room.conversation_id,
                room.user1_id,
                room.user2_id,
                send.session.user_id,
                command.recipient_id,
                sealed.content,
                sealed.encrypted_content,
                sealed.encryption_iv,
                sealed.encryption_scheme,
                command.client_message_id,
                command.reply_to_message_id,
                None if reply is None else reply.seq,
            ),
            send,
        )

    def _wait(self, pair: Pair, send: "_Send") -> None:
        if self._waiting >= MOST_WAITING:
            raise ServiceUnavailable
        self._waiting += 1
        send.timer = self._loop.call_later(PATIENCE, send.give_up)
        queue = self._queues.get(pair)
        if queue is None:
            queue = self._queues[pair] = deque()
            self._start(self._work_off(pair, queue))
        queue.append(send)

    async def _work_off(self, pair: Pair, queue: "deque[_Send]") -> None:
        """Look up what the sends of a pair need, one after the other."""
        try:
            while queue:
                send = queue[0]
                if not send.is_answered:
                    await self._look_up(pair, send)
                queue.popleft()
                self._waiting -= 1
        finally:
            self._waiting -= len(queue)
            del self._queues[pair]

    async def _look_up(self, pair: Pair, send: "_Send") -> None:
        try:
            room = await self._rooms.open_conversation(*pair)
            reply = None
            if send.command.reply_to_message_id is not None:
                reply = await self._history.resolve(send.command.reply_to_message_id)
                if reply is None:
                    raise ResourceNotFound
            # One that was given up meanwhile is not stored.
            if not send.is_answered:
                self._append(room, reply, send)
        except CommandError as error:
            send.refuse(error)
        except Exception as error:
            send.fail(error)

    async def _warn_of_strangers(self, pair: Pair, relations: Relations) -> None:
        if await relations.follows_between(*pair) is False:
            log.warning("neither user follows the other", extra={"users": pair})

    def _start(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _finish(self, send: "_Send", outcome: Outcome) -> None:
        """Answer the sender; if the message is new, tell everybody else."""
        if isinstance(outcome, Stored):
            self._publish(send, outcome)
        elif isinstance(outcome, Duplicate):
            if not send.is_answered:
                send.is_answered = True
                self._start(self._repeat(send, outcome.seq))
        else:
            send.refuse(_explain(outcome))

    def _publish(self, send: "_Send", stored: Stored) -> None:
        room, session, command = send.room, send.session, send.command
        assert room is not None
        message_id = make_message_id(room.room_id, stored.seq)
        message = encode_message(
            message_id=message_id,
            conversation_id=room.conversation_id,
            sender_id=session.user_id,
            recipient_id=command.recipient_id,
            username=session.user.username,
            content=command.content,
            created_at=stored.created_at,
            seq=stored.seq,
            rev=stored.rev,
            reply_to=command.reply_to_message_id,
            client_message_id=command.client_message_id,
        )
        skip = None
        if not send.is_answered and not stored.is_late:
            # Who was told that nothing is known hears of it as others do.
            skip = session.connection
            send.settle()
            skip.send(
                with_request_id(
                    encode_message_sent(message, message_id, command.client_message_id),
                    command.request_id,
                )
            )
            self._answers.send_to_ack.observe(self._clock() - send.started)
        delivered = self._hub.publish(
            (room.user1_id, room.user2_id),
            encode_new_private_message(message, message_id, room.conversation_id),
            skip,
        )
        if delivered:
            self._answers.send_to_delivery.observe(self._clock() - send.started)

    async def _repeat(self, send: "_Send", seq: int) -> None:
        """Answer a repeat with the message that was stored the first time, as it is now."""
        room, session, command = send.room, send.session, send.command
        assert room is not None
        try:
            row = await self._history.fetch_message(room.room_id, seq)
            if row is None:
                raise ServiceUnavailable
            (message,) = await self._encoder.encode(room, [row])
        except CommandError as error:
            self._answers.refuse(session.connection, error, command.request_id)
        except Exception as error:
            self._answers.fail(session.connection, error, command.request_id)
        else:
            payload = encode_message_sent(
                message,
                row.message_id(room.room_id),
                command.client_message_id,
                is_duplicate=True,
            )
            session.connection.send(with_request_id(payload, command.request_id))


class _Send:
    """One message on its way; the writer calls it with the outcome."""

    __slots__ = ("command", "handler", "is_answered", "room", "session", "started", "timer")

    def __init__(
        self, handler: Messages, session: Session, command: SendPrivateMessage, started: float
    ) -> None:
        self.handler = handler
        self.session = session
        self.command = command
        self.started = started
        self.room: Room | None = None
        self.is_answered = False
        self.timer: asyncio.TimerHandle | None = None

    def __call__(self, outcome: Outcome) -> None:
        self.handler._finish(self, outcome)

    def settle(self) -> None:
        """Take note that the sender has his answer."""
        self.is_answered = True
        if self.timer is not None:
            self.timer.cancel()

    def refuse(self, error: CommandError) -> None:
        """Answer with an error, unless the sender was answered already."""
        if not self.is_answered:
            self.settle()
            answers = self.handler._answers
            answers.refuse(self.session.connection, error, self.command.request_id)

    def fail(self, error: Exception) -> None:
        """Answer a bug."""
        if not self.is_answered:
            self.settle()
            answers = self.handler._answers
            answers.fail(self.session.connection, error, self.command.request_id)

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
    if reason is Reason.INVALID:
        return ValidationError("The database refused the message.")
    return ServiceUnavailable()
