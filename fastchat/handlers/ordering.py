"""Keeps what happens in a room in its order when several workers tell of it. Hot path.

Each change of a room has the next ``rev``. An event is held back until its predecessor has been
told. Which is missing, the database knows: a gap in what this worker was told may be older than the
sessions it has, and then nobody waits for it. What does not come within ``patience`` is read.
"""

import asyncio
import itertools
import logging
import math
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple, Protocol

from fastchat._speedups import RoomStep, RoomSteps
from fastchat.broker.messages import EventKind
from fastchat.errors import ServiceUnavailable
from fastchat.interfaces import Connection
from fastchat.store.missed import PAGE, Gap, MissedMessage

MOST_ROOMS = 100_000
GRACE = 0.01  # seconds until the database is asked what is missing
LONG_GRACE = 0.25  # the same, where what is missing must be on its way
PATIENCE = 1.0  # seconds that an event waits for a predecessor that is on its way
AGE = 10.0  # seconds; what is older was told, unless it is known that something was lost
MARGIN = 1.5  # seconds; what was being stored when somebody came is told rather than missed
RESOLUTION = 0.001  # seconds by which a timer may be early
PAUSE = 0.2  # seconds until a database that did not answer is asked again

MESSAGE, MENTION = EventKind.MESSAGE, EventKind.MENTION

log = logging.getLogger(__name__)

Deliver = Callable[[], object]
Publish = Callable[[Iterable[str], bytes, Connection | None], int]
PresentFor = Callable[[Iterable[str]], float]
Tell = Callable[[int, list[MissedMessage]], Awaitable[object]]


class MissedReader(Protocol):
    """Reads what is missing; see ``store.missed.Missed``."""

    async def first(self, room_id: int, after: int, before: int, age: float) -> Gap:
        """Return what of a range of ``rev`` is recent."""

    async def messages(self, room_id: int, from_seq: int, before: int) -> list[MissedMessage]:
        """Return messages of a room."""


class _Held(NamedTuple):
    """An event that waits; see ``RoomOrder.offer``."""

    deliver: Deliver
    user_ids: Iterable[str]
    kind: EventKind


class _Room(RoomStep):
    """Halted while it is found out what is missing; times are of the loop's clock."""

    __slots__ = ("changed", "due", "since", "timer", "wanted")

    held: dict[int, list["_Held"]]

    def __init__(self) -> None:
        super().__init__()
        self.wanted = 0  # everything up to here is to be told, by reading if need be
        # Only what was stored after this moment may be missing. No age: the database may be away
        # for long before it can be asked.
        self.since = math.inf
        self.due = 0.0  # when it is looked at because something is held; 0.0: it is not
        self.timer: asyncio.TimerHandle | None = None
        self.changed: asyncio.Event | None = None  # set when something comes while it is awaited


class RoomOrder:
    """Delivers the events of each room in the order of ``rev``.

    Attributes:
        steps: Tells the events whose turn it is; others are for ``offer``.
        held: Events that wait for their predecessor.
        recovered: Messages that had to be read.
    """

    def __init__(
        self,
        publish: Publish,
        missed: MissedReader,
        tell: Tell,
        present_for: PresentFor,
        *,
        grace: float = GRACE,
        long_grace: float = LONG_GRACE,
        patience: float = PATIENCE,
        most_rooms: int = MOST_ROOMS,
    ) -> None:
        """Take what tells, what reads, what tells of messages that were read, and bounds.

        Args:
            publish: Tells an event to users who are here.
            missed: Reads what is missing.
            tell: ``tell(room_id, messages)``; returns when it is done.
            present_for: For how many seconds the first of some users has been here.
            grace: Seconds until the database is asked what is missing.
            long_grace: The same where somebody concerned has been here since the last event of the
                room was told: he is told all, so what is missing is on its way or lost. Where
                nobody has, seconds until what was stored shortly before they came is read.
            patience: Seconds until something else that does not come is read.
            most_rooms: How many are remembered.
        """
        self._missed = missed
        self._tell = tell
        self._grace = grace
        self._long_grace = long_grace
        self._patience = patience
        self._present_for = present_for
        self._most_rooms = most_rooms
        self._loop = asyncio.get_running_loop()
        self._rooms: OrderedDict[int, _Room] = OrderedDict()
        self.steps = RoomSteps(self._rooms, publish, self._follow)
        self._tasks: set[asyncio.Task[None]] = set()
        # Most of what is held has its turn at once, so a room is looked at only a while later, and
        # one timer does for all.
        self._watched: deque[tuple[float, int, _Room]] = deque()  # by ``due``
        self._watcher: asyncio.TimerHandle | None = None
        self.held = 0
        self.recovered = 0

    def __len__(self) -> int:
        return len(self._rooms)

    def _follow(self, room: "_Room") -> None:
        """Tell of what was held until now."""
        self._release(room)
        if not room.held:
            self._calm(room)

    def offer(
        self,
        room_id: int,
        rev: int,
        user_ids: Iterable[str],
        deliver: Deliver,
        kind: EventKind,
    ) -> object:
        """Deliver an event now, or when all before it in its room have been.

        Args:
            room_id: Where it happened.
            rev: Its place; 0: it has none.
            user_ids: Whom it concerns.
            deliver: Tells of it.
            kind: A message that was told already when it was read is not told again.

        Returns:
            What ``deliver`` returned, if it was called by now.
        """
        if not rev:
            return deliver()
        room = self._rooms.get(room_id)
        if room is None:
            room = self._remember(room_id)
            if rev == 1 and kind is not MENTION:
                room.last = 0
        else:
            self._rooms.move_to_end(room_id)
        if kind is not MENTION:
            advanced = self.steps.advance(room_id, rev, 1, self._loop.time())
            if advanced is not None:
                result = deliver()
                if room.held:
                    self._follow(room)
                return result
        if room.last is not None and rev <= room.last:
            # It belongs to one of these, or is late: better than never.
            return None if kind is MESSAGE else deliver()
        self._hold(room_id, room, rev, _Held(deliver, user_ids, kind))
        return None

    def _hold(self, room_id: int, room: "_Room", rev: int, event: _Held) -> None:
        is_first = not room.held
        held = room.held.setdefault(rev, [])
        if held and event.kind is MESSAGE and any(other.kind is MESSAGE for other in held):
            return
        held.append(event)
        self.held += 1
        if room.changed is not None:
            room.changed.set()
        if room.is_halted:
            return
        if room.last is None:
            self._resolve(room_id, room)
        elif is_first:
            self._watch(room_id, room)

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
        room.since = min(room.since, self._loop.time() - age)
        if room.changed is not None:
            room.changed.set()
        self._resolve(room_id, room)

    async def drain(self, timeout: float) -> None:
        """Wait until what is held now has been told."""
        for room_id, room in self._rooms.items():
            if room.held:
                self._resolve(room_id, room)
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout)

    async def stop(self) -> None:
        """Drop what is held."""
        if self._watcher is not None:
            self._watcher.cancel()
        self._watched.clear()
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
        room.due = 0.0
        if room.timer is not None:
            room.timer.cancel()
            room.timer = None

    def _watch(self, room_id: int, room: _Room) -> None:
        """Look after a while whether something is still held."""
        room.due = due = self._loop.time() + self._grace
        self._watched.append((due, room_id, room))
        if self._watcher is None:
            self._watcher = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        """Look at the rooms whose time has come."""
        self._watcher = None
        watched, now = self._watched, self._loop.time() + RESOLUTION
        while watched and watched[0][0] <= now:
            due, room_id, room = watched.popleft()
            # Another time means that it was told everything meanwhile.
            if room.due == due and room.held and not (room.timer or room.is_halted):
                self._wait(room_id, room)
        if watched:
            self._watcher = self._loop.call_at(watched[0][0], self._look)

    def _wait(self, room_id: int, room: _Room) -> None:
        """Find out what is missing before the first event that is held, or wait on for it."""
        user_ids = _users_of(room)
        self._look_back(room, user_ids)
        wait = (self._long_grace if self._was_here(room, user_ids) else self._grace) - self._grace
        if wait > 0.0:
            room.timer = self._loop.call_later(wait, self._resolve, room_id, room)
        else:
            self._resolve(room_id, room)

    def _was_here(self, room: _Room, user_ids: Iterable[str]) -> bool:
        """Whether one of some users has been here since the last event was told."""
        return self._loop.time() - self._present_for(user_ids) < room.told_at

    def _look_back(self, room: _Room, user_ids: Iterable[str]) -> None:
        """Take note since when some users have been here."""
        age = min(AGE, self._present_for(user_ids) + MARGIN)
        room.since = min(room.since, self._loop.time() - age)

    def _remember(self, room_id: int) -> _Room:
        room = self._rooms[room_id] = _Room()
        while len(self._rooms) > self._most_rooms:
            oldest = next(iter(self._rooms))
            if self._rooms[oldest].held or self._rooms[oldest].is_halted:
                self._rooms.move_to_end(oldest)
                break
            del self._rooms[oldest]
        return room

    def _resolve(self, room_id: int, room: _Room) -> None:
        if room.timer is not None:
            room.timer.cancel()
            room.timer = None
        if room.is_halted or not (room.held or room.wanted):
            return
        room.is_halted = True
        task = self._loop.create_task(self._work_off(room_id, room))
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
            room.is_halted = False
            room.wanted, room.since = 0, math.inf

    async def _close_gap(self, room_id: int, room: _Room) -> None:
        """Tell of what is missing before the first event that is held, and of that event."""
        is_wanted = room.wanted > (room.last or 0)
        after = -1 if room.last is None else room.last
        steps = [rev for rev, held in room.held.items() if _is_step(held)]
        before = min(steps, default=max((room.wanted, *room.held)) + 1)
        patience = self._patience
        if room.held:
            user_ids = _users_of(room)
            self._look_back(room, user_ids)
            if not self._was_here(room, user_ids):
                # What was before them was sent to nobody here.
                patience = self._long_grace
        gap = await self._missed.first(room_id, after, before, self._loop.time() - room.since)
        if gap.first_rev is not None:
            # What is older than that concerns nobody who is here.
            self._skip(room, gap.first_rev - 1)
            if not is_wanted and await self._has_come(room, before, patience):
                return
            await self._read(room_id, room, gap, before)
        self._skip(room, before - 1)
        self._release(room)

    async def _has_come(self, room: _Room, before: int, patience: float) -> bool:
        """Wait for a while until all that is missing has come."""
        give_up = self._loop.time() + patience
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
        """Drop what has come meanwhile and is held; what else has its place is told behind it."""
        self.recovered += len(messages)
        for message in messages:
            held = room.held.pop(message.stored_rev, None)
            if held is not None:
                others = [one for one in held if one.kind is not MESSAGE]
                self.held -= len(held) - len(others)
                if others:
                    room.held[message.stored_rev] = others
        return messages

    def _skip(self, room: _Room, rev: int) -> None:
        if room.last is None or rev > room.last:
            room.last = rev

    def _release(self, room: _Room) -> None:
        """Tell of what is held and has its predecessors."""
        if room.last is None:
            return
        held = room.held
        while held and (rev := min(held)) <= room.last:
            self._deliver(held.pop(rev), is_told=True)
        while (found := held.get(room.last + 1)) is not None and _is_step(found):
            room.last += 1
            self._deliver(held.pop(room.last), is_told=False)

    def _deliver(self, held: list[_Held], *, is_told: bool) -> None:
        self.held -= len(held)
        for one in sorted(held, key=_is_mention) if len(held) > 1 else held:
            if not (is_told and one.kind is MESSAGE):
                one.deliver()


def _users_of(room: _Room) -> set[str]:
    """Return whom the events that are held concern."""
    # Events of one frame have their users in common.
    waiting = {id(one.user_ids): one.user_ids for held in room.held.values() for one in held}
    return set(itertools.chain.from_iterable(waiting.values()))


def _is_mention(event: _Held) -> bool:
    return event.kind is MENTION


def _is_step(held: list[_Held]) -> bool:
    return not all(map(_is_mention, held))
