"""What the main backend may ask and do about users who are connected to any worker."""

import asyncio
import itertools
import logging

from fastchat.broker.messages import Question, Reply
from fastchat.errors import ServiceUnavailable
from fastchat.handlers.whereabouts import Bus
from fastchat.interfaces import ConnectionInfo, Sessions

PATIENCE = 2.0  # seconds; a worker that has not answered by then is left out

log = logging.getLogger(__name__)


class AllSessions:
    """The sessions of all workers; see ``interfaces.Sessions``."""

    def __init__(self, local: Sessions, bus: Bus, *, patience: float = PATIENCE) -> None:
        """Take the sessions of this worker, the way to the others, and seconds."""
        self._local = local
        self._bus = bus
        self._patience = patience
        self._tickets = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Reply]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def connections(self, user_id: str) -> list[ConnectionInfo]:
        """Return the connections of a user, the oldest first."""
        found = await self._local.connections(user_id)
        for reply in await self._ask("connections", user_id):
            found += [ConnectionInfo(*each) for each in reply.connections]
        return sorted(found, key=lambda one: one.opened_at)

    async def disconnect(self, user_id: str, client_id: str | None = None) -> int:
        """Close the connections of a user, or one of them; return how many that were."""
        closed = await self._local.disconnect(user_id, client_id)
        replies = await self._ask("disconnect", user_id, client_id)
        return closed + sum(reply.closed for reply in replies)

    async def end_token(self, jti: str) -> int:
        """End the sessions that began with a token; return how many that were."""
        closed = await self._local.end_token(jti)
        return closed + sum(reply.closed for reply in await self._ask("end_token", jti))

    async def refresh_profile(self, user_id: str) -> None:
        """Forget what is known of a user, and read it again where he has a session.

        Raises:
            ServiceUnavailable: it could not be read here; it is forgotten all the same.
        """
        await asyncio.gather(
            self._ask("refresh_profile", user_id), self._local.refresh_profile(user_id)
        )

    def on_question(self, peer: str, question: Question) -> None:
        """Another worker asks."""
        task = asyncio.get_running_loop().create_task(self._answer(peer, question))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def on_reply(self, peer: str, reply: Reply) -> None:
        """Another worker answers."""
        future = self._asked.get(reply.ticket)
        if future is not None and not future.done():
            future.set_result(reply)

    async def stop(self) -> None:
        """End what others wait for."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask(self, kind: str, subject: str, client_id: str | None = None) -> list[Reply]:
        loop = asyncio.get_running_loop()
        tickets = []
        for peer in self._bus.peers:
            ticket = next(self._tickets)
            tickets.append(ticket)
            self._asked[ticket] = loop.create_future()
            self._bus.post(peer, Question(ticket, kind, subject, client_id))
        futures = [self._asked[ticket] for ticket in tickets]
        try:
            if futures:
                await asyncio.wait(futures, timeout=self._patience)
        finally:
            for ticket in tickets:
                del self._asked[ticket]
        replies = [future.result() for future in futures if future.done()]
        if len(replies) < len(futures):
            log.warning(
                "workers did not answer the main backend",
                extra={"question": kind, "workers": len(futures) - len(replies)},
            )
        return replies

    async def _answer(self, peer: str, question: Question) -> None:
        closed = 0
        found: list[ConnectionInfo] = []
        if question.kind == "connections":
            found = await self._local.connections(question.subject)
        elif question.kind == "disconnect":
            closed = await self._local.disconnect(question.subject, question.client_id)
        elif question.kind == "end_token":
            closed = await self._local.end_token(question.subject)
        elif question.kind == "refresh_profile":
            try:
                await self._local.refresh_profile(question.subject)
            except ServiceUnavailable:
                log.warning("a profile was forgotten but could not be read again")
        self._bus.post(peer, Reply(question.ticket, closed, [*map(_plain, found)]))


def _plain(one: ConnectionInfo) -> tuple[str, str, int, float, float]:
    return one.client_id, one.remote_ip, one.worker, one.opened_at, one.expires_at
