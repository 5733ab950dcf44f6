"""Tells the members of a room of what happens in it, in the order of the calls. Hot path.

A conversation has two members, for ever. Those of a group are read from memory, as of the
``group_rev`` that the change came with; where memory is older, the events of this group wait until
the list has been read again, and later ones behind them. What nobody may miss goes by way of
``offline``, which stores it for those who are not here. Where there are several workers, ``relay``
tells the others, and ``order`` keeps events of a room in their order whoever tells them.
"""

import asyncio
from collections import deque
from collections.abc import Collection
from functools import partial
from typing import NamedTuple

from fastchat.broker.messages import EventKind
from fastchat.errors import ServiceUnavailable
from fastchat.handlers.asked import Asked
from fastchat.handlers.drain import Change
from fastchat.handlers.offline import OfflineEvents
from fastchat.handlers.ordering import RoomOrder
from fastchat.handlers.recent import RecentPages
from fastchat.handlers.relay import Relay
from fastchat.hub.sessions import Hub
from fastchat.interfaces import Connection, Session
from fastchat.store.memberships import Memberships
from fastchat.store.rooms import AnyRoom, Group, Room

MESSAGE = EventKind.MESSAGE
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
        self._time = asyncio.get_running_loop().time
        self._relay: Relay | None = None
        self._order: RoomOrder | None = None
        self._held: dict[int, deque[_RoomEvent]] = {}  # by room; a task reads its members
        self._tasks: set[asyncio.Task[None]] = set()

    def connect(self, relay: Relay, order: RoomOrder) -> None:
        """Tell other workers too, and keep the order of what all of them tell."""
        self._relay = relay
        self._order = order

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
        rev: int = 0,
        group_rev: int = 0,
        kind: EventKind = EventKind.CHANGE,
        others: Collection[str] = (),
        only: Collection[str] | None = None,
        without: str | None = None,
    ) -> int:
        """Send one event to every connection of a room's members.

        Args:
            room: Where it happened.
            payload: The event, encoded.
            skip: A connection that knows already.
            rev: The ``rev`` of the room that it is; 0: it has no place in their order.
            group_rev: That of the room when it happened; of groups only.
            kind: What it is in that order.
            others: Who is to know although he is no member any more.
            only: The members of a group who are to know; None: all.
            without: A member who is not to know.

        Returns:
            For how many connections it was queued by now.
        """
        event = _RoomEvent(room.room_id, payload, skip, rev, group_rev, kind, others, only, without)
        return self._publish(room, event)

    def publish_message(self, room: Room, payload: bytes, skip: Connection | None, rev: int) -> int:
        """Send a new message of a conversation; see ``publish``, whose detours it needs not."""
        room_id, receivers = room.room_id, (room.user1_id, room.user2_id)
        self._recent.forget(room_id)
        relay, order = self._relay, self._order
        if relay is None or order is None:
            return self._hub.publish(receivers, payload, skip)
        relay.tell(receivers, room_id, rev, 0, MESSAGE, payload)
        count = order.steps.publish(room_id, rev, receivers, payload, skip, self._time())
        if count >= 0:
            return count
        deliver = partial(self._hub.publish, receivers, payload, skip)
        found = order.offer(room_id, rev, receivers, deliver, MESSAGE)
        return found if isinstance(found, int) else 0

    async def publish_change(
        self,
        room: AnyRoom,
        payload: bytes,
        skip: Connection | None = None,
        *,
        rev: int,
        group_rev: int = 0,
        others: Collection[str] = (),
    ) -> None:
        """Send one event that nobody may miss, and return when those who are not here will get it.

        To be awaited at once: it is sent before the first wait. See ``publish``.

        Raises:
            ServiceUnavailable: it is not stored for those who are not here.
        """
        told = asyncio.get_running_loop().create_future()
        event = _RoomEvent(room.room_id, payload, skip, rev, group_rev, others=others, told=told)
        self._publish(room, event)
        await told

    def publish_own(self, room: AnyRoom, session: Session, payload: bytes) -> int:
        """Send what only a user himself sees of a room to his other connections."""
        self._recent.forget(room.room_id)
        receivers = (session.user_id,)
        if self._relay is not None:
            self._relay.tell_live(receivers, payload, room_id=room.room_id)
        return self._hub.publish(receivers, payload, session.connection)

    def publish_ephemeral(self, user_ids: Collection[str], payload: bytes) -> None:
        """Send what is soon old news to some users."""
        if self._relay is not None:
            self._relay.tell_live(user_ids, payload, is_ephemeral=True)
        self._hub.publish(user_ids, payload, ephemeral=True)

    def touch(self, room: AnyRoom) -> None:
        """Take note that something may have changed in a room although nobody is told."""
        self._recent.forget(room.room_id)
        if self._relay is not None:
            self._relay.forget(room.room_id, room.conversation_id if room.is_group else None)

    async def drain(self, timeout: float) -> None:
        """Wait until what is held now has been sent."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout)

    async def stop(self) -> None:
        """Drop what is held."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _publish(self, room: AnyRoom, event: "_RoomEvent") -> int:
        self._recent.forget(room.room_id)
        if not isinstance(room, Group):
            return self._send((room.user1_id, room.user2_id), event)
        members = self._members_for(room, event)
        return 0 if members is None else self._send(members, event)

    def _members_for(self, room: Group, event: "_RoomEvent") -> Collection[str] | None:
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

    def _send(self, members: Collection[str], event: "_RoomEvent") -> int:
        """Send an event to the other workers at once, and here in the order of its room."""
        receivers = event.receivers(members)
        relay, order = self._relay, self._order
        if relay is None or order is None:
            return self._deliver(receivers, event, None)
        asked = None
        if event.told is None:
            relay.tell(
                receivers, event.room_id, event.rev, event.group_rev, event.kind, event.payload
            )
        else:
            change = Change(event.room_id, event.payload)
            asked = relay.ask(receivers, change, rev=event.rev, group_rev=event.group_rev)
        deliver = partial(self._deliver, receivers, event, asked)
        count = order.offer(event.room_id, event.rev, receivers, deliver, event.kind)
        return count if isinstance(count, int) else 0

    def _deliver(self, receivers: Collection[str], event: "_RoomEvent", asked: Asked | None) -> int:
        told = event.told
        if told is None:
            return self._hub.publish(receivers, event.payload, event.skip)
        change = Change(event.room_id, event.payload)
        try:
            stored = self._offline.publish(receivers, change, event.skip, asked)
        except ServiceUnavailable as error:
            _tell(told, error)
        else:
            if stored is None:
                _tell(told, None)
            else:
                stored.add_done_callback(partial(_pass_on, told))
        return 0


class _RoomEvent(NamedTuple):
    """An event and whom it concerns; see ``Delivery.publish``."""

    room_id: int
    payload: bytes
    skip: Connection | None
    rev: int
    group_rev: int
    kind: EventKind = EventKind.CHANGE
    others: Collection[str] = ()
    only: Collection[str] | None = None
    without: str | None = None
    told: "asyncio.Future[None] | None" = None  # of those nobody may miss: who waits for that

    def receivers(self, members: Collection[str]) -> Collection[str]:
        """Return who is to know, given who is a member."""
        if self.only is not None:
            members = [user_id for user_id in members if user_id in self.only]
        if self.others:
            members = {*members, *self.others}
        if self.without is not None:
            members = [user_id for user_id in members if user_id != self.without]
        return members


def _pass_on(told: "asyncio.Future[None]", stored: "asyncio.Future[None]") -> None:
    if stored.cancelled():
        told.cancel()
    else:
        _tell(told, stored.exception())


def _tell(future: "asyncio.Future[None]", error: BaseException | None) -> None:
    if future.done():
        return  # nobody waits any more
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
