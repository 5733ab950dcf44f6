"""Commands that the main backend gives in the name of a user, or of the system.

Such a command goes the way of any other, so that it means the same. Its session has no socket: what
would be sent there is the answer.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import orjson

from fastchat.errors import ResourceNotFound
from fastchat.interfaces import Session, User
from fastchat.protocol.codec import Codec
from fastchat.store.system_user import SystemUser
from fastchat.store.users import Users

Reply = dict[str, Any]


class SendHandler(Protocol):
    """What stores messages: ``Messages``, ``GroupMessages``."""

    def send(self, session: Session, command: Any, now: float) -> None:
        """Store one message; the answer is sent to the connection of the session."""


class Unlimited:
    """A window in which everything is admitted."""

    counted = 0

    def wait(self, now: float, limit: int) -> float:
        """Admit."""
        return 0.0

    def take(self, now: float, limit: int) -> float:
        """Admit, and count nothing."""
        return 0.0

    def is_idle(self, now: float) -> bool:
        """Tell that nothing is counted."""
        return True


class Caller:
    """Stands where the connection of a client would; the first thing sent to it is the answer."""

    remote_ip = ""
    is_open = True
    backlog = queued = taken = 0
    unsent: Sequence[Any] = ()

    def __init__(self, client_id: str, now: float) -> None:
        """Wait for the answer."""
        self.client_id = client_id
        self.opened_at = now
        self.session: Session | None = None
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def send(self, payload: bytes) -> None:
        """Take the answer."""
        if not self.answer.done():
            self.answer.set_result(payload)

    send_reply = send

    def send_ephemeral(self, payload: bytes) -> None:
        """Nobody is here who could see it."""

    def close(self, code: int, reason: str) -> None:
        """There is nothing to close."""

    def authenticated(self) -> None:
        """There is no deadline."""

    def pause_reading(self) -> None:
        """Nothing is read."""

    def resume_reading(self) -> None:
        """Nothing is read."""


class OnBehalf:
    """Sends messages for the main backend."""

    def __init__(
        self,
        codec: Codec,
        messages: SendHandler,
        group_messages: SendHandler,
        users: Users,
        system_user: SystemUser,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take what checks commands, what carries them out, and who may be their sender."""
        self._codec = codec
        self._messages = messages
        self._group_messages = group_messages
        self._users = users
        self._system_user = system_user
        self._clock = clock
        self._numbers = itertools.count(1)

    async def send(self, sender_id: str | None, command: dict[str, Any]) -> Reply:
        """Send a message and return the answer that a client would get, be it an error.

        Args:
            sender_id: A user; None: the system.
            command: One of those that send a message, as on the wire.

        Raises:
            CommandError: the command is wrong, or nobody knows the sender.
        """
        decoded = self._codec.decode(orjson.dumps(command))
        user: User | None
        if sender_id is None:
            user = await self._system_user.find()
        else:
            user = await self._users.find(sender_id)
        if user is None:
            raise ResourceNotFound("There is no such sender.")
        now = self._clock()
        caller = Caller(f"service-{next(self._numbers)}", now)
        window = Unlimited()
        session = Session(
            caller,
            user,
            None,
            float("inf"),
            (window, window, window),
            is_system=sender_id is None,
        )
        handler = self._group_messages if "groupId" in command else self._messages
        handler.send(session, decoded, now)
        reply: Reply = orjson.loads(await caller.answer)
        return reply
