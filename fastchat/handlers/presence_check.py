"""Sees now and then whether the main backend knows who is online, and tells it what it has wrong.

Who comes and goes is told of as it happens (``webhooks``). A server that is killed, or stopped for
good before the grace period of its users is over, tells nothing; nor do workers that took each
other for gone while the network between them was cut. The next look mends both.

Source: docs/backend-api.md, "Webhooks".
"""

import asyncio
import logging
from collections.abc import Callable
from itertools import islice

from fastchat.errors import ServiceUnavailable
from fastchat.hub.sessions import Hub
from fastchat.interfaces import User
from fastchat.store.webhook_presence import SLICE, WebhookPresence

INTERVAL = 30.0  # seconds between two looks
MARGIN = 3.0  # seconds; by then another worker is heard, or known not to be

log = logging.getLogger(__name__)


class PresenceCheck:
    """Compares what the backend was told with who is here."""

    def __init__(
        self,
        told: WebhookPresence,
        hub: Hub,
        tell: Callable[[User, bool], None],
        *,
        answers_for_all: Callable[[], bool],
        grace_period: float,
        interval: float = INTERVAL,
        margin: float = MARGIN,
    ) -> None:
        """Take the neighbours.

        Args:
            told: What the backend was told.
            hub: Who is connected.
            tell: Tells it that a user came or went.
            answers_for_all: Whether this worker, and only this one, may say of a user that he is
                nowhere.
            grace_period: Seconds in which users of a server that is gone may come back.
            interval: Seconds between two looks.
            margin: Seconds that a change may take to be known everywhere.
        """
        self._told = told
        self._hub = hub
        self._tell = tell
        self._answers_for_all = answers_for_all
        self._grace_period = grace_period
        self._interval = interval
        self._margin = margin

    async def run(self) -> None:
        """Look once the grace period is over, and then again and again, until cancelled."""
        await asyncio.sleep(max(self._grace_period, self._margin))
        while True:
            try:
                await self.look()
            except ServiceUnavailable:
                log.info("the database is away, what the backend was told is compared later")
            except Exception:
                log.exception("comparing what the backend was told failed by a bug")
            await asyncio.sleep(self._interval)

    async def look(self) -> int:
        """Tell of everybody of whom the backend has the wrong idea; return how many that are.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        told = await self._tell_who_went() + await self._tell_who_is_here()
        if told:
            log.info("the backend is told late who came or went", extra={"users": told})
        return told

    async def _tell_who_went(self) -> int:
        count = 0
        last = ""
        while self._answers_for_all():
            users = await self._told.fetch_told(last, self._margin)
            if not self._answers_for_all():
                break
            gone = [user for user in users if not self._hub.is_online(user.user_id)]
            for user in gone:
                self._tell(user, False)
            count += len(gone)
            if len(users) < SLICE:
                break
            last = users[-1].user_id
        return count

    async def _tell_who_is_here(self) -> int:
        count = 0
        user_ids = iter(self._hub.user_ids())
        while some := [*islice(user_ids, SLICE)]:
            for user_id in await self._told.fetch_untold(some):
                # He may have gone meanwhile.
                for connection in self._hub.open_connections(user_id)[:1]:
                    if connection.session is not None:
                        self._tell(connection.session.user, True)
                        count += 1
        return count
