"""What the main backend was told last about each user: that he is here, or not.

A row changes in the very statement that stores the webhook of the change (``webhook_outbox``), and
only where it says something new. So each ``user.online`` is followed by one ``user.offline``,
whoever tells it, and what a killed server leaves behind can be seen.

Source: docs/backend-api.md, "Webhooks".
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

from fastchat.store.lookups import DEADLINE

if TYPE_CHECKING:
    from fastchat.store.pool import Pool

SLICE = 1000  # rows that one statement reads or clears away
KEPT = 3600.0  # seconds that a row of somebody who is away stays, for what comes late

# Who was told of only now may be on his way to the worker that asks.
TOLD = """
SELECT user_id, username, display_name FROM webhook_presence
WHERE is_online AND user_id > $1::text AND changed_at < now() - $2::float8 * interval '1 second'
ORDER BY user_id LIMIT $3
"""
UNTOLD = """
SELECT user_id FROM unnest($1::text[]) AS here (user_id)
WHERE NOT EXISTS (
    SELECT FROM webhook_presence p WHERE p.user_id = here.user_id AND p.is_online)
"""
# Waits for nobody, for it locks in no order.
CLEAN = """
DELETE FROM webhook_presence WHERE user_id IN (
    SELECT user_id FROM webhook_presence
    WHERE NOT is_online AND changed_at < now() - $2::float8 * interval '1 second'
    ORDER BY changed_at LIMIT $1 FOR UPDATE SKIP LOCKED)
"""


class ToldUser(NamedTuple):
    """A user as the backend was told of him."""

    user_id: str
    username: str
    display_name: str


class WebhookPresence:
    """Reads what the main backend was told."""

    def __init__(self, pool: "Pool") -> None:
        """Take the pool."""
        self._pool = pool

    async def fetch_told(self, after: str, age: float) -> list[ToldUser]:
        """Return users whom the backend takes to be online, in the order of their ids.

        Args:
            after: Only ids behind this one; empty: from the first.
            age: Only who has been told of for so many seconds.

        Returns:
            At most ``SLICE``; fewer: there are no more.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        rows = await self._pool.fetch(TOLD, after, age, SLICE, timeout=DEADLINE, name="webhooks")
        return [ToldUser(*row) for row in rows]

    async def fetch_untold(self, user_ids: Collection[str]) -> set[str]:
        """Return which of some users the backend does not take to be online.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        rows = await self._pool.fetch(UNTOLD, [*user_ids], timeout=DEADLINE, name="webhooks")
        return {row[0] for row in rows}

    async def clean(self, now: float) -> int:
        """Clear away who went long ago; return how many.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        tag = await self._pool.execute(CLEAN, SLICE, KEPT, timeout=DEADLINE, name="cleaning")
        return int(tag.rpartition(" ")[2])
