"""Tells the members of a room of what happens in it, in the order of the calls. Hot path.

A conversation has two members, for ever. Those of a group are read from memory, as of the
``group_rev`` that the change came with; where memory is older, the events of this group wait until
the list has been read again, and later ones behind them. What nobody may miss goes by way of
``offline``, which stores it for those who are not here.
"""

import asyncio
from collections import deque
from collections.abc import Collection, Iterable
from typing import NamedTuple

from fastchat.errors import ServiceUnavailable
from fastchat.handlers.drain import Change
from fastchat.handlers.offline import OfflineEvents
from fastchat.handlers.recent import RecentPages
from fastchat.hub.sessions import Hub
from fastchat.interfaces import Connection, Session
from fastchat.store.memberships import Memberships
from fastchat.store.rooms import AnyRoom, Group

PAUSE = 0.2  # seconds until a list that could not be read is asked for again


class Delivery:
    """Hands events to the connections of those concerned."""

    def __init__(
        self, hub: Hub, memberships: Memberships, recent: RecentPages, offline: OfflineEvents
    ) -> None:
        """Take who is here and who is not, who is in which group, and pages now out of date."""
        self._hub = hub
        self._offline = offline
        self._recent = recent
        self._memberships = memberships
        self._held: dict[int, deque[_GroupEvent]] = {}  # by room; a task reads its members
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def held(self) -> int:
        """Events that wait until the members of their group are known."""
        return sum(map(len, self._held.values()))

    def publish(
        self,
        room: AnyRoom,
        payload: bytes,
        skip: Connection | None = None,
        *,
        group_rev: int = 0,
        others: Collection[str] = (),
        only: Collection[str] | None = None,
        without: str | None = None,
    ) -> int:
        """Send one event to every connection of a room's members.

        Args:
            room: Where it happened.
            payload: The event, encoded.
            skip: A connection that knows already.
            group_rev: That of the room when it happened; of groups only.
            others: Who is to know although he is no member any more.
            only: The members of a group who are to know; None: all.
            without: A member who is not to know.

        Returns:
            For how many connections it was queued by now.
        """
        self._recent.forget(room.room_id)
        if not isinstance(room, Group):
            return self._hub.publish((room.user1_id, room.user2_id), payload, skip)
        event = _GroupEvent(payload, skip, group_rev, others, only, without)
        members = self._members_for(room, event)
        if members is None:
            return 0
        return self._hub.publish(event.receivers(members), payload, skip)

    async def publish_change(
        self,
        room: AnyRoom,
        payload: bytes,
        skip: Connection | None = None,
        *,
        group_rev: int = 0,
        others: Collection[str] = (),
    ) -> None:
        """Send one event that nobody may miss, and return when those who are not here will get it.

        To be awaited at once: it is sent before the first wait. See ``publish``.

        Raises:
            ServiceUnavailable: it is not stored for those who are not here.
        """
        self._recent.forget(room.room_id)
        change = Change(room.room_id, payload)
        if isinstance(room, Group):
            told = asyncio.get_running_loop().create_future()
            event = _GroupEvent(payload, skip, group_rev, others, change=change, told=told)
            members = self._members_for(room, event)
            if members is None:
                await told
                return
            receivers = event.receivers(members)
        else:
            receivers = (room.user1_id, room.user2_id)
        stored = self._offline.publish(receivers, change, skip)
        if stored is not None:
            await stored

    def publish_own(self, room: AnyRoom, session: Session, payload: bytes) -> int:
        """Send what only a user himself sees of a room to his other connections."""
        self._recent.forget(room.room_id)
        return self._hub.publish((session.user_id,), payload, session.connection)

    def touch(self, room: AnyRoom) -> None:
        """Take note that something may have changed in a room although nobody is told."""
        self._recent.forget(room.room_id)

    async def drain(self, timeout: float) -> None:
        """Wait until what is held now has been sent."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout)

    async def stop(self) -> None:
        """Drop what is held."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _members_for(self, room: Group, event: "_GroupEvent") -> Collection[str] | None:
        """Return the members of a group; None: the event is held until they are known."""
        held = self._held.get(room.room_id)
        if held is not None:
            held.append(event)
            return None
        members = self._memberships.peek(room.room_id, event.group_rev)
        if members is None:
            # What is older must not be read by anybody meanwhile.
            self._memberships.forget(room.room_id)
            self._held[room.room_id] = deque((event,))
            task = asyncio.get_running_loop().create_task(self._work_off(room.room_id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return members

    async def _work_off(self, room_id: int) -> None:
        """Read the members and send what waits for them, as long as anything does."""
        held = self._held[room_id]
        while held:
            try:
                found = await self._memberships.fetch_list(room_id)
            except ServiceUnavailable:
                # What happened is stored; whoever is connected still has to hear of it.
                await asyncio.sleep(PAUSE)
                continue
            # A list that was read before somebody went is not good for what came after that.
            while held and held[0].group_rev <= found.group_rev:
                self._send(found.user_ids, held.popleft())
        del self._held[room_id]

    def _send(self, members: Collection[str], event: "_GroupEvent") -> None:
        receivers = event.receivers(members)
        if event.change is None or event.told is None:
            self._hub.publish(receivers, event.payload, event.skip)
            return
        try:
            stored = self._offline.publish(receivers, event.change, event.skip)
        except ServiceUnavailable as error:
            _tell(event.told, error)
        else:
            if stored is None:
                _tell(event.told, None)
            else:
                told = event.told
                stored.add_done_callback(lambda stored: _tell(told, stored.exception()))


class _GroupEvent(NamedTuple):
    """An event and whom of a group it concerns."""

    payload: bytes
    skip: Connection | None
    group_rev: int
    others: Collection[str]
    only: Collection[str] | None = None
    without: str | None = None
    change: Change | None = None  # of those that nobody may miss, with who waits for that
    told: "asyncio.Future[None] | None" = None

    def receivers(self, members: Collection[str]) -> Iterable[str]:
        """Return who is to know, given who is a member."""
        if self.only is not None:
            members = [user_id for user_id in members if user_id in self.only]
        if self.others:
            members = {*members, *self.others}
        if self.without is not None:
            members = [user_id for user_id in members if user_id != self.without]
        return members


def _tell(future: "asyncio.Future[None]", error: BaseException | None) -> None:
    if future.done():
        return  # nobody waits any more
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
