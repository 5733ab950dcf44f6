"""Where the profile pictures are: addresses only, the pictures are the main backend's.

A user's address stands in ``user_profile_info.profile_picture_url`` where that column exists;
otherwise, and for communities always, it is made of a template. What was looked up is kept for five
minutes, also that there is none.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from fastchat.store.cache import LruCache
from fastchat.store.ids import to_native
from fastchat.store.lookups import DEADLINE, BatchedLookup

if TYPE_CHECKING:
    from fastchat.store.backend import BackendTables
    from fastchat.store.pool import Pool

PICTURES_KEPT = 1000
PICTURE_AGE = 300.0  # seconds
# Longer ones count as no picture: fifty of them must fit into an answer.
MAX_URL_SIZE = 4096  # bytes
USER = "user"
COMMUNITY = "community"
_NONE = ""  # in memory: there is no picture

PICTURES = f"""
SELECT (SELECT p.profile_picture_url::text FROM user_profile_info p
    WHERE p.user_id = k.user_id AND octet_length(p.profile_picture_url::text) <= {MAX_URL_SIZE}
    LIMIT 1)
FROM unnest($1::{{id_type}}[]) WITH ORDINALITY AS k (user_id, position)
ORDER BY k.position
"""


class Owner(NamedTuple):
    """Whose picture it is: ``kind`` is ``user`` or ``community``."""

    kind: str
    id: str


class Pictures:
    """Finds the addresses of pictures.

    Attributes:
        cache: Addresses by user; it counts its hits.
        lookups: Questions to the database.
    """

    def __init__(
        self,
        pool: "Pool",
        tables: "BackendTables",
        url_template: str = "",
        *,
        deadline: float = DEADLINE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the pool, what the tables look like, and the template; empty: there is none."""
        self._pool = pool
        self._id_type = tables.profile_id_type if tables.has_picture_url else None
        self._url_template = url_template
        self._deadline = deadline
        self._clock = clock
        self.cache: LruCache[str, str] = LruCache(PICTURES_KEPT, PICTURE_AGE)
        self.lookups: BatchedLookup[str, str] = BatchedLookup(self._fetch, deadline=deadline)

    async def find_many(self, owners: Iterable[Owner]) -> dict[Owner, str | None]:
        """Return the address of each one's picture, at most five minutes old; None: there is none.

        Whether somebody with this id exists is not asked: a template has an address for everyone.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        wanted = dict.fromkeys(owners)
        if self._id_type is None:
            return {owner: self._fill_template(owner) for owner in wanted}
        users = [owner.id for owner in wanted if owner.kind == USER]
        found = dict(zip(users, await self._find_users(users), strict=True))
        return {
            owner: found[owner.id] or None if owner.kind == USER else self._fill_template(owner)
            for owner in wanted
        }

    async def _find_users(self, user_ids: list[str]) -> list[str]:
        now = self._clock()
        known = {user_id: self.cache.get(user_id, now) for user_id in user_ids}
        missing = [user_id for user_id, url in known.items() if url is None]
        for user_id, url in zip(missing, await self._look_up(missing), strict=True):
            known[user_id] = url
            self.cache.put(user_id, url, now)
        return [known[user_id] or _NONE for user_id in user_ids]

    async def _look_up(self, user_ids: list[str]) -> list[str]:
        # All of them wait in this turn, so they go as one query.
        return await asyncio.gather(*(self.lookups.get(user_id) for user_id in user_ids))

    def _fill_template(self, owner: Owner) -> str | None:
        if not self._url_template:
            return None
        # The kind first: an id may hold anything, and is quoted so that it stays one segment.
        address = self._url_template.replace("{type}", owner.kind)
        return address.replace("{id}", quote(owner.id, safe=""))

    async def _fetch(self, user_ids: list[str]) -> list[str]:
        id_type = self._id_type or "text"
        keys = [to_native(user_id, id_type) for user_id in user_ids]
        rows = await self._pool.fetch(
            PICTURES.format(id_type=id_type), keys, timeout=self._deadline, name="pictures"
        )
        return [_usable(row[0]) for row in rows]


def _usable(url: str | None) -> str:
    """Return the address; control characters in it would be six times as long in JSON."""
    return url if url and url.isprintable() else _NONE
