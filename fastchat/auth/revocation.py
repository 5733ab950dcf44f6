"""The end of a session: its token expires, or is revoked while the session lives.

A token is checked when a session begins. From then on two things can end it: the clock, asked every
second, and ``jwt_revocation``, asked for all live sessions together every few seconds.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Collection

from fastchat.errors import ServiceUnavailable
from fastchat.interfaces import Session

SESSION_EXPIRED = "SESSION_EXPIRED"
SESSION_REVOKED = "SESSION_REVOKED"

# Encoding a query of all ids of a full worker at once would hold the event loop for milliseconds.
IDS_PER_QUERY = 5_000
# Of the interval: the query takes its time too, and the whole must stay inside.
PACE = 0.9

log = logging.getLogger(__name__)


class RevocationWatch:
    """Ends sessions whose token is no longer good.

    ``end(session, code)`` is called once per session that ends here; the session is no longer
    watched by then.

    Attributes:
        checks: Look-ups that were answered.
        failures: Look-ups that were not; the sessions live on until the next.
        expired: Sessions ended by the clock.
        revoked: Sessions ended by a revocation.
    """

    def __init__(
        self,
        fetch_revoked: Callable[[Collection[str]], Awaitable[set[str]]],
        end: Callable[[Session, str], None],
        *,
        interval: float,
    ) -> None:
        """Take what tells the revoked of many token ids, what ends a session, and seconds."""
        self._fetch_revoked = fetch_revoked
        self._end = end
        self._interval = interval
        self._watched: dict[Session, int] = {}  # session → the second of its expiry
        # Sessions by that second: a session that ends by itself leaves nothing behind, however far
        # away its expiry was.
        self._expiring: dict[int, set[Session]] = {}
        self._swept: int | None = None
        self._was_answered = True
        self.checks = 0
        self.failures = 0
        self.expired = 0
        self.revoked = 0

    def __len__(self) -> int:
        return len(self._watched)

    def watch(self, session: Session) -> None:
        """Watch a session; also to be called when its token was replaced."""
        self.forget(session)
        second = math.ceil(session.expires_at)
        if self._swept is not None:
            # Expired in this very second: the next sweep ends it.
            second = max(second, self._swept + 1)
        self._watched[session] = second
        self._expiring.setdefault(second, set()).add(session)

    def forget(self, session: Session) -> None:
        """Stop watching a session that ended; unknown ones are fine."""
        second = self._watched.pop(session, None)
        if second is not None:
            sessions = self._expiring[second]
            sessions.discard(session)
            if not sessions:
                del self._expiring[second]

    def expire(self, now: float) -> int:
        """End the sessions whose token has run out; return how many.

        Called every second. ``now`` is epoch seconds, the clock of the tokens.
        """
        second = int(now)
        if self._swept is None or not 0 <= second - self._swept <= len(self._expiring):
            due = sorted(key for key in self._expiring if key <= second)
        else:
            due = [key for key in range(self._swept, second + 1) if key in self._expiring]
        self._swept = second
        ended = 0
        for key in due:
            for session in list(self._expiring[key]):
                self.forget(session)
                self._end(session, SESSION_EXPIRED)
                ended += 1
        self.expired += ended
        return ended

    async def check(self) -> int:
        """End the sessions whose token was revoked; return how many.

        Raises:
            ServiceUnavailable: the database did not answer; sessions found before it are ended.
        """
        jtis = list({session.jti for session in self._watched if session.jti is not None})
        ended = 0
        for start in range(0, len(jtis), IDS_PER_QUERY):
            revoked = await self._fetch_revoked(jtis[start : start + IDS_PER_QUERY])
            if revoked:
                # Looked at only now: a session may have ended, or changed its token, meanwhile.
                ended += self.end_tokens(revoked)
        self.checks += 1
        return ended

    def end_tokens(self, jtis: Collection[str]) -> int:
        """End the sessions that have one of these tokens, which are revoked; return how many."""
        sessions = [one for one in self._watched if one.jti in jtis]
        for session in sessions:
            self.forget(session)
            self._end(session, SESSION_REVOKED)
        self.revoked += len(sessions)
        return len(sessions)

    async def run(self) -> None:
        """Check again and again, until cancelled; a failure is counted, and the next try is due.

        A revocation that can be read is acted upon within the interval.
        """
        loop = asyncio.get_running_loop()
        pause = self._interval * PACE
        due = loop.time() + pause
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            due = max(due, loop.time() - pause) + pause
            try:
                await self.check()
            except ServiceUnavailable:
                self._note_failure()
            except Exception:
                # A watch that has died would let revoked sessions live for ever, unseen.
                log.exception("the look for revoked tokens failed")
                self._note_failure()
            else:
                self._was_answered = True

    def _note_failure(self) -> None:
        self.failures += 1
        if self._was_answered:
            log.warning("revocations cannot be looked up; sessions live on until they can")
        self._was_answered = False
