"""Who a user is: one query for revocation, user and fallback, for all log-ins of a turn.

The main backend owns the users; those it does not know may be in ``chat_users``. Which of its
tables exist and of what type their ids are differs, so the SQL is made for what was found at start.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastchat.store.cache import LruCache
from fastchat.store.ids import to_native
from fastchat.store.lookups import DEADLINE, BatchedLookup

if TYPE_CHECKING:
    from fastchat.store.backend import BackendTables
    from fastchat.store.pool import Pool

PROFILES_KEPT = 20_000
PROFILE_AGE = 300.0  # seconds


@dataclass(frozen=True, slots=True)
class UserProfile:
    """A user as the database knows him; ``user_id`` is the text of its value there.

    ``has_events`` says whether queued events waited for him at that moment.
    """

    user_id: str
    username: str
    email: str | None
    first_name: str | None
    last_name: str | None
    display_name: str
    has_events: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Revoked:
    """The token is in ``jwt_revocation``."""


class Users:
    """Answers log-ins and keeps the profiles that were asked for last.

    A change of a profile in the main backend is seen after five minutes at most, at once by the
    user's next log-in.
    """

    def __init__(
        self,
        pool: "Pool",
        tables: "BackendTables",
        *,
        deadline: float = DEADLINE,
        max_batch: int = 64,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the pool, what the tables look like, and seconds until a look-up is given up."""
        self._pool = pool
        self._tables = tables
        self._deadline = deadline
        self._clock = clock
        self._query = login_query(tables)
        self._types = _native_types(tables)
        self.lookups: BatchedLookup[tuple[str | None, str], UserProfile | Revoked | None]
        self.lookups = BatchedLookup(
            self._fetch, max_batch=max_batch, max_in_flight=4, deadline=deadline
        )
        self.cache: LruCache[str, UserProfile] = LruCache(PROFILES_KEPT, PROFILE_AGE)

    async def authenticate(self, jti: str | None, user_id: str) -> UserProfile | Revoked | None:
        """Return the user of a valid token, fresh from the database; None: nobody knows him.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        found = await self.lookups.get((jti, user_id))
        if isinstance(found, UserProfile):
            self.cache.put(found.user_id, found, self._clock())
        return found

    async def find(self, user_id: str) -> UserProfile | None:
        """Return a profile, at most five minutes old; None: nobody knows the user.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        profile = self.peek(user_id)
        if profile is not None:
            return profile
        found = await self.authenticate(None, user_id)
        return found if isinstance(found, UserProfile) else None

    async def find_many(self, user_ids: Iterable[str]) -> dict[str, UserProfile]:
        """Return the profiles of those who are known, at most five minutes old.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        wanted = dict.fromkeys(user_ids)
        profiles = {user_id: profile for user_id in wanted if (profile := self.peek(user_id))}
        missing = [user_id for user_id in wanted if user_id not in profiles]
        found = await asyncio.gather(*(self.authenticate(None, user_id) for user_id in missing))
        profiles |= {one.user_id: one for one in found if isinstance(one, UserProfile)}
        return profiles

    def peek(self, user_id: str) -> UserProfile | None:
        """Return the profile if it is in memory, without asking the database."""
        return self.cache.get(user_id, self._clock())

    async def fetch_revoked(self, jtis: Collection[str]) -> set[str]:
        """Return those of the token ids that are revoked.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        if not jtis:
            return set()
        query = "SELECT jti FROM revoked_tokens WHERE jti = ANY ($1::text[])"
        arguments: list[list[Any]] = [[*jtis]]
        id_type = self._tables.revocation_id_type
        if id_type is not None:
            query += (
                f" UNION ALL SELECT jti::text FROM jwt_revocation WHERE jti = ANY ($2::{id_type}[])"
            )
            arguments.append([key for jti in jtis if (key := to_native(jti, id_type)) is not None])
        rows = await self._pool.fetch(query, *arguments, timeout=self._deadline, name="revocation")
        return {row[0] for row in rows}

    async def _fetch(
        self, keys: list[tuple[str | None, str]]
    ) -> list[UserProfile | Revoked | None]:
        user_ids = [user_id for _, user_id in keys]
        arrays: list[list[Any]] = [
            [to_native(user_id, id_type) for user_id in user_ids] for id_type in self._types
        ]
        arrays.append([jti for jti, _ in keys])
        jti_type = self._tables.revocation_id_type
        if jti_type not in (None, "text"):
            arrays.append([to_native(jti, jti_type) if jti else None for jti, _ in keys])
        rows = await self._pool.fetch(
            self._query, user_ids, *arrays, timeout=self._deadline, name="users"
        )
        return [_read(row) for row in rows]


def _read(row: Any) -> UserProfile | Revoked | None:
    is_revoked, has_events, user_id, username, email, first_name, last_name, display_name = row
    if is_revoked:
        return Revoked()
    if user_id is None:
        return None
    # A backend may know a user by his id alone.
    username = username or user_id
    return UserProfile(
        user_id,
        username,
        email,
        first_name,
        last_name,
        choose_display_name(display_name, first_name, last_name, username),
        has_events,
    )


def choose_display_name(
    display_name: str | None, first_name: str | None, last_name: str | None, username: str
) -> str:
    """Return the name for people.

    Source: docs/protocol.md, "displayName".
    """
    if display_name:
        return display_name
    return " ".join(name for name in (first_name, last_name) if name) or username


def _native_types(tables: "BackendTables") -> list[str]:
    """Return the id types, besides text, in which the user ids are handed over."""
    wanted = {tables.id_type}
    if tables.id_type is not None:
        wanted.add(tables.profile_id_type)
    return sorted(name for name in wanted if name is not None and name != "text")


def login_query(tables: "BackendTables") -> str:
    """Return the query for these tables: one row for each key, in their order.

    Parameters: user ids as text, then as each of the other types in alphabetical order, then token
    ids as text and, where they are of another type in ``jwt_revocation``, as that. Each LATERAL
    takes at most one row: neither a user stored twice nor a second profile makes two of a log-in,
    and an index is used whatever the planner believes of the tables.
    """
    types = _native_types(tables)
    columns = {"text": "k.user_id"} | {name: f"k.{name}_id" for name in types}
    arrays = ["$1::text[]"] + [f"${number}::{name}[]" for number, name in enumerate(types, 2)]
    names = ["user_id"] + [f"{name}_id" for name in types]
    arrays.append(f"${len(arrays) + 1}::text[]")
    names.append("jti")
    # One look for all keys together: next to none of them is ever found.
    is_revoked = f"""k.jti = ANY (ARRAY(
    SELECT t.jti FROM revoked_tokens t WHERE t.jti = ANY (${len(arrays)}::text[])))"""
    if tables.revocation_id_type is not None:
        key = "jti"
        if tables.revocation_id_type != "text":
            key = "native_jti"
            arrays.append(f"${len(arrays) + 1}::{tables.revocation_id_type}[]")
            names.append(key)
        is_revoked += f" OR EXISTS (SELECT FROM jwt_revocation r WHERE r.jti = k.{key})"
    known = ("username", "email", "first_name", "last_name", "display_name")
    joins = ""
    backend: dict[str, str] = {}
    if tables.id_type is not None:
        joins += f"""
LEFT JOIN LATERAL (
    SELECT u.user_id, u.username, u.email FROM users_auth u
    WHERE u.user_id = {columns[tables.id_type]} LIMIT 1
) u ON true"""
        backend |= {"username": "u.username", "email": "u.email"}
        if tables.profile_id_type is not None:
            own = ["first_name", "last_name"] + ["display_name"] * tables.has_display_name
            joins += f"""
LEFT JOIN LATERAL (
    SELECT {", ".join(f"p.{name}" for name in own)} FROM user_profile_info p
    WHERE p.user_id = {columns[tables.profile_id_type]} LIMIT 1
) p ON u.user_id IS NOT NULL"""
            backend |= {name: f"p.{name}" for name in own}
        is_known, missing = "u.user_id::text", "u.user_id IS NULL"
    else:
        is_known, missing = "NULL", "true"
    # A user of the backend has nothing of a namesake in the fallback table.
    values = [f"coalesce({backend.get(name, 'NULL')}, c.{name})" for name in known]
    has_events = f"""(SELECT true FROM event_queue q
    WHERE q.user_id = coalesce({is_known}, c.user_id) COLLATE "C" AND q.delivered_at IS NULL LIMIT 1
    ) IS NOT NULL"""
    return f"""
SELECT {is_revoked}, {has_events}, coalesce({is_known}, c.user_id), {", ".join(values)}
FROM unnest({", ".join(arrays)}) WITH ORDINALITY AS k ({", ".join(names)}, position)
{joins}
LEFT JOIN chat_users c ON {missing} AND c.user_id = k.user_id
ORDER BY k.position
"""
