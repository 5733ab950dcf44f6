"""Who is in a group: fresh from the database for decisions, from memory for the fan-out.

Every change of a group or of its members moves the ``group_rev`` of its room. What stores a message
returns the ``group_rev`` it was stored at, so the fan-out knows whether the list in memory is that
of this very moment or has to be read again.
"""

from typing import TYPE_CHECKING, NamedTuple

from fastchat.store.cache import LruCache
from fastchat.store.lookups import DEADLINE, BatchedLookup

if TYPE_CHECKING:
    from fastchat.store.pool import Pool

LISTS_KEPT = 20_000
LISTS_PER_QUERY = 32  # a list may have hundreds of members

OWNER, ADMIN, MEMBER = "owner", "admin", "member"

MEMBER_COLUMNS = """p.user_id, p.role, p.can_send_messages, p.can_add_members,
    date_part('epoch', p.joined_at)"""
ONE = f"""
SELECT {MEMBER_COLUMNS}
FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS k (room_id, user_id, position)
LEFT JOIN group_participants p ON p.room_id = k.room_id AND p.user_id = k.user_id
ORDER BY k.position
"""
ALL = f"""
SELECT {MEMBER_COLUMNS} FROM group_participants p WHERE p.room_id = $1
ORDER BY p.joined_at, p.user_id
"""
LISTS = """
SELECT r.group_rev, ARRAY(
    SELECT p.user_id FROM group_participants p WHERE p.room_id = r.room_id)
FROM unnest($1::bigint[]) WITH ORDINALITY AS k (room_id, position)
LEFT JOIN chat_rooms r ON r.room_id = k.room_id
ORDER BY k.position
"""


class Member(NamedTuple):
    """One member of a group; ``joined_at`` is epoch seconds."""

    user_id: str
    role: str
    can_send_messages: bool
    can_add_members: bool
    joined_at: float

    @property
    def is_admin(self) -> bool:
        """Whether he may do what admins may."""
        return self.role != MEMBER


class MemberList(NamedTuple):
    """The members of a group as of ``group_rev``."""

    group_rev: int
    user_ids: tuple[str, ...]


class Memberships:
    """Answers who is in a group; questions of one turn travel together."""

    def __init__(self, pool: "Pool", *, deadline: float = DEADLINE) -> None:
        """Take the pool, and seconds after which a question is given up."""
        self._pool = pool
        self._deadline = deadline
        self.members: BatchedLookup[tuple[int, str], Member | None] = BatchedLookup(
            self._fetch_members, deadline=deadline
        )
        self.lists: BatchedLookup[int, MemberList] = BatchedLookup(
            self._fetch_lists, max_batch=LISTS_PER_QUERY, deadline=deadline
        )
        self.cache: LruCache[int, MemberList] = LruCache(LISTS_KEPT)

    async def find(self, room_id: int, user_id: str) -> Member | None:
        """Return a member of a group, fresh from the database; None: he is not in it.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        return await self.members.get((room_id, user_id))

    async def find_all(self, room_id: int) -> list[Member]:
        """Return the members of a group, who came first is first.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        rows = await self._pool.fetch(ALL, room_id, timeout=self._deadline, name="members")
        return [Member._make(row) for row in rows]

    def peek(self, room_id: int, group_rev: int = 0) -> tuple[str, ...] | None:
        """Return who is in a group if memory knows it as of ``group_rev`` or later."""
        known = self.cache.get(room_id)
        return known.user_ids if known is not None and known.group_rev >= group_rev else None

    async def fetch_list(self, room_id: int) -> MemberList:
        """Return who is in a group now, and remember it.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        found = await self.lists.get(room_id)
        known = self.cache.get(room_id)
        if known is None or known.group_rev <= found.group_rev:
            self.cache.put(room_id, found)
        return found

    def forget(self, room_id: int) -> None:
        """Drop a list that is no longer true."""
        self.cache.forget(room_id)

    async def _fetch_members(self, keys: list[tuple[int, str]]) -> list[Member | None]:
        rows = await self._pool.fetch(
            ONE, *map(list, zip(*keys, strict=True)), timeout=self._deadline, name="members"
        )
        return [None if row[0] is None else Member._make(row) for row in rows]

    async def _fetch_lists(self, keys: list[int]) -> list[MemberList]:
        rows = await self._pool.fetch(LISTS, keys, timeout=self._deadline, name="members")
        return [MemberList(group_rev or 0, tuple(user_ids)) for group_rev, user_ids in rows]
