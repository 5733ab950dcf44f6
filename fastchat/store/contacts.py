"""Whom a user has to do with: for presence and for lists of people.

The main backend's tables are asked in the type of their ids; what comes back is text, as on the
wire. They are asked for what stands on either side of a row, so ``blocked_relationships`` and
``user_follows`` want an index on each of their columns.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from asyncpg import PostgresError

from fastchat.store.ids import to_native
from fastchat.store.lookups import DEADLINE, BatchedLookup
from fastchat.store.relations import WARNING_INTERVAL, BlockRule

if TYPE_CHECKING:
    from fastchat.store.backend import BackendTables
    from fastchat.store.pool import Pool

MAX_CONTACTS = 10_000  # of one kind; also the rooms that are looked into
# More, for a block that is overlooked shows somebody to whom he must not see.
MAX_BLOCKS = 100_000  # either way
USERS_PER_QUERY = 16

log = logging.getLogger(__name__)


class Contacts:
    """Answers who blocks whom and who knows whom, always fresh; users of one turn travel together.

    Attributes:
        blocks: Look-ups of blocks.
        follows: Look-ups of follows.
        companions: Look-ups of those who share a room.
    """

    def __init__(
        self,
        pool: "Pool",
        tables: "BackendTables",
        *,
        block_check_fail_open: bool = True,
        deadline: float = DEADLINE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the pool, what the tables look like, and the rule for a failing block look-up."""
        self._pool = pool
        self._blocks_id_type = tables.blocks_id_type
        self._follows_id_type = tables.follows_id_type
        self._rule = BlockRule(block_check_fail_open, clock)
        self._deadline = deadline
        self._clock = clock
        self._quiet_until = float("-inf")
        self.blocks: BatchedLookup[str, set[str]] = BatchedLookup(
            self._fetch_blocks, max_batch=USERS_PER_QUERY, deadline=deadline
        )
        self.follows: BatchedLookup[str, set[str]] = BatchedLookup(
            self._fetch_follows, max_batch=USERS_PER_QUERY, deadline=deadline
        )
        self.companions: BatchedLookup[str, set[str]] = BatchedLookup(
            self._fetch_companions, max_batch=USERS_PER_QUERY, deadline=deadline
        )

    @property
    def fail_open(self) -> int:
        """Block look-ups that failed by themselves and were answered "nobody is blocked"."""
        return self._rule.passed

    async def blocked_with(self, user_id: str) -> set[str]:
        """Return whom the user blocks and who blocks him, at most ``MAX_BLOCKS`` each way.

        The set is shared by those who ask in the same turn: do not change it. Nobody, with a
        warning and ``fail_open`` counted, when only this look-up fails, as long as
        ``BLOCK_CHECK_FAIL_OPEN`` says so.

        Raises:
            ServiceUnavailable: the database did not answer, or the look-up failed and may not be
                passed over.
        """
        if self._blocks_id_type is None:
            return set()
        try:
            return await self.blocks.get(user_id)
        except PostgresError as error:
            self._rule.judge(error)
            return set()

    async def contacts_of(self, user_id: str) -> set[str]:
        """Return who shares a room with the user or follows him or is followed by him.

        Those of ``blocked_with`` are left out, and so is the user. At most ``MAX_CONTACTS`` of
        each kind; those beyond are left out in no particular order.

        Raises:
            ServiceUnavailable: as ``blocked_with``.
        """
        companions, follows, blocked = await asyncio.gather(
            self.companions.get(user_id), self._follows_of(user_id), self.blocked_with(user_id)
        )
        return (companions | follows) - blocked - {user_id}

    async def _follows_of(self, user_id: str) -> set[str]:
        """Return who follows or is followed; nobody when the table cannot be read."""
        if self._follows_id_type is None:
            return set()
        try:
            return await self.follows.get(user_id)
        except PostgresError as error:
            now = self._clock()
            if now >= self._quiet_until:
                self._quiet_until = now + WARNING_INTERVAL
                log.warning("follows could not be looked up", extra={"sqlstate": error.sqlstate})
            return set()

    async def _fetch_blocks(self, user_ids: list[str]) -> list[set[str]]:
        return await self._fetch(BLOCKS, self._blocks_id_type or "text", user_ids)

    async def _fetch_follows(self, user_ids: list[str]) -> list[set[str]]:
        return await self._fetch(FOLLOWS, self._follows_id_type or "text", user_ids)

    async def _fetch_companions(self, user_ids: list[str]) -> list[set[str]]:
        return await self._fetch(COMPANIONS, "text", user_ids)

    async def _fetch(self, query: str, id_type: str, user_ids: list[str]) -> list[set[str]]:
        keys = [to_native(user_id, id_type) for user_id in user_ids]
        rows = await self._pool.fetch(
            query.format(id_type=id_type), keys, timeout=self._deadline, name="contacts"
        )
        return [set(row[0]) for row in rows]


def _neighbours(table: str, source: str, target: str, limit: int) -> str:
    def one_way(given: str, wanted: str) -> str:
        return f"""(
        SELECT r.{wanted}::text FROM {table} r
        WHERE r.{given} = k.user_id AND r.{wanted} IS NOT NULL LIMIT {limit}
    )"""

    return f"""
SELECT ARRAY(
    {one_way(source, target)} UNION ALL {one_way(target, source)}
)
FROM unnest($1::{{id_type}}[]) WITH ORDINALITY AS k (user_id, position)
ORDER BY k.position
"""


BLOCKS = _neighbours("blocked_relationships", "blocker_id", "blocked_id", MAX_BLOCKS)
FOLLOWS = _neighbours("user_follows", "follower_id", "followee_id", MAX_CONTACTS)
COMPANIONS = f"""
SELECT ARRAY(
    SELECT DISTINCT o.user_id
    FROM (
        SELECT m.room_id FROM room_members m
        WHERE m.user_id = k.user_id AND m.left_at IS NULL LIMIT {MAX_CONTACTS}
    ) m JOIN room_members o ON o.room_id = m.room_id AND o.left_at IS NULL
    LIMIT {MAX_CONTACTS}
)
FROM unnest($1::{{id_type}}[]) WITH ORDINALITY AS k (user_id, position)
ORDER BY k.position
"""
