"""What other workers stored and could not tell this one: read from the database instead.

Each ``rev`` of a room is one change of it. The newest messages of a room are found by walking back
from its last one, ``seq`` by ``seq``, as long as they are recent; the walk costs what it finds.
"""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from fastchat.store.lookups import DEADLINE, BatchedLookup
from fastchat.store.messages import MessageRow, message_columns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from asyncpg import Record

    from fastchat.store.backend import BackendTables
    from fastchat.store.pool import Pool

PAGE = 200  # messages read at once
USERS_PER_QUERY = 500
SLACK = 0.25  # seconds that an answer may take before the question is asked again

T = TypeVar("T")

_RECENT = "clock_timestamp() - {age} * interval '1 second'"

FIRST = f"""
SELECT least(stored.rev, changed.rev), stored.seq
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::float8[]) WITH ORDINALITY
    AS k (room_id, after, before, age, position)
CROSS JOIN LATERAL (
    WITH RECURSIVE walk AS (
        SELECT coalesce(
            (SELECT r.seq FROM chat_rooms r WHERE r.room_id = k.room_id), 0) + 1 AS seq,
            NULL::bigint AS rev
        UNION ALL
        SELECT m.seq, m.rev FROM walk w CROSS JOIN LATERAL (
            SELECT m.seq, m.rev FROM chat_messages m
            WHERE m.room_id = k.room_id AND m.seq = w.seq - 1 AND m.rev > k.after
              AND m.created_at > {_RECENT.format(age="k.age")}
            LIMIT 1
        ) m
    )
    SELECT min(w.rev) AS rev, min(w.seq) AS seq FROM walk w WHERE w.rev < k.before
) stored CROSS JOIN LATERAL (
    SELECT min(m.changed_rev) AS rev FROM chat_messages m
    WHERE m.room_id = k.room_id AND m.changed_rev > k.after AND m.changed_rev < k.before
      AND m.updated_at > {_RECENT.format(age="k.age")}
) changed
ORDER BY k.position
"""
STORED = """
SELECT {columns}, false, m.rev, date_part('epoch', clock_timestamp() - m.created_at)
FROM chat_messages m
WHERE m.room_id = $1 AND m.seq >= $2 AND m.rev < $3
ORDER BY m.seq LIMIT $4
"""
MOVED = f"""
SELECT DISTINCT r.room_id, r.rev
FROM unnest($1::text[]) AS u (user_id)
JOIN room_members m ON m.user_id = u.user_id AND m.left_at IS NULL
JOIN chat_rooms r ON r.room_id = m.room_id
WHERE r.last_at > {_RECENT.format(age="$2::float8")}
"""
CHANGED = f"""
SELECT {{columns}}, false, m.room_id, m.edited_at > {_RECENT.format(age="$1::float8")}
FROM chat_messages m
WHERE m.changed_rev IS NOT NULL AND m.updated_at > {_RECENT.format(age="$1::float8")}
ORDER BY m.updated_at LIMIT 10000
"""
WAITING = """
SELECT u.user_id FROM unnest($1::text[]) AS u (user_id)
WHERE (SELECT true FROM event_queue q
    WHERE q.user_id = u.user_id AND q.delivered_at IS NULL LIMIT 1)
"""
MEMBER_FIELDS = len(MessageRow._fields)


class Gap(NamedTuple):
    """The first change in a range; ``seq``: of the first message in it. None: there is none."""

    first_rev: int | None
    seq: int | None


class MissedMessage(NamedTuple):
    """A message with the ``rev`` it was stored at, and how many seconds ago.

    The ``rev`` of the row is that of its last change.
    """

    row: MessageRow
    stored_rev: int
    age: float


class MissedChange(NamedTuple):
    """A message that was changed; ``is_edited``: its text, in the time that was asked about."""

    room_id: int
    row: MessageRow
    is_edited: bool


class Missed:
    """Reads what happened in rooms.

    An ``age`` counts from the call, however late the database gets to the question.
    """

    def __init__(
        self, pool: "Pool", tables: "BackendTables", *, deadline: float = DEADLINE
    ) -> None:
        """Take the pool, what the backend's tables look like, and seconds for each question."""
        self._pool = pool
        self._deadline = deadline
        columns = message_columns(tables)
        self._stored = STORED.replace("{columns}", columns)
        self._changed = CHANGED.replace("{columns}", columns)
        self.gaps: BatchedLookup[tuple[int, int, int, float], Gap] = BatchedLookup(
            self._fetch_gaps, max_batch=64, deadline=deadline
        )

    async def first(self, room_id: int, after: int, before: int, age: float) -> Gap:
        """Return what of a range of ``rev`` was stored or changed in the last ``age`` seconds.

        Args:
            room_id: The room.
            after: Below the range.
            before: Above it.
            age: Seconds.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        return await self._look_back(age, lambda age: self.gaps.get((room_id, after, before, age)))

    async def messages(self, room_id: int, from_seq: int, before: int) -> list[MissedMessage]:
        """Return messages stored before a ``rev``, from a ``seq`` on; at most ``PAGE``.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        rows = await self._fetch(self._stored, room_id, from_seq, before, PAGE)
        return [MissedMessage(MessageRow._make(row[:-2]), *row[-2:]) for row in rows]

    async def moved(self, user_ids: "Sequence[str]", age: float) -> dict[int, int]:
        """Return the rooms of users with a message of the last ``age`` seconds: id → ``rev``.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        found: dict[int, int] = {}
        for start in range(0, len(user_ids), USERS_PER_QUERY):
            part = user_ids[start : start + USERS_PER_QUERY]
            rows = await self._look_back(age, partial(self._fetch, MOVED, part))
            found.update((room_id, rev) for room_id, rev in rows)
        return found

    async def changed(self, age: float) -> list[MissedChange]:
        """Return the messages of all rooms that were changed in the last ``age`` seconds.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        rows = await self._look_back(age, partial(self._fetch, self._changed))
        return [
            MissedChange(row[MEMBER_FIELDS], MessageRow._make(row[:MEMBER_FIELDS]), bool(row[-1]))
            for row in rows
        ]

    async def waiting(self, user_ids: "Sequence[str]") -> list[str]:
        """Return for which users events wait.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        found: list[str] = []
        for start in range(0, len(user_ids), USERS_PER_QUERY):
            part = user_ids[start : start + USERS_PER_QUERY]
            rows = await self._fetch(WAITING, part)
            found += [row[0] for row in rows]
        return found

    async def _fetch_gaps(self, keys: list[tuple[int, int, int, float]]) -> list[Gap]:
        rows = await self._fetch(FIRST, *map(list, zip(*keys, strict=True)))
        return [Gap._make(row) for row in rows]

    async def _fetch(self, query: str, *arguments: Any) -> "list[Record]":
        return await self._pool.fetch(query, *arguments, timeout=self._deadline, name="missed")

    async def _look_back(self, age: float, ask: "Callable[[float], Awaitable[T]]") -> T:
        """Ask for what is at most ``age`` seconds old now, as the database counts when it looks.

        It looks at some moment between the question and the answer. What is older than was asked
        for by as much as the slack may be found too.
        """
        clock = asyncio.get_running_loop().time
        began, slack = clock(), SLACK
        while True:
            asked = clock()
            answer = await ask(age + asked - began + slack)
            took = clock() - asked
            if took <= slack:
                return answer
            slack = took + SLACK
