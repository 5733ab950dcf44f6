"""Clears away removals of what is gone: they hide what nobody can see any more.

A round looks at a part of each table, in the order of its key, and the next round goes on behind
it. So it costs the same whatever the tables hold.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from fastchat.store.lookups import DEADLINE

if TYPE_CHECKING:
    from fastchat.store.pool import Pool

SLICE = 1000  # rows that one statement looks at
SLICES = 10  # of one table in one round
PAUSE = 0.02  # seconds between two statements

_IS_GONE = """(SELECT true FROM chat_groups g
              WHERE g.room_id = s.room_id AND g.deleted_at IS NOT NULL LIMIT 1)"""
# Removals of messages that were deleted for everyone, and in deleted groups. Those of one who left
# stay: he may come back, and then what he removed is still not there.
MESSAGES = f"""
WITH slice AS MATERIALIZED (
    SELECT user_id, room_id, seq FROM message_removals
    WHERE (user_id, room_id, seq) > ($1::text, $2::bigint, $3::bigint)
    ORDER BY user_id, room_id, seq LIMIT $4
), gone AS (
    DELETE FROM message_removals x USING slice s
    WHERE x.user_id = s.user_id AND x.room_id = s.room_id AND x.seq = s.seq
      AND ((SELECT m.is_deleted FROM chat_messages m
              WHERE m.room_id = s.room_id AND m.seq = s.seq LIMIT 1) IS NOT FALSE
        OR {_IS_GONE})
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM slice), user_id, room_id, seq
FROM slice ORDER BY user_id DESC, room_id DESC, seq DESC LIMIT 1
"""
CONVERSATIONS = f"""
WITH slice AS MATERIALIZED (
    SELECT user_id, room_id FROM conversation_removals
    WHERE (user_id, room_id) > ($1::text, $2::bigint)
    ORDER BY user_id, room_id LIMIT $3
), gone AS (
    DELETE FROM conversation_removals x USING slice s
    WHERE x.user_id = s.user_id AND x.room_id = s.room_id
      AND {_IS_GONE}
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM slice), user_id, room_id
FROM slice ORDER BY user_id DESC, room_id DESC LIMIT 1
"""


class Removals:
    """Clears away what hides nothing any more."""

    def __init__(
        self, pool: "Pool", *, slice_size: int = SLICE, deadline: float = DEADLINE
    ) -> None:
        """Take the pool, the rows of a slice, and seconds until a statement is given up."""
        self._pool = pool
        self._slice_size = slice_size
        self._deadline = deadline
        self._places: dict[str, tuple[Any, ...]] = {MESSAGES: ("", 0, 0), CONVERSATIONS: ("", 0)}

    async def clean(self, now: float) -> int:
        """Look at the next part of both tables; return how many rows were cleared away.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        return await self._clean(MESSAGES) + await self._clean(CONVERSATIONS)

    async def _clean(self, query: str) -> int:
        cleared = 0
        for _ in range(SLICES):
            place = self._places[query]
            row = await self._pool.fetchrow(
                query, *place, self._slice_size, timeout=self._deadline, name="cleaning"
            )
            gone, looked_at, *end = row if row is not None else (0, 0)
            cleared += gone
            if looked_at < self._slice_size:
                # The end of the table: the next round begins at the front.
                self._places[query] = ("", 0, 0)[: len(place)]
                break
            self._places[query] = tuple(end)
            await asyncio.sleep(PAUSE)
        return cleared
