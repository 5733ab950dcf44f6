"""Pages of a room, by position: a page costs the same at its end and a million messages deep.

``seq`` has no gaps, so the n-th newest message is found by arithmetic. Only hidden messages
(deleted for everyone, or removed by the reader) disturb it. They are few and have indexes of their
own, so the start of a page is moved by their number. What a reader hid by deleting the conversation
ends at a position; no page goes below it.

Nothing here asks whether the reader is in the room: the caller has done that.
"""

from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from fastchat.store.lookups import DEADLINE, BatchedLookup
from fastchat.store.messages import (
    LAST_SEQ,
    MessageRef,
    MessageRow,
    message_columns,
    parse_reference,
)

if TYPE_CHECKING:
    from fastchat.store.backend import BackendTables
    from fastchat.store.pool import Pool

# A page of 200 long messages is large; few of them travel together.
PAGES_PER_QUERY = 16
MOST_PINNED = 200  # messages in one list
FEW = 100  # messages that are skipped one by one

COLUMNS = "$message_columns$"  # where message_columns belong

IS_READ = "m.is_read OR m.seq <= coalesce({read_seq}, 0)"
OWN_READ = """(SELECT o.read_seq FROM room_members o
    WHERE o.room_id = {room} AND o.user_id = {user} LIMIT 1)"""

# In a group nobody is "the other", and nobody is told who has read.
READ_BY_OTHER = """(SELECT o.read_seq FROM room_members o
    WHERE o.room_id = {room} AND o.user_id <> {user}
      AND (SELECT true FROM chat_groups g WHERE g.room_id = {room} LIMIT 1) IS NULL LIMIT 1)"""

HIDDEN_SEQ = """coalesce((SELECT c.hidden_seq FROM conversation_removals c
    WHERE c.user_id = k.user_id AND c.room_id = k.room_id LIMIT 1), 0)"""

# A page going back from the newest message, or from `before_seq`. One row more than wanted is read:
# it tells whether there are more.
#
# The walk to the start of a page: as far back as messages are to be skipped; then once more by the
# number of hidden ones passed, and so on, until few are left to skip, which the page does itself.
# No hidden message below is read.
_PAGES_BACK = f"""
WITH keys AS MATERIALIZED (
    SELECT k.*,
        least(
            k.before_seq - 1, (SELECT r.seq FROM chat_rooms r WHERE r.room_id = k.room_id)
        ) AS top,
        {HIDDEN_SEQ} AS hidden_seq,
        {OWN_READ.format(room="k.room_id", user="k.user_id")} AS own_read,
        {READ_BY_OTHER.format(room="k.room_id", user="k.user_id")} AS other_read
    FROM unnest($1::integer[], $2::bigint[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[])
        AS k (position, room_id, user_id, wanted, skipped, before_seq)
)
SELECT k.position, {COLUMNS}, {
    IS_READ.format(
        read_seq="CASE WHEN m.sender_id = k.user_id THEN k.other_read ELSE k.own_read END"
    )
}
FROM keys k CROSS JOIN LATERAL (
    WITH RECURSIVE walk (place, left_to_skip) AS (
        SELECT k.top, k.skipped
        UNION ALL
        SELECT w.place - w.left_to_skip, h.passed FROM walk w CROSS JOIN LATERAL (
            SELECT count(*) AS passed FROM (
                SELECT d.seq FROM chat_messages d
                WHERE d.room_id = k.room_id AND d.is_deleted
                  AND d.seq > w.place - w.left_to_skip AND d.seq <= w.place
                UNION
                SELECT x.seq FROM message_removals x
                WHERE x.user_id = k.user_id AND x.room_id = k.room_id
                  AND x.seq > w.place - w.left_to_skip AND x.seq <= w.place
            ) hidden
        ) h WHERE w.left_to_skip > {FEW}
    )
    SELECT w.place, w.left_to_skip FROM walk w ORDER BY w.place LIMIT 1
) start CROSS JOIN LATERAL (
    SELECT m.* FROM chat_messages m
    WHERE m.room_id = k.room_id AND m.seq <= start.place AND m.seq > k.hidden_seq
      AND NOT m.is_deleted
      AND NOT EXISTS (SELECT FROM message_removals x
          WHERE x.user_id = k.user_id AND x.room_id = k.room_id AND x.seq = m.seq)
    ORDER BY m.seq DESC OFFSET start.left_to_skip LIMIT k.wanted
) m
"""

# A page going forward from `after_seq`, up to `before_seq`.
_PAGES_FORWARD = f"""
WITH keys AS MATERIALIZED (
    SELECT k.*,
        {HIDDEN_SEQ} AS hidden_seq,
        {OWN_READ.format(room="k.room_id", user="k.user_id")} AS own_read,
        {READ_BY_OTHER.format(room="k.room_id", user="k.user_id")} AS other_read
    FROM unnest($1::integer[], $2::bigint[], $3::text[], $4::integer[], $5::bigint[], $6::bigint[])
        AS k (position, room_id, user_id, wanted, after_seq, before_seq)
)
SELECT k.position, {COLUMNS}, {
    IS_READ.format(
        read_seq="CASE WHEN m.sender_id = k.user_id THEN k.other_read ELSE k.own_read END"
    )
}
FROM keys k CROSS JOIN LATERAL (
    SELECT m.* FROM chat_messages m
    WHERE m.room_id = k.room_id AND m.seq > greatest(k.after_seq, k.hidden_seq)
      AND m.seq < k.before_seq
      AND NOT m.is_deleted
      AND NOT EXISTS (SELECT FROM message_removals x
          WHERE x.user_id = k.user_id AND x.room_id = k.room_id AND x.seq = m.seq)
    ORDER BY m.seq LIMIT k.wanted
) m
"""

_SINGLE = f"""
SELECT k.position, {COLUMNS}, {
    IS_READ.format(read_seq=READ_BY_OTHER.format(room="m.room_id", user="m.sender_id"))
}
FROM unnest($1::integer[], $2::bigint[], $3::bigint[]) AS k (position, room_id, seq)
CROSS JOIN LATERAL (
    -- With the limit the keys come first in every plan, also in one for an empty table.
    SELECT m.* FROM chat_messages m WHERE m.room_id = k.room_id AND m.seq = k.seq LIMIT 1
) m
"""

# Few messages are pinned, and they have an index of their own.
_PINNED = f"""
SELECT {COLUMNS}, {
    IS_READ.format(read_seq=READ_BY_OTHER.format(room="k.room_id", user="m.sender_id"))
}
FROM (SELECT $1::bigint AS room_id, $2::text AS user_id) k CROSS JOIN LATERAL (
    SELECT m.* FROM chat_messages m
    WHERE m.room_id = k.room_id AND m.pinned_at IS NOT NULL AND NOT m.is_deleted
      AND m.seq > {HIDDEN_SEQ}
      AND NOT EXISTS (SELECT FROM message_removals x
          WHERE x.user_id = k.user_id AND x.room_id = k.room_id AND x.seq = m.seq)
    ORDER BY m.seq DESC LIMIT {MOST_PINNED}
) m ORDER BY m.seq
"""

OLD_IDS = """
SELECT message_id, room_id, seq FROM chat_messages
WHERE message_id = ANY ($1::text[]) AND message_id IS NOT NULL
"""


class Page(NamedTuple):
    """Messages, the oldest first, and whether there are more in the direction of reading."""

    messages: list[MessageRow]
    has_more: bool


class _PageKey(NamedTuple):
    room_id: int
    user_id: str
    wanted: int
    start: int  # going back: visible messages to skip; going forward: the seq before the first
    before: int


class History:
    """Reads what is stored, as one reader sees it; questions of one turn travel together."""

    def __init__(
        self, pool: "Pool", tables: "BackendTables", *, deadline: float = DEADLINE
    ) -> None:
        """Take the pool, what the backend's tables look like, and seconds until it is given up."""
        self._pool = pool
        self.pages_back_query, self.pages_forward_query, self.single_query, self.pinned_query = (
            query.replace(COLUMNS, message_columns(tables))
            for query in (_PAGES_BACK, _PAGES_FORWARD, _SINGLE, _PINNED)
        )
        self._deadline = deadline
        self.pages_back: BatchedLookup[_PageKey, list[MessageRow]] = BatchedLookup(
            self._fetch_back, max_batch=PAGES_PER_QUERY, max_in_flight=4, deadline=deadline
        )
        self.pages_forward: BatchedLookup[_PageKey, list[MessageRow]] = BatchedLookup(
            self._fetch_forward, max_batch=PAGES_PER_QUERY, max_in_flight=4, deadline=deadline
        )
        self.singles: BatchedLookup[tuple[int, int], MessageRow | None] = BatchedLookup(
            self._fetch_singles, deadline=deadline
        )
        self.old_ids: BatchedLookup[str, MessageRef | None] = BatchedLookup(
            self._fetch_old_ids, deadline=deadline
        )

    async def page(
        self,
        room_id: int,
        user_id: str,
        limit: int,
        offset: int = 0,
        before: int | None = None,
        after: int | None = None,
    ) -> Page:
        """Return one page as the user sees it.

        Args:
            room_id: The room; one without messages has an empty page.
            user_id: The reader, whose own removals and deletion are left out.
            limit: Messages on the page.
            offset: Visible messages to skip, from the newest or from ``before``; not used with
                ``after``.
            before: The page ends below this ``seq``.
            after: The page begins above this ``seq`` and goes forward.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        end = LAST_SEQ if before is None else _bounded(before)
        if after is not None:
            key = _PageKey(room_id, user_id, limit + 1, _bounded(after), end)
            messages = await self.pages_forward.get(key)
            return Page(messages[:limit], len(messages) > limit)
        key = _PageKey(room_id, user_id, limit + 1, min(offset, LAST_SEQ >> 1), end)
        messages = await self.pages_back.get(key)
        return Page(messages[-limit:], len(messages) > limit)

    async def last(self, room_id: int, user_id: str, limit: int = 50) -> Page:
        """Return the newest messages as the user sees them.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        return await self.page(room_id, user_id, limit)

    async def pinned(self, room_id: int, user_id: str) -> list[MessageRow]:
        """Return the newest pinned messages that the user sees, the oldest first.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        rows = await self._pool.fetch(
            self.pinned_query, room_id, user_id, timeout=self._deadline, name="pinned"
        )
        return [MessageRow._make(row) for row in rows]

    async def resolve(self, message_id: str) -> MessageRef | None:
        """Return where the id of a message points, or None when no message can have it.

        An id that fastchat made says so itself and is not looked up: there may be no message.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        return parse_reference(message_id) or await self.old_ids.get(message_id)

    async def fetch_message(self, room_id: int, seq: int) -> MessageRow | None:
        """Return one message, even if it is deleted or was removed by somebody.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        return await self.singles.get((room_id, seq))

    async def _fetch_back(self, keys: list[_PageKey]) -> list[list[MessageRow]]:
        return await self._fetch_pages(self.pages_back_query, keys)

    async def _fetch_forward(self, keys: list[_PageKey]) -> list[list[MessageRow]]:
        return await self._fetch_pages(self.pages_forward_query, keys)

    async def _fetch_pages(self, query: str, keys: list[_PageKey]) -> list[list[MessageRow]]:
        rows = await self._pool.fetch(
            query,
            list(range(len(keys))),
            *map(list, zip(*keys, strict=True)),
            timeout=self._deadline,
            name="history",
        )
        pages: list[list[MessageRow]] = [[] for _ in keys]
        for row in rows:
            pages[row[0]].append(MessageRow._make(row[1:]))
        for page in pages:
            # The rows come in one direction or the other, which sorts in linear time.
            page.sort(key=attrgetter("seq"))
        return pages

    async def _fetch_singles(self, keys: list[tuple[int, int]]) -> list[MessageRow | None]:
        found: list[MessageRow | None] = [None] * len(keys)
        room_ids, seqs = map(list, zip(*keys, strict=True))
        for row in await self._pool.fetch(
            self.single_query,
            list(range(len(keys))),
            room_ids,
            seqs,
            timeout=self._deadline,
            name="history",
        ):
            found[row[0]] = MessageRow._make(row[1:])
        return found

    async def _fetch_old_ids(self, keys: list[str]) -> list[MessageRef | None]:
        rows = await self._pool.fetch(OLD_IDS, keys, timeout=self._deadline, name="history")
        found = {old_id: MessageRef(room_id, seq, old_id) for old_id, room_id, seq in rows}
        return [found.get(key) for key in keys]


def _bounded(seq: int) -> int:
    """Return a position that the database can compare with, for any number a client may send."""
    return min(max(seq, 0), LAST_SEQ)
