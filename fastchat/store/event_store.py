"""Queued events of a user: claimed, read, marked as delivered, and cleared away in the end.

Whoever delivers claims the user first, so that two devices that log in at once, on whatever
workers, do not get the same events. Marking may be repeated.

Source: docs/protocol.md, "Offline events".
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from fastchat.store import event_statements as statements
from fastchat.store.cipher import Cipher, OwnRow, Undecryptable
from fastchat.store.event_memory import EventMemory
from fastchat.store.event_queue import context_of
from fastchat.store.lookups import DEADLINE

if TYPE_CHECKING:
    from fastchat.store.pool import Pool

MOST_AT_ONCE = 1000  # events of one log-in; requirements, "Delivery Characteristics"
MOST_BYTES = 1_000_000  # of the bodies that one statement reads
NO_TURN = -1
MOST_CLAIMS = 5  # tries, when others hold the claim for a moment

SLICE = 1000  # rows that one statement clears away or looks at
SLICES = 10  # of each kind in one round
PAUSE = 0.02  # seconds between two statements
MOST_COUNTED = 100_000  # undelivered events; with more, that is what is shown


class Claim(NamedTuple):
    """The right to deliver; ``turn`` is what it is known by, the ids ascend."""

    turn: int
    event_ids: Sequence[int]


class _Body(NamedTuple):
    """A stored event."""

    event_id: int
    room_id: int | None
    row: OwnRow


class EventStore:
    """Reads and marks queued events.

    Attributes:
        delivered: Events that were marked, counted for each user.
        depth: Undelivered events at the last look, at most ``MOST_COUNTED``.
        oldest_age: Seconds since the oldest of them happened.
    """

    def __init__(
        self,
        pool: "Pool",
        cipher: Cipher,
        memory: EventMemory,
        *,
        slice_size: int = SLICE,
        deadline: float = DEADLINE,
    ) -> None:
        """Take the neighbours, the rows of a slice, and seconds until a statement is given up."""
        self._pool = pool
        self._cipher = cipher
        self._memory = memory
        self._slice_size = slice_size
        self._deadline = deadline
        self._body_place = 0
        self._claim_place = ""
        self.delivered = 0
        self.depth = 0
        self.oldest_age = 0.0

    async def claim(
        self,
        user_id: str,
        seconds: float,
        *,
        turn: int = NO_TURN,
        limit: int = MOST_AT_ONCE,
        without: Collection[int] = (),
    ) -> Claim | None:
        """Claim the events of a user; None: somebody else has.

        Args:
            user_id: Whose.
            seconds: How long nobody else may, unless the claim is released before.
            turn: Of the claim that one has already.
            limit: The most events that are returned; those that happened first.
            without: Events that are not.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        for _ in range(MOST_CLAIMS):
            row = await self._pool.fetchrow(
                statements.CLAIM,
                *(user_id, seconds, turn, limit, list(without)),
                timeout=self._deadline,
                name="event claims",
            )
            if row is None:
                return None
            turn, is_fresh, event_ids = row
            if is_fresh:
                if len(event_ids) < limit:
                    # What others delivered.
                    gone = set(self._memory.event_ids(user_id)).difference(event_ids, without)
                    self._memory.forget(user_id, gone)
                return Claim(turn, event_ids)
        return Claim(turn, ())

    async def read(self, event_ids: Sequence[int]) -> dict[int, bytes | None]:
        """Return what the first of these events say, in their order; None: that cannot be read.

        Those in memory need no question. Of the others as many are read as fit ``MOST_BYTES``; the
        rest is missing in the answer and asked for next.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        found: dict[int, bytes | None] = {}
        missing = []
        for event_id in event_ids:
            payload = self._memory.get(event_id)
            if payload is None:
                missing.append(event_id)
            else:
                found[event_id] = payload
        self._memory.hits += len(found)
        if missing:
            rows = await self._pool.fetch(
                statements.READ, missing, MOST_BYTES, timeout=self._deadline, name="events"
            )
            bodies = [
                _Body(event_id, room_id, OwnRow(*sealed)) for event_id, room_id, *sealed in rows
            ]
            self._memory.misses += len(bodies)
            found |= {body.event_id: self._open(body) for body in bodies}
            # Up to the last one that was read; without any, all the others are gone.
            end = bodies[-1].event_id if bodies and bodies[-1].event_id != missing[-1] else None
            event_ids = [id for id in event_ids if end is None or id <= end]
        return {event_id: found.get(event_id) for event_id in event_ids}

    async def mark(self, user_id: str, event_ids: Collection[int], turn: int = NO_TURN) -> set[int]:
        """Mark events as delivered and release the claim; return those that were not before.

        Raises:
            ServiceUnavailable: the database did not answer; it may be done, and may be repeated.
        """
        rows = await self._pool.fetch(
            statements.MARK,
            *(user_id, list(event_ids), turn),
            timeout=self._deadline,
            name="event marks",
        )
        self._memory.forget(user_id, event_ids)
        self.delivered += len(rows)
        return {row[0] for row in rows}

    async def clean(self, now: float) -> int:
        """Clear away what is too old, in slices; return how many rows.

        Delivered events go after 7 days, others after 30, their bodies with the last of them.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        cleared = 0
        for query in (statements.CLEAN_DELIVERED, statements.CLEAN_UNDELIVERED):
            for _ in range(SLICES):
                tag = await self._pool.execute(
                    query, self._slice_size, timeout=self._deadline, name="cleaning"
                )
                gone = int(tag.rpartition(" ")[2])
                cleared += gone
                if gone < self._slice_size:
                    break
                await asyncio.sleep(PAUSE)
        gone, self._body_place = await self._walk(statements.CLEAN_BODIES, self._body_place, 0)
        cleared += gone
        gone, self._claim_place = await self._walk(statements.CLEAN_CLAIMS, self._claim_place, "")
        await self.measure()
        return cleared + gone

    async def measure(self) -> None:
        """Look how many events wait, and since when.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        row = await self._pool.fetchrow(
            statements.MEASURE, MOST_COUNTED, timeout=self._deadline, name="cleaning"
        )
        if row is not None:
            self.depth, self.oldest_age = row[0], max(0.0, row[1] or 0.0)

    async def _walk(self, query: str, place: Any, start: Any) -> tuple[int, Any]:
        """Clear away from a place of a table on; return how many rows, and where to go on."""
        cleared = 0
        for _ in range(SLICES):
            row = await self._pool.fetchrow(
                query, place, self._slice_size, timeout=self._deadline, name="cleaning"
            )
            gone, looked_at, end = row if row is not None else (0, 0, None)
            cleared += gone
            if looked_at < self._slice_size:
                return cleared, start
            place = end
            await asyncio.sleep(PAUSE)
        return cleared, place

    def _open(self, body: _Body) -> bytes | None:
        try:
            return self._cipher.open(body.row, context_of(body.room_id)).encode()
        except Undecryptable:
            return None  # counted and logged by the cipher
