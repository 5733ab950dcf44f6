"""What the main backend is to be told, kept until it has heard it.

Each webhook is a row, written before whoever caused it is answered, and deleted once the backend
has taken it. Whoever tries to deliver claims a row for a while first, so that of several workers
one tries; if that one dies, another tries later. Bodies are encrypted like messages.

Source: docs/backend-api.md, "Webhooks".
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from fastchat.errors import ServiceUnavailable
from fastchat.interfaces import User
from fastchat.store.cipher import Cipher, EncryptionFailed, OwnRow, Sealed, Undecryptable
from fastchat.store.lookups import DEADLINE

if TYPE_CHECKING:
    from fastchat.store.pool import Pool

MAX_WAITING = 10_000  # webhooks that are not stored yet
MAX_BATCH = 256  # of them in one statement
PAUSE = 0.5  # seconds until what could not be stored is tried again
SLICE = 1000  # rows that one statement clears away
DAY = 86400.0  # seconds
KEPT = 7 * DAY  # seconds that given up ones stay to be looked at
MOST_COUNTED = 100_000

log = logging.getLogger(__name__)

STORE = """
INSERT INTO webhook_outbox
    (webhook_id, content, encrypted_content, encryption_iv, encryption_scheme)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
ON CONFLICT (webhook_id) DO NOTHING
"""
# Locks users in their order, so that no two batches wait for each other. Who was never told of as
# online is not told of as offline.
STORE_CHANGES = """
WITH given AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
        $6::text[], $7::text[], $8::text[], $9::boolean[]) AS columns (webhook_id, content,
        encrypted_content, encryption_iv, encryption_scheme,
        user_id, username, display_name, is_online)
), changed AS (
    INSERT INTO webhook_presence AS p (user_id, username, display_name, is_online)
    SELECT user_id, username, display_name, is_online FROM given
    WHERE is_online
        OR EXISTS (SELECT FROM webhook_presence known WHERE known.user_id = given.user_id)
    ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE SET username = excluded.username,
        display_name = excluded.display_name, is_online = excluded.is_online, changed_at = now()
    WHERE p.is_online <> excluded.is_online
    RETURNING p.user_id
)
INSERT INTO webhook_outbox
    (webhook_id, content, encrypted_content, encryption_iv, encryption_scheme)
SELECT webhook_id, content, encrypted_content, encryption_iv, encryption_scheme FROM given
WHERE user_id IS NULL OR user_id IN (SELECT user_id FROM changed)
ON CONFLICT (webhook_id) DO NOTHING
"""
CLAIM = """
UPDATE webhook_outbox o
SET attempts = o.attempts + 1, next_attempt_at = now() + $2::float8 * interval '1 second'
FROM (
    SELECT position FROM webhook_outbox
    WHERE given_up_at IS NULL AND next_attempt_at <= now()
    ORDER BY next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED
) due
WHERE o.position = due.position
RETURNING o.position, o.webhook_id, o.attempts, date_part('epoch', now() - o.created_at)::float8,
    o.content, o.encrypted_content, o.encryption_iv, o.encryption_scheme
"""
DELIVERED = "DELETE FROM webhook_outbox WHERE position = ANY ($1::bigint[])"
# Without a pause nobody tries again.
FAILED = """
UPDATE webhook_outbox o
SET next_attempt_at = now() + coalesce(f.pause, 0) * interval '1 second', last_error = f.error,
    given_up_at = CASE WHEN f.pause IS NULL THEN now() END
FROM unnest($1::bigint[], $2::float8[], $3::text[]) AS f (position, pause, error)
WHERE o.position = f.position
"""
CLEAN = """
DELETE FROM webhook_outbox WHERE position IN (
    SELECT position FROM webhook_outbox
    WHERE given_up_at < now() - $2::float8 * interval '1 second' ORDER BY given_up_at LIMIT $1)
"""
MEASURE = """
SELECT count(*) FROM (SELECT FROM webhook_outbox WHERE given_up_at IS NULL LIMIT $1) waiting
"""


class Webhook(NamedTuple):
    """One that is to be delivered now; ``age`` in seconds, no body: it cannot be decrypted."""

    position: int
    webhook_id: str
    attempts: int  # this one included
    age: float
    body: bytes | None


class Failure(NamedTuple):
    """A try that was in vain; seconds until the next, None: there will be none."""

    position: int
    pause: float | None
    error: str


class _Change(NamedTuple):
    """Columns of ``webhook_presence``."""

    user_id: str | None = None
    username: str | None = None
    display_name: str | None = None
    is_online: bool | None = None


NO_CHANGE = _Change()


class _Job(NamedTuple):
    webhook_id: str
    sealed: Sealed
    change: _Change
    future: "asyncio.Future[None]"


class WebhookOutbox:
    """Stores webhooks, hands them out to be delivered, and forgets them.

    Attributes:
        stored: Webhooks that were stored here.
        dropped: Those that could not be.
        depth: How many waited at the last look, at most ``MOST_COUNTED``.
        news: Set when there is something to deliver.
    """

    def __init__(self, pool: "Pool", cipher: Cipher, *, max_waiting: int = MAX_WAITING) -> None:
        """Take the pool, what encrypts, and how many may wait to be stored."""
        self._pool = pool
        self._cipher = cipher
        self._max_waiting = max_waiting
        self._waiting: deque[_Job] = deque()
        self._task: asyncio.Task[None] | None = None
        self._is_stopped = False
        self.stored = 0
        self.dropped = 0
        self.depth = 0
        self.news = asyncio.Event()

    def put(self, webhook_id: str, body: bytes) -> "asyncio.Future[None]":
        """Store one webhook; the result is there when it is durable.

        One whose id is there already is not stored again.

        Raises:
            ServiceUnavailable: too many wait, or it cannot be encrypted; it is not stored.
        """
        return self._put(webhook_id, body, NO_CHANGE)

    def put_change(
        self, webhook_id: str, body: bytes, user: User, is_online: bool
    ) -> "asyncio.Future[None]":
        """Store that a user came or went, unless it is what the backend was told last of him.

        Raises:
            ServiceUnavailable: as in ``put``.
        """
        change = _Change(user.user_id, user.username, user.display_name, is_online)
        return self._put(webhook_id, body, change)

    def _put(self, webhook_id: str, body: bytes, change: _Change) -> "asyncio.Future[None]":
        if self._is_stopped or len(self._waiting) >= self._max_waiting:
            self._drop("too many wait")
            raise ServiceUnavailable
        try:
            sealed = self._cipher.seal(body.decode(), webhook_id, "")
        except EncryptionFailed:
            self._drop("encryption failed")
            raise ServiceUnavailable("The webhook could not be encrypted.") from None
        loop = asyncio.get_running_loop()
        job = _Job(webhook_id, sealed, change, loop.create_future())
        self._waiting.append(job)
        if self._task is None:
            self._task = loop.create_task(self._work_off())
        return job.future

    async def drain(self, timeout: float) -> None:
        """Store what was accepted, for at most some seconds; the rest is refused."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=timeout)
        self._is_stopped = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        while self._waiting:
            self._refuse(self._waiting.popleft(), "the server stops")

    async def claim(self, limit: int, seconds: float) -> list[Webhook]:
        """Return webhooks whose time has come; nobody else gets them for some seconds.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        rows = await self._pool.fetch(CLAIM, limit, seconds, timeout=DEADLINE, name="webhooks")
        found = [
            Webhook(position, webhook_id, attempts, age, self._open(webhook_id, OwnRow(*sealed)))
            for position, webhook_id, attempts, age, *sealed in rows
        ]
        return sorted(found, key=lambda webhook: webhook.position)

    async def settle(self, delivered: Sequence[int], failed: Sequence[Failure]) -> None:
        """Forget what was delivered, by position, and note when to try the rest again.

        Raises:
            ServiceUnavailable: the database did not answer; it may be done.
        """
        if delivered:
            await self._pool.execute(DELIVERED, [*delivered], timeout=DEADLINE, name="webhooks")
        if failed:
            columns = [[*column] for column in zip(*failed, strict=True)]
            await self._pool.execute(FAILED, *columns, timeout=DEADLINE, name="webhooks")

    async def clean(self, now: float) -> int:
        """Clear away what was given up long ago; return how many.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        tag = await self._pool.execute(CLEAN, SLICE, KEPT, timeout=DEADLINE, name="cleaning")
        row = await self._pool.fetchrow(MEASURE, MOST_COUNTED, timeout=DEADLINE, name="cleaning")
        self.depth = row[0] if row is not None else 0
        return int(tag.rpartition(" ")[2])

    async def _work_off(self) -> None:
        """Store what waits, many at once, however long the database is away."""
        while self._waiting:
            jobs = self._next_batch()
            try:
                stored = await self._store(jobs)
            except ServiceUnavailable:
                await asyncio.sleep(PAUSE)
                continue
            except Exception:
                log.exception("webhooks could not be stored")
                for job in jobs:
                    self._waiting.popleft()
                    self._refuse(job, "the database refused it")
                continue
            self.stored += stored
            for job in jobs:
                self._waiting.popleft()
                if not job.future.done():
                    job.future.set_result(None)
            self.news.set()
        self._task = None

    def _next_batch(self) -> list[_Job]:
        """Return the first that wait, of each user one change at most."""
        jobs: list[_Job] = []
        changed: set[str] = set()
        for job in islice(self._waiting, MAX_BATCH):
            user_id = job.change.user_id
            if user_id is not None:
                if user_id in changed:
                    break
                changed.add(user_id)
            jobs.append(job)
        return jobs

    async def _store(self, jobs: Sequence[_Job]) -> int:
        """Store some at once; return how many are new."""
        sealed = [job.sealed for job in jobs]
        columns: list[list[Any]] = [
            [job.webhook_id for job in jobs],
            [each.content for each in sealed],
            [each.encrypted_content for each in sealed],
            [each.encryption_iv for each in sealed],
            [each.encryption_scheme for each in sealed],
        ]
        statement = STORE
        if any(job.change.user_id is not None for job in jobs):
            statement = STORE_CHANGES
            changes = zip(*(job.change for job in jobs), strict=True)
            columns += [[*column] for column in changes]
        tag = await self._pool.execute(statement, *columns, timeout=DEADLINE, name="webhooks")
        return int(tag.rpartition(" ")[2])

    def _refuse(self, job: _Job, reason: str) -> None:
        self._drop(reason)
        if not job.future.done():
            job.future.set_exception(ServiceUnavailable())
            job.future.exception()  # nobody has to wait for it

    def _drop(self, reason: str) -> None:
        self.dropped += 1
        log.error("a webhook could not be stored: %s", reason)

    def _open(self, webhook_id: str, row: OwnRow) -> bytes | None:
        try:
            return self._cipher.open(row, webhook_id).encode()
        except Undecryptable:
            return None  # counted and logged by the cipher
