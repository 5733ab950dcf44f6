"""Tokens that the main backend revoked through fastchat, besides those in its own table.

A log-in asks for both (``users``), and so does the look at live sessions.
"""

from typing import TYPE_CHECKING

from fastchat.store.lookups import DEADLINE

if TYPE_CHECKING:
    from fastchat.store.pool import Pool

SLICE = 1000  # rows that one statement clears away
ADD = """
INSERT INTO revoked_tokens (jti, expires_at)
VALUES ($1::text, to_timestamp($2::double precision))
ON CONFLICT (jti) DO UPDATE SET expires_at = CASE
    WHEN excluded.expires_at IS NULL OR revoked_tokens.expires_at IS NULL THEN NULL
    ELSE greatest(excluded.expires_at, revoked_tokens.expires_at) END
"""
CLEAN = """
DELETE FROM revoked_tokens WHERE jti IN (
    SELECT jti FROM revoked_tokens WHERE expires_at < now() ORDER BY expires_at LIMIT $1)
"""


class RevokedTokens:
    """Writes down which tokens are no longer good."""

    def __init__(self, pool: "Pool") -> None:
        """Take the pool."""
        self._pool = pool

    async def add(self, jti: str, expires_at: float | None) -> None:
        """Revoke a token; durable when this returns, and may be repeated.

        Args:
            jti: Id of the token.
            expires_at: Its expiry, epoch seconds, after which it need not be remembered; None:
                not known, so it is remembered for ever.

        Raises:
            ServiceUnavailable: the database did not answer; it may be revoked.
        """
        await self._pool.execute(ADD, jti, expires_at, timeout=DEADLINE, name="revocation")

    async def clean(self, now: float) -> int:
        """Clear away tokens that have expired since; return how many.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        tag = await self._pool.execute(CLEAN, SLICE, timeout=DEADLINE, name="cleaning")
        return int(tag.rpartition(" ")[2])
