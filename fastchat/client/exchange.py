"""Commands that wait for their answer on one connection."""

import asyncio
import itertools
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from fastchat.client.errors import AuthenticationFailed, ClientError, CommandFailed, ConnectionLost
from fastchat.client.link import Link
from fastchat.protocol.command import Command
from fastchat.protocol.event import Reply
from fastchat.protocol.system_types import AuthError, Error

R = TypeVar("R", bound=Reply)


def encode(command: Command, request_id: str | None) -> bytes:
    """Return a command as a text; what was left out is not in it."""
    fields: dict[str, Any] = msgspec.to_builtins(command)
    fields["requestId"] = request_id
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None})


class Exchange:
    """What was asked on a connection, until it is answered."""

    def __init__(self, answer_timeout: float) -> None:
        """Take how many seconds the server has; then the connection counts as dead."""
        self._answer_timeout = answer_timeout
        self._numbers = itertools.count(1)
        self._asked: dict[str, asyncio.Future[Reply]] = {}

    async def ask(self, link: Link, command: Command, *kinds: type[R]) -> R:
        """Send a command and return its answer.

        Raises:
            CommandFailed: the server refuses.
            ConnectionLost: the connection ended before.
            ClientClosed: its user closed the client before.
        """
        if not link.is_open:
            raise ConnectionLost("there is no connection")
        request_id = f"ask-{next(self._numbers)}"
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._asked[request_id] = answer
        deadline = self.watch(link)
        try:
            link.send(encode(command, request_id))
            event = await answer
        finally:
            deadline.cancel()
            del self._asked[request_id]
        if isinstance(event, AuthError):
            raise AuthenticationFailed.of(event)
        if isinstance(event, Error):
            raise CommandFailed.of(event)
        if not isinstance(event, kinds):
            raise ClientError(f"expected no {type(event).__name__} as an answer")
        return event

    def watch(self, link: Link) -> asyncio.TimerHandle:
        """Give the connection up unless the returned timer is cancelled in time."""
        loop = asyncio.get_running_loop()
        return loop.call_later(self._answer_timeout, link.fail, "the server does not answer")

    def take(self, event: Reply) -> bool:
        """Hand an answer to whoever waits for it; false when nobody does."""
        if event.request_id is UNSET:
            return False
        answer = self._asked.get(event.request_id)
        if answer is None or answer.done():
            return False
        answer.set_result(event)
        return True

    def fail(self, error: ClientError) -> None:
        """Tell all who wait that there will be no answer."""
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(error)
