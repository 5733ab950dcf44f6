"""Blocks and follows: what stands between two users, either way.

The writer's statement checks blocks itself; these look-ups serve the commands that store no
message. Follows decide nothing, they only put a warning into the log: so they are kept for some
minutes, and not knowing is an answer.
"""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from asyncpg import PostgresError

from fastchat.errors import ServiceUnavailable
from fastchat.store.cache import LruCache
from fastchat.store.ids import to_native
from fastchat.store.lookups import DEADLINE, BatchedLookup

if TYPE_CHECKING:
    from fastchat.store.backend import BackendTables
    from fastchat.store.pool import Pool

FOLLOWS_KEPT = 50_000
FOLLOW_AGE = 300.0  # seconds
WARNING_INTERVAL = 30.0  # seconds

log = logging.getLogger(__name__)


class BlockRule:
    """Decides what a block look-up is worth that failed by itself, with the database there.

    Attributes:
        passed: Such look-ups that were answered "not blocked".
    """

    def __init__(self, fail_open: bool, clock: Callable[[], float]) -> None:
        self._fail_open = fail_open
        self._clock = clock
        self._quiet_until = float("-inf")
        self.passed = 0

    def judge(self, error: PostgresError) -> None:
        """Count the failure and let it pass, with a warning now and then.

        Raises:
            ServiceUnavailable: ``BLOCK_CHECK_FAIL_OPEN`` says that nothing may pass.
        """
        now = self._clock()
        if now >= self._quiet_until:
            self._quiet_until = now + WARNING_INTERVAL
            log.warning(
                "blocks could not be looked up",
                extra={"sqlstate": error.sqlstate, "passed": self._fail_open},
            )
        if not self._fail_open:
            raise ServiceUnavailable from None
        self.passed += 1


class Relations:
    """Asks the main backend's tables about pairs of users."""

    def __init__(
        self,
        pool: "Pool",
        tables: "BackendTables",
        *,
        block_check_fail_open: bool = True,
        deadline: float = DEADLINE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the pool, what the tables look like, and the rule for a failing look-up."""
        self._pool = pool
        self._tables = tables
        self._rule = BlockRule(block_check_fail_open, clock)
        self._deadline = deadline
        self._clock = clock
        self._follows: LruCache[tuple[str, str], bool] = LruCache(FOLLOWS_KEPT, FOLLOW_AGE)
        self.blocks: BatchedLookup[tuple[str, str], bool] = BatchedLookup(
            self._fetch_blocks, deadline=deadline
        )
        self.follows: BatchedLookup[tuple[str, str], bool] = BatchedLookup(
            self._fetch_follows, max_in_flight=1, deadline=deadline
        )

    @property
    def fail_open(self) -> int:
        """Block look-ups that failed by themselves and were answered "not blocked"."""
        return self._rule.passed

    async def blocks_between(self, one: str, other: str) -> bool:
        """Whether one of the two users blocks the other.

        Lets traffic pass (with a warning and ``fail_open`` counted) when only this look-up fails,
        as long as ``BLOCK_CHECK_FAIL_OPEN`` says so.

        Raises:
            ServiceUnavailable: the database did not answer, or the look-up failed and may not
                be passed over.
        """
        if self._tables.blocks_id_type is None:
            return False
        try:
            return await self.blocks.get(_pair(one, other))
        except PostgresError as error:
            self._rule.judge(error)
            return False

    def peek_follows(self, one: str, other: str) -> bool | None:
        """Return what is in memory about the two, or None."""
        return self._follows.get(_pair(one, other), self._clock())

    async def follows_between(self, one: str, other: str) -> bool | None:
        """Whether one of the two follows the other, at most five minutes old; None: unknown.

        Unknown is the answer when the table is missing or cannot be read.
        """
        if self._tables.follows_id_type is None:
            return None
        pair = _pair(one, other)
        known = self._follows.get(pair, self._clock())
        if known is not None:
            return known
        try:
            follows = await self.follows.get(pair)
        except (PostgresError, ServiceUnavailable):
            return None
        self._follows.put(pair, follows, self._clock())
        return follows

    async def _fetch_blocks(self, pairs: list[tuple[str, str]]) -> list[bool]:
        id_type = self._tables.blocks_id_type or "text"
        return await self._fetch(BLOCKS, id_type, pairs)

    async def _fetch_follows(self, pairs: list[tuple[str, str]]) -> list[bool]:
        id_type = self._tables.follows_id_type or "text"
        return await self._fetch(FOLLOWS, id_type, pairs)

    async def _fetch(self, query: str, id_type: str, pairs: list[tuple[str, str]]) -> list[bool]:
        ones = [to_native(one, id_type) for one, _ in pairs]
        others = [to_native(other, id_type) for _, other in pairs]
        rows = await self._pool.fetch(
            query.format(id_type=id_type), ones, others, timeout=self._deadline, name="relations"
        )
        return [row[0] for row in rows]


def _pair(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one < other else (other, one)


def _either_way(table: str, source: str, target: str) -> str:
    # Two EXISTS and no OR inside one: each is a single step in the index.
    return f"""
SELECT EXISTS (SELECT FROM {table} r WHERE r.{source} = k.one AND r.{target} = k.other)
    OR EXISTS (SELECT FROM {table} r WHERE r.{source} = k.other AND r.{target} = k.one)
FROM unnest($1::{{id_type}}[], $2::{{id_type}}[]) WITH ORDINALITY AS k (one, other, position)
ORDER BY k.position
"""


BLOCKS = _either_way("blocked_relationships", "blocker_id", "blocked_id")
FOLLOWS = _either_way("user_follows", "follower_id", "followee_id")
