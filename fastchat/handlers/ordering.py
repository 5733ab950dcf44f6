"""Keeps what happens in a room in its order when several workers tell of it. Hot path.

Each change of a room has the next ``rev``. An event is held back until its predecessor has been
told. Which is missing, the database knows: a gap in what this worker was told may be older than the
sessions it has, and then nobody waits for it. What does not come within ``patience`` is read.
"""

import asyncio
import logging
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from fastchat.errors import ServiceUnavailable
from fastchat.store.missed import PAGE, Gap, MissedMessage

MOST_ROOMS = 100_000
GRACE = 0.01  # seconds until the database is asked what is missing; mostly it is on its way
PATIENCE = 1.0  # seconds that an event waits for its predecessor
AGE = 10.0  # seconds; what is older was told, unless it is known that something was lost
MARGIN = 0.5  # seconds; what happened shortly before somebody came is told rather than missed
PAUSE = 0.2  # seconds until a database that did not answer is asked again

log = logging.getLogger(__name__)

Deliver = Callable[[], object]
PresentFor = Callable[[Iterable[str]], float]
Tell = Callable[[int, list[MissedMessage]], Awaitable[object]]


class MissedReader(Protocol):
    """Reads what is missing; see ``store.missed.Missed``."""

    async def first(self, room_id: int, after: int, before: int, age: float) -> Gap:
        """Return what of a range of ``rev`` is recent."""

    async def messages(self, room_id: int, from_seq: int, before: int) -> list[MissedMessage]:
        """Return messages of a room."""


class _Room:
    """``last``: the newest ``rev`` that was told, or below the first; None: nothing is known."""

    __slots__ = ("changed", "held", "is_resolving", "last", "since", "timer", "wanted")

    def __init__(self) -> None:
        self.last: int | None = None
        self.held: dict[int, list[tuple[Deliver, bool]]] = {}
        self.wanted = 0  # everything up to here is to be told, by reading if need be
        # Only what was stored after this moment of the loop's clock may be missing. No age: the
        # database may be away for long before it can be asked.
        self.since = math.inf
        self.is_resolving = False
        self.timer: asyncio.TimerHandle | None = None
        self.changed: asyncio.Event | None = None  # set when something comes while it is awaited


class RoomOrder:
    """Delivers the events of each room in the order of ``rev``.

    Attributes:
        held: Events that wait for their predecessor.
        recovered: Messages that had to be read.
    """

    def __init__(
        self,
        missed: MissedReader,
        tell: Tell,
        present_for: PresentFor,
        *,
        grace: float = GRACE,
        patience: float = PATIENCE,
        most_rooms: int = MOST_ROOMS,
    ) -> None:
        """Take what reads, what tells those who are here of messages that were read, and bounds.

        Args:
            missed: Reads what is missing.
            tell: ``tell(room_id, messages)``; returns when it is done.
            present_for: For how many seconds the first of some users has been here.
            grace: Seconds until the database is asked what is missing.
            patience: Seconds until something that does not come is read.
            most_rooms: How many are remembered.
        """
        self._missed = missed
        self._tell = tell
        self._grace = grace
        self._patience = patience
        self._present_for = present_for
        self._most_rooms = most_rooms
        self._rooms: OrderedDict[int, _Room] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self.held = 0
        self.recovered = 0

    def __len__(self) -> int:
        return len(self._rooms)

    def offer(
        self,
        room_id: int,
        rev: int,
        user_ids: Iterable[str],
        deliver: Deliver,
        *,
        is_message: bool,
    ) -> object:
        """Deliver an event now, or when all before it in its room have been.

        Args:
            room_id: Where it happened.
            rev: Its place; 0: it has none.
            user_ids: Whom it concerns.
            deliver: Tells of it.
            is_message: What was told already when it was read is not told again.

        Returns:
            What ``deliver`` returned, if it was called by now.
        """
        if not rev:
            return deliver()
        room = self._rooms.get(room_id)
        if room is None:
            room = self._remember(room_id)
            if rev == 1:
                room.last = 0
        else:
            self._rooms.move_to_end(room_id)
        last = room.last
        if last is not None and rev <= last:
            if not is_message:
                return deliver()  # it belongs to one of these, or is late: better than never
        elif last is not None and rev == last + 1 and not room.is_resolving:
            room.last = rev
            result = deliver()
            if room.held:
                self._release(room)
                if not room.held:
                    self._calm(room)
            return result
        else:
            held = room.held.setdefault(rev, [])
            if is_message and any(is_other_message for _, is_other_message in held):
                return None
            held.append((deliver, is_message))
            self.held += 1
            self._look_back(room, min(AGE, self._present_for(user_ids) + MARGIN))
            if room.changed is not None:
                room.changed.set()
            if last is None:
                self._resolve(room_id, room)
            elif room.timer is None and not room.is_resolving:
                loop = asyncio.get_running_loop()
                room.timer = loop.call_later(self._grace, self._resolve, room_id, room)
        return None

    def last(self, room_id: int) -> int | None:
        """Return the newest ``rev`` that was told of in a room; None: not known."""
        room = self._rooms.get(room_id)
        return None if room is None else room.last

    def catch_up(self, room_id: int, rev: int, age: float) -> None:
        """Tell of all up to ``rev`` of the last ``age`` seconds that was not told here."""
        room = self._rooms.get(room_id)
        if room is None:
            room = self._remember(room_id)
        elif room.last is not None and room.last >= rev:
            return
        room.wanted = max(room.wanted, rev)
        self._look_back(room, age)
        if room.changed is not None:
            room.changed.set()
        self._resolve(room_id, room)

    async def drain(self, timeout: float) -> None:
        """Wait until what is held now has been told."""
        for room_id, room in self._rooms.items():
            if room.timer is not None:
                self._resolve(room_id, room)
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout)

    async def stop(self) -> None:
        """Drop what is held."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for room in self._rooms.values():
            self._calm(room)
            self.held -= sum(map(len, room.held.values()))
            room.held.clear()

    @staticmethod
    def _calm(room: _Room) -> None:
        """Take note that nothing is missing."""
        room.since = math.inf
        if room.timer is not None:
            room.timer.cancel()
            room.timer = None

    @staticmethod
    def _look_back(room: _Room, age: float) -> None:
        room.since = min(room.since, asyncio.get_running_loop().time() - age)

    def _remember(self, room_id: int) -> _Room:
        room = self._rooms[room_id] = _Room()
        while len(self._rooms) > self._most_rooms:
            oldest = next(iter(self._rooms))
            if self._rooms[oldest].held or self._rooms[oldest].is_resolving:
                self._rooms.move_to_end(oldest)
                break
            del self._rooms[oldest]
        return room

    def _resolve(self, room_id: int, room: _Room) -> None:
        if room.timer is not None:
            room.timer.cancel()
            room.timer = None
        if room.is_resolving or not (room.held or room.wanted):
            return
        room.is_resolving = True
        task = asyncio.get_running_loop().create_task(self._work_off(room_id, room))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work_off(self, room_id: int, room: _Room) -> None:
        """Close the gaps of a room until nothing is held or wanted any more."""
        try:
            while room.held or room.wanted > (room.last or 0):
                try:
                    await self._close_gap(room_id, room)
                except ServiceUnavailable:
                    await asyncio.sleep(PAUSE)
                except Exception:
                    log.exception("what was missed in a room could not be told")
                    await asyncio.sleep(PAUSE)
        finally:
            room.is_resolving = False
            room.wanted, room.since = 0, math.inf

    async def _close_gap(self, room_id: int, room: _Room) -> None:
        """Tell of what is missing before the first event that is held, and of that event."""
        is_wanted = room.wanted > (room.last or 0)
        after = -1 if room.last is None else room.last
        before = min(room.held) if room.held else room.wanted + 1
        age = asyncio.get_running_loop().time() - room.since
        gap = await self._missed.first(room_id, after, before, age)
        if gap.first_rev is not None:
            # What is older than that concerns nobody who is here.
            self._skip(room, gap.first_rev - 1)
            if not is_wanted and await self._has_come(room, before):
                return
            await self._read(room_id, room, gap, before)
        self._skip(room, before - 1)
        self._release(room)

    async def _has_come(self, room: _Room, before: int) -> bool:
        """Wait for a while until all that is missing has come."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._patience
        while not self._is_complete(room, before):
            room.changed = asyncio.Event()
            try:
                async with asyncio.timeout_at(give_up):
                    await room.changed.wait()
            except TimeoutError:
                return False
            finally:
                room.changed = None
            if room.wanted > (room.last or 0):
                return False
        self._release(room)
        return True

    def _is_complete(self, room: _Room, before: int) -> bool:
        """Tell what has come in its order, and whether nothing is missing below ``before``."""
        self._release(room)
        return room.last is not None and room.last + 1 >= before

    async def _read(self, room_id: int, room: _Room, gap: Gap, before: int) -> None:
        """Read what did not come, and tell of it."""
        seq = gap.seq
        while seq is not None:
            found = await self._missed.messages(room_id, seq, before)
            fresh = [one for one in found if one.stored_rev > (room.last or 0)]
            if fresh:
                await self._tell(room_id, self._between(room, fresh))
            if found:
                self._skip(room, found[-1].stored_rev)
            seq = found[-1].row.seq + 1 if len(found) == PAGE else None

    def _between(self, room: _Room, messages: list[MissedMessage]) -> list[MissedMessage]:
        """Leave out what has come meanwhile and is held: it is told from there."""
        self.recovered += len(messages)
        for message in messages:
            for _ in room.held.pop(message.stored_rev, ()):
                self.held -= 1
        return messages

    def _skip(self, room: _Room, rev: int) -> None:
        if room.last is None or rev > room.last:
            room.last = rev

    def _release(self, room: _Room) -> None:
        """Tell of what is held and has its predecessors."""
        while room.held:
            rev = min(room.held)
            if room.last is None or rev > room.last + 1:
                return
            is_told = rev <= room.last
            room.last = max(room.last, rev)
            for deliver, is_message in room.held.pop(rev):
                self.held -= 1
                if not (is_told and is_message):
                    deliver()
