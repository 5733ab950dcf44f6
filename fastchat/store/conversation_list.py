"""The conversations of a user, the newest first, and what he hid of them.

The order is that of the last messages, which only ``chat_rooms`` knows: to keep it per member as
well would write two index entries more for each message. So a page looks at the counters of all
rooms of the user, about a microsecond each (benchmarks/test_conversation_list.py), and reads
messages only of the rooms on it. What the rooms hold beyond that costs nothing.

A conversation of which the user sees no message is not listed: nobody has written, or all is
deleted or hidden.
"""

from typing import TYPE_CHECKING, NamedTuple

from fastchat.errors import ResourceNotFound
from fastchat.store.history import COLUMNS, IS_READ, READ_BY_OTHER
from fastchat.store.lookups import DEADLINE, BatchedLookup
from fastchat.store.messages import LAST_SEQ, MessageRow, message_columns
from fastchat.store.rooms import AnyRoom, Group, Room

if TYPE_CHECKING:
    from fastchat.store.backend import BackendTables
    from fastchat.store.pool import Pool

# One user may have ten thousand conversations; few such lists travel together.
LISTS_PER_QUERY = 8
# So far behind the end a room is searched for unread messages; who has more is told what is there.
MOST_UNREAD = 1000

# Visible messages of others. Removals are few: subtracting them is half as dear as asking of each
# unread message whether it was removed.
_IS_UNREAD = "m.sender_id <> {user} AND NOT m.is_deleted AND NOT m.is_read"
UNREAD_COUNT = f"""(SELECT count(*) FROM chat_messages m
        WHERE m.room_id = {{room}} AND m.seq > {{after}} AND {_IS_UNREAD})
    - (SELECT count(*) FROM message_removals x CROSS JOIN LATERAL (
            SELECT m.sender_id, m.is_deleted, m.is_read FROM chat_messages m
            WHERE m.room_id = x.room_id AND m.seq = x.seq LIMIT 1
        ) m
        WHERE x.user_id = {{user}} AND x.room_id = {{room}} AND x.seq > {{after}}
          AND {_IS_UNREAD})"""
UNREAD_AFTER = f"greatest({{read_seq}}, {{hidden_seq}}, {{seq}} - {MOST_UNREAD})"

# The rooms are sorted by their counters alone. Only from there on, in that order and until the page
# is full, is anything else looked up: each LATERAL depends on the room before it.
_PAGE = f"""
WITH keys AS MATERIALIZED (
    SELECT k.*,
        (SELECT r.last_at FROM chat_rooms r WHERE r.room_id = k.before_room) AS before_at
    FROM unnest($1::integer[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
        AS k (position, user_id, wanted, skipped, before_room)
)
SELECT k.position, c.room_id, c.conversation_id, c.user1_id, c.user2_id, c.group_name,
    CASE WHEN c.user1_id IS NULL THEN (
        SELECT count(*) FROM group_participants p WHERE p.room_id = c.room_id) END,
    c.room_seq, c.room_rev,
    {UNREAD_COUNT.format(room="c.room_id", user="k.user_id", after="own.unread_after")},
    {COLUMNS}, {
    IS_READ.format(
        read_seq="CASE WHEN m.sender_id = k.user_id THEN "
        + READ_BY_OTHER.format(room="c.room_id", user="k.user_id")
        + " ELSE own.read_seq END"
    )
}
FROM keys k CROSS JOIN LATERAL (
    SELECT r.*, d.conversation_id, d.user1_id, d.user2_id, d.group_name, h.hidden_seq,
        m.seq AS last_seq
    FROM (
        SELECT r.room_id, r.seq AS room_seq, r.rev AS room_rev, r.last_at FROM chat_rooms r
        WHERE r.room_id = ANY (ARRAY(
                SELECT o.room_id FROM room_members o
                WHERE o.user_id = k.user_id AND o.left_at IS NULL))
          AND r.seq > 0
          AND (k.before_room IS NULL OR (r.last_at, r.room_id) < (k.before_at, k.before_room))
        ORDER BY r.last_at DESC, r.room_id DESC
    ) r CROSS JOIN LATERAL (
        SELECT d.conversation_id, d.user1_id, d.user2_id, NULL::text AS group_name
        FROM dm_conversations d WHERE d.room_id = r.room_id
        UNION ALL
        SELECT g.group_id, NULL, NULL, g.group_name
        FROM chat_groups g WHERE g.room_id = r.room_id AND g.deleted_at IS NULL
        LIMIT 1
    ) d CROSS JOIN LATERAL (
        SELECT coalesce((SELECT h.hidden_seq FROM conversation_removals h
            WHERE h.user_id = k.user_id AND h.room_id = r.room_id LIMIT 1), 0) AS hidden_seq
    ) h CROSS JOIN LATERAL (
        SELECT m.seq FROM chat_messages m
        WHERE m.room_id = r.room_id AND m.seq > h.hidden_seq AND NOT m.is_deleted
          AND NOT EXISTS (SELECT FROM message_removals x
              WHERE x.user_id = k.user_id AND x.room_id = r.room_id AND x.seq = m.seq)
        ORDER BY m.seq DESC LIMIT 1
    ) m
    ORDER BY r.last_at DESC, r.room_id DESC OFFSET k.skipped LIMIT k.wanted
) c CROSS JOIN LATERAL (
    SELECT m.* FROM chat_messages m WHERE m.room_id = c.room_id AND m.seq = c.last_seq LIMIT 1
) m CROSS JOIN LATERAL (
    SELECT o.read_seq, {
    UNREAD_AFTER.format(read_seq="o.read_seq", hidden_seq="c.hidden_seq", seq="c.room_seq")
} AS unread_after
    FROM room_members o WHERE o.user_id = k.user_id AND o.room_id = c.room_id LIMIT 1
) own
ORDER BY k.position, c.last_at DESC, c.room_id DESC
"""

# Of two at once the later one wins: a position never goes back.
HIDE = """
WITH noted AS (
    UPDATE room_members o SET changed_xid = pg_current_xact_id()
    WHERE o.user_id = $2 AND o.room_id = $1 AND o.left_at IS NULL
    RETURNING o.room_id
)
INSERT INTO conversation_removals AS c (user_id, room_id, hidden_seq)
SELECT $2, r.room_id, r.seq FROM chat_rooms r JOIN noted USING (room_id)
ON CONFLICT (user_id, room_id) DO UPDATE
SET hidden_seq = greatest(c.hidden_seq, excluded.hidden_seq), removed_at = excluded.removed_at
RETURNING c.hidden_seq
"""


class ListedGroup(NamedTuple):
    """What a list shows of a group."""

    name: str
    member_count: int


class ConversationEntry(NamedTuple):
    """One conversation as its reader sees it; ``seq`` and ``rev`` are the counters of the room.

    ``unread_count``: visible messages of others after his read position, among the newest
    ``MOST_UNREAD`` messages behind it.
    """

    room: AnyRoom
    group: ListedGroup | None
    seq: int
    rev: int
    unread_count: int
    last_message: MessageRow


class ConversationPage(NamedTuple):
    """Conversations, the newest first, and whether there are older ones."""

    entries: list[ConversationEntry]
    has_more: bool


class _PageKey(NamedTuple):
    user_id: str
    wanted: int
    skipped: int
    before_room: int | None


class ConversationList:
    """Lists the conversations of users; lists asked for in one turn are one query."""

    def __init__(
        self, pool: "Pool", tables: "BackendTables", *, deadline: float = DEADLINE
    ) -> None:
        """Take the pool, what the backend's tables look like, and seconds until it is given up."""
        self._pool = pool
        self.page_query = _PAGE.replace(COLUMNS, message_columns(tables))
        self._deadline = deadline
        self.pages: BatchedLookup[_PageKey, list[ConversationEntry]] = BatchedLookup(
            self._fetch_pages, max_batch=LISTS_PER_QUERY, deadline=deadline
        )

    async def page(
        self, user_id: str, limit: int, before: int | None = None, *, offset: int = 0
    ) -> ConversationPage:
        """Return one page of the user's conversations.

        Args:
            user_id: The reader.
            limit: Conversations on the page.
            before: ``room_id`` of the last conversation of the page before this one; the page is
                empty when there is no such room. Whether it is his the caller has asked. A room
                that got a message meanwhile is at the top now, and so is this page.
            offset: Conversations to skip, from the newest or from ``before``. Each skipped one
                costs some microseconds.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        key = _PageKey(user_id, limit + 1, min(offset, LAST_SEQ), before)
        entries = await self.pages.get(key)
        return ConversationPage(entries[:limit], len(entries) > limit)

    async def hide(self, room: AnyRoom, user_id: str) -> int:
        """Hide what the conversation holds now from the user; return the ``seq`` of its end.

        A message that is stored later brings it back. What is hidden already stays so.

        Raises:
            ResourceNotFound: the user is not in this room, or there is none.
            ServiceUnavailable: the database did not answer; it may be hidden all the same.
        """
        row = await self._pool.fetchrow(
            HIDE, room.room_id, user_id, timeout=self._deadline, name="hide"
        )
        if row is None:
            raise ResourceNotFound
        hidden_seq: int = row[0]
        return hidden_seq

    async def _fetch_pages(self, keys: list[_PageKey]) -> list[list[ConversationEntry]]:
        rows = await self._pool.fetch(
            self.page_query,
            list(range(len(keys))),
            *map(list, zip(*keys, strict=True)),
            timeout=self._deadline,
            name="conversations",
        )
        pages: list[list[ConversationEntry]] = [[] for _ in keys]
        for row in rows:
            is_group = row[3] is None
            entry = ConversationEntry(
                Group(*row[1:3]) if is_group else Room(*row[1:5]),
                ListedGroup(*row[5:7]) if is_group else None,
                row[7],
                row[8],
                row[9],
                MessageRow._make(row[10:]),
            )
            pages[row[0]].append(entry)
        return pages
