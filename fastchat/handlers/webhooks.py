"""What the main backend is told by webhooks, and the delivery of them.

A message for somebody who is not here is acknowledged to its sender only after its webhook is
durable. So whoever has an acknowledgement may rely on the notification, and a sender who has none
sends again and causes it again, with the same id.

Source: docs/backend-api.md, "Webhooks".
"""

import asyncio
import logging
import random
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

import orjson

from fastchat.errors import ServiceUnavailable
from fastchat.hub.sessions import Hub
from fastchat.interfaces import User
from fastchat.protocol.times import iso_time
from fastchat.store.webhook_outbox import Failure, Webhook, WebhookOutbox
from fastchat.transport.webhook import WebhookPoster

MOST_USERS = 1000  # in one webhook
AT_ONCE = 16  # webhooks under way
CLAIM = 30.0  # seconds that a claim lasts, more than a try takes
POLL = 2.0  # seconds between looks for what is due; what happens here is seen at once
FIRST_PAUSE = 1.0  # seconds after the first try in vain; doubled with each
LONGEST_PAUSE = 3600.0  # seconds
PATIENCE = 3 * 86400.0  # seconds after which a webhook is given up
UNREADABLE = "its body cannot be decrypted"

log = logging.getLogger(__name__)


class Webhooks:
    """Says what is to be told."""

    def __init__(
        self,
        outbox: WebhookOutbox,
        hub: Hub,
        speaks: Callable[[], bool],
        *,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the neighbours.

        Args:
            outbox: Where webhooks are stored.
            hub: Who is connected.
            speaks: Whether this worker tells what all of them know, and none better than others.
            wall_clock: Unix seconds.
        """
        self._outbox = outbox
        self._hub = hub
        self._speaks = speaks
        self._wall_clock = wall_clock

    def message_stored(
        self, message_id: str, message: bytes, sender_id: str, user_ids: Collection[str]
    ) -> "asyncio.Future[None] | None":
        """Tell of a stored message if any of its receivers is away.

        Args:
            message_id: Of the message; the same webhook is stored once.
            message: As on the wire, encoded.
            sender_id: Who is not told.
            user_ids: The members of its conversation.

        Returns:
            What is done when the webhook is durable; None: all are here.

        Raises:
            ServiceUnavailable: it cannot be stored.
        """
        away = [
            user_id
            for user_id in user_ids
            if user_id != sender_id and not self._hub.is_connected(user_id)
        ]
        future = None
        for start in range(0, len(away), MOST_USERS):
            webhook_id = f"message-{message_id}" + (f"-{start}" if start else "")
            data = {
                "offlineUserIds": away[start : start + MOST_USERS],
                "message": orjson.Fragment(message),
            }
            # Stored in this order, so the last one tells of all.
            future = self._put(webhook_id, "message.offline", data)
        return future

    def presence_changed(self, user: User, is_online: bool) -> None:
        """Tell that a user came or went; of the workers, which all know, one does.

        Who comes is told of by the worker that he comes to.
        """
        if self._hub.is_here(user.user_id) if is_online else self._speaks():
            self.tell_presence(user, is_online)

    def tell_presence(self, user: User, is_online: bool) -> None:
        """Tell that a user came or went, unless the backend was told just this last."""
        data = {
            "user": {
                "id": user.user_id,
                "userId": user.user_id,
                "username": user.username,
                "displayName": user.display_name,
            }
        }
        with suppress(ServiceUnavailable):  # counted and logged by the outbox
            webhook_id = str(uuid.uuid4())
            body = self._encode(webhook_id, "user.online" if is_online else "user.offline", data)
            self._outbox.put_change(webhook_id, body, user, is_online)

    def _put(self, webhook_id: str, kind: str, data: object) -> "asyncio.Future[None]":
        return self._outbox.put(webhook_id, self._encode(webhook_id, kind, data))

    def _encode(self, webhook_id: str, kind: str, data: object) -> bytes:
        body = {
            "id": webhook_id,
            "type": kind,
            "timestamp": iso_time(self._wall_clock()),
            "data": data,
        }
        return orjson.dumps(body)


class WebhookDelivery:
    """Delivers what is in the outbox, each at least once.

    Attributes:
        delivered: Webhooks that the backend took.
        failures: Tries in vain.
        given_up: Webhooks that nobody tries again.
    """

    def __init__(
        self,
        outbox: WebhookOutbox,
        poster: WebhookPoster | None,
        *,
        first_pause: float = FIRST_PAUSE,
        patience: float = PATIENCE,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the outbox, what posts, and seconds: the first pause, and until giving up.

        Without a poster nothing is to be delivered, and there is only something to count.
        """
        self._outbox = outbox
        self._poster = poster
        self._first_pause = first_pause
        self._patience = patience
        self._wall_clock = wall_clock
        self._failed_rounds = 0
        self.delivered = 0
        self.failures = 0
        self.given_up = 0

    @property
    def stored(self) -> int:
        """Webhooks that were stored."""
        return self._outbox.stored

    @property
    def dropped(self) -> int:
        """Webhooks that could not be stored."""
        return self._outbox.dropped

    @property
    def depth(self) -> int:
        """Stored webhooks that wait, at the last look."""
        return self._outbox.depth

    async def run(self) -> None:
        """Deliver again and again, until cancelled."""
        if self._poster is None:
            return
        news = self._outbox.news
        while True:
            news.clear()
            try:
                found = await self.deliver()
            except ServiceUnavailable:
                found = 0
            except Exception:
                # Nobody would hear of anything any more.
                log.exception("the delivery of webhooks failed by a bug")
                found = 0
            if self._failed_rounds:
                # The backend is away: what comes new need not be tried at once.
                await asyncio.sleep(backoff(self._failed_rounds, self._first_pause, most=POLL * 15))
            elif not found:
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL):
                        await news.wait()

    async def deliver(self) -> int:
        """Try what is due now; return how many that were.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        webhooks = await self._outbox.claim(AT_ONCE, CLAIM)
        if not webhooks:
            return 0
        errors = await asyncio.gather(*map(self._post, webhooks))
        delivered = [one.position for one, error in zip(webhooks, errors, strict=True) if not error]
        failed = [
            self._fail(webhook, error)
            for webhook, error in zip(webhooks, errors, strict=True)
            if error
        ]
        self._note(webhooks, failed)
        self.delivered += len(delivered)
        await self._outbox.settle(delivered, failed)
        return len(webhooks)

    async def _post(self, webhook: Webhook) -> str | None:
        if webhook.body is None or self._poster is None:
            return UNREADABLE
        return await self._poster.post(webhook.webhook_id, int(self._wall_clock()), webhook.body)

    async def stop(self) -> None:
        """Close the connections to the backend."""
        if self._poster is not None:
            await self._poster.stop()

    def _fail(self, webhook: Webhook, error: str) -> Failure:
        self.failures += 1
        if webhook.age < self._patience and webhook.body is not None:
            pause = backoff(webhook.attempts, self._first_pause)
            return Failure(webhook.position, pause, error)
        self.given_up += 1
        log.error(
            "a webhook was given up",
            extra={"webhook": webhook.webhook_id, "attempts": webhook.attempts, "reason": error},
        )
        return Failure(webhook.position, None, error)

    def _note(self, webhooks: Sequence[Webhook], failed: Sequence[Failure]) -> None:
        """Log once that the backend does not take webhooks, and once that it does again."""
        if len(failed) < len(webhooks):
            if self._failed_rounds:
                log.info("webhooks are taken again")
            self._failed_rounds = 0
            return
        if not self._failed_rounds:
            log.warning("webhooks are not taken", extra={"reason": failed[0].error})
        self._failed_rounds += 1


def backoff(attempts: int, first: float, *, most: float = LONGEST_PAUSE) -> float:
    """Return seconds until the next try: doubled with each, spread by a fifth either way."""
    pause = min(most, first * 2.0 ** min(attempts - 1, 40))
    return pause * random.uniform(0.8, 1.2)
