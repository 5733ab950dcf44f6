"""Who is told who is online.

Changes are gathered for a moment: of somebody who comes and goes within it only the last is told,
and a crowd that comes at once costs each connection that takes batches one frame, the others one
write. After one telling the next is at least as long in coming, so nobody gets two frames in a
moment, and longer where telling is much work: a crowd before a crowd may not keep the worker from
its messages.

Source: docs/protocol.md, "Presence".
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from fastchat.errors import ServiceUnavailable
from fastchat.hub.audience import Audience
from fastchat.interfaces import User
from fastchat.protocol.events import (
    describe_presence,
    encode_presence_changes,
    encode_user_offline,
    encode_user_online,
)
from fastchat.store.contacts import Contacts

GATHERING = 0.1  # seconds
TICK = 0.001  # seconds that a timer may be early
RESTS = 4  # times as long as a telling took
# Bytes of users in one frame. What does not fit goes with the next telling: 2500 connections take
# some 40 ms of one (loadtests/storm.py), and everything else waits meanwhile.
FRAME_SIZE = 16 * 1024


class Change(NamedTuple):
    """A user who came or went."""

    user: User
    is_online: bool
    described: bytes  # the user as in events


class Announcer:
    """Tells those who are here that users came online or went offline."""

    def __init__(
        self,
        audience: Audience,
        contacts: Contacts,
        scope: str,
        *,
        gathering: float = GATHERING,
        frame_size: int = FRAME_SIZE,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Take who is here, who knows whom, ``PRESENCE_SCOPE``, and the bounds of a telling."""
        self._audience = audience
        self._contacts = contacts
        self._scope = scope
        self._pause = gathering + TICK
        self._frame_size = frame_size
        self._clock = clock
        self._wall_clock = wall_clock
        self._loop = asyncio.get_running_loop()
        self._changes: dict[str, Change] = {}  # by user, the oldest first
        self._telling: dict[str, Change] = {}  # those whose contacts are being looked up
        self._began = 0.0  # the publishing of the last telling
        self._timer: asyncio.Handle | None = None  # of the next telling, or of the end of one
        self._task: asyncio.Task[None] | None = None

    def announce(self, user: User, is_online: bool) -> None:
        """Tell of one change, soon."""
        if self._scope == "none":
            return
        # The later one is told though all may be as before: who asked for the list of users online
        # in between knows otherwise.
        self._telling.pop(user.user_id, None)
        self._changes[user.user_id] = Change(user, is_online, describe_presence(user))
        if self._timer is None and self._task is None:
            self._timer = self._loop.call_later(self._pause, self._tell)

    async def stop(self) -> None:
        """End what is under way."""
        self._scope = "none"
        self._changes.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _tell(self) -> None:
        self._timer = None
        changes = self._take()
        if not changes:
            return
        if self._scope == "contacts":
            self._telling = changes
            self._task = self._loop.create_task(self._tell_contacts(list(changes)))
            self._task.add_done_callback(self._told)
        else:
            self._tell_all(list(changes.values()))
            self._rest_later()

    def _rest_later(self) -> None:
        # Behind the turn's writing to the sockets, which is most of the work.
        self._timer = self._loop.call_soon(self._rest)

    def _rest(self) -> None:
        pause = max(self._pause, RESTS * (self._clock() - self._began))
        self._timer = self._loop.call_later(pause, self._tell)

    def _take(self) -> dict[str, Change]:
        """Take what fits into one frame, and at least one change."""
        taken: dict[str, Change] = {}
        size = 0
        for user_id, change in self._changes.items():
            size += len(change.described) + 1
            if taken and size > self._frame_size:
                break
            taken[user_id] = change
        for user_id in taken:
            del self._changes[user_id]
        return taken

    def _tell_all(self, changes: Sequence[Change]) -> None:
        """Tell everybody; in single events not the user himself."""
        self._began = self._clock()
        now = self._wall_clock()
        if len(self._audience.in_batches):
            self._audience.in_batches.publish_all(_encode_batch(changes, now), ephemeral=True)
        singly = self._audience.singly
        if not len(singly):
            return
        for change in changes:
            user_id, payload = change.user.user_id, _encode_single(change, now)
            own = singly.connections(user_id)
            if len(own) > 1:
                others = [other for other in singly.users() if other != user_id]
                singly.publish(others, payload, ephemeral=True)
            else:
                singly.publish_all(payload, own[0] if own else None, ephemeral=True)

    async def _tell_contacts(self, user_ids: Sequence[str]) -> None:
        contacts = await asyncio.gather(*(self._contacts_of(user_id) for user_id in user_ids))
        self._began = self._clock()
        changes, self._telling = self._telling, {}
        now = self._wall_clock()
        told: dict[str, list[Change]] = {}
        for user_id, known in zip(user_ids, contacts, strict=True):
            change = changes.get(user_id)
            if change is None:
                continue  # another one has overtaken it meanwhile
            if len(self._audience.singly):
                self._audience.singly.publish(known, _encode_single(change, now), ephemeral=True)
            if len(self._audience.in_batches):
                for other in known:
                    if other in self._audience.in_batches:
                        told.setdefault(other, []).append(change)
        for batch, others in _group(told):
            self._audience.in_batches.publish(others, _encode_batch(batch, now), ephemeral=True)

    async def _contacts_of(self, user_id: str) -> Iterable[str]:
        """Return who is to be told; nobody where the database does not answer."""
        try:
            return await self._contacts.contacts_of(user_id)
        except ServiceUnavailable:
            return ()

    def _told(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if task.cancelled():
            return
        if task.exception() is not None:
            self._telling = {}
            self._began = self._clock()
        self._rest_later()
        task.result()


def _group(told: dict[str, list[Change]]) -> Iterable[tuple[list[Change], list[str]]]:
    """Return the batches that differ, each with its receivers: most often there is one change."""
    found: dict[tuple[int, ...], tuple[list[Change], list[str]]] = {}
    for user_id, changes in told.items():
        key = tuple(map(id, changes))
        found.setdefault(key, (changes, []))[1].append(user_id)
    return found.values()


def _encode_single(change: Change, now: float) -> bytes:
    encode = encode_user_online if change.is_online else encode_user_offline
    return encode(change.user, now)


def _encode_batch(changes: Sequence[Change], now: float) -> bytes:
    online = [change.described for change in changes if change.is_online]
    offline = [change.described for change in changes if not change.is_online]
    return encode_presence_changes(online, offline, now)
