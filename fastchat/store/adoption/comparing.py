"""Compares what was copied with what it was copied from: counts, a digest, and the order.

A row's digest is a hash of 64 bits over all that was copied of it, and the digest of many rows is
their sum. Rows that wait to be copied again are left out, and compared once they were.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from fastchat.store.adoption import NEXT, WORK, AdoptionError
from fastchat.store.adoption.messages import COLUMNS
from fastchat.store.adoption.workplace import key_of, ordered

if TYPE_CHECKING:
    from asyncpg import Connection

    from fastchat.store.adoption.old_tables import OldTables

MOST_SHOWN = 5  # ids in a sentence
MOST_REPAIRED = 10_000  # ids of one slice

_OLD = f"hashtextextended(ROW ({', '.join(COLUMNS.values())})::text, 0)::numeric"
_NEW = f"hashtextextended(ROW ({', '.join(f'm.{name}' for name in COLUMNS)})::text, 0)::numeric"
_MESSAGES = f"""
WITH compared AS MATERIALIZED (
    SELECT v.id, {_OLD} AS old, CASE WHEN m.seq IS NOT NULL THEN {_NEW} END AS new
    FROM ({{source}}) v
    LEFT JOIN {WORK}.kept k ON k.id = v.id
    LEFT JOIN {NEXT}.chat_messages m ON m.message_id = v.id
    WHERE NOT EXISTS (SELECT FROM {WORK}.left_out l WHERE l.id = v.id)
      AND NOT EXISTS (SELECT FROM {WORK}.changes c WHERE c.kind = 'messages' AND c.key = v.id)
)
SELECT count(*), coalesce(sum(old), 0), coalesce(sum(new), 0),
    (array_agg(id) FILTER (WHERE old IS DISTINCT FROM new))[:{MOST_REPAIRED}],
    count(*) FILTER (WHERE old IS DISTINCT FROM new)
FROM compared
"""
# Sorted by the primary key already; only equal times are sorted once more.
_ORDER = f"""
SELECT count(*), (array_agg(DISTINCT room_id))[:{MOST_SHOWN}] FROM (
    SELECT m.room_id, m.seq, row_number() OVER (
        PARTITION BY m.room_id ORDER BY m.created_at, {{stored}}) AS expected
    FROM {NEXT}.chat_messages m WHERE {{rooms}}
) m WHERE m.seq <> m.expected
"""
_COUNTERS = f"""
SELECT count(*), (array_agg(m.room_id))[:{MOST_SHOWN}] FROM {NEXT}.chat_rooms m
WHERE {{rooms}} AND m.seq <> (
    SELECT count(*) FROM {NEXT}.chat_messages x WHERE x.room_id = m.room_id)
"""
_PLAINTEXT = f"""
SELECT count(*) FROM {NEXT}.chat_messages m
WHERE {{rooms}} AND m.content IS NOT NULL AND m.encrypted_content IS NOT NULL
"""
# Of each other table: what there should be, and what there is.
_OTHERS = {
    "reactions": (
        f"""SELECT count(*), coalesce(sum(hashtextextended(ROW (v.*)::text, 0)::numeric), 0) FROM (
    SELECT DISTINCT ON (v.id, v.user_id) v.id, v.user_id, v.reaction
    FROM {WORK}.old_reactions v JOIN {NEXT}.chat_messages m ON m.message_id = v.id
    WHERE NOT m.is_deleted AND {{settled}}
    ORDER BY v.id, v.user_id, v.reacted_at DESC, v.reaction) v""",
        f"""SELECT count(*), coalesce(sum(hashtextextended(ROW (v.*)::text, 0)::numeric), 0) FROM (
    SELECT m.message_id AS id, x.user_id, x.reaction
    FROM {NEXT}.chat_reactions x JOIN {NEXT}.chat_messages m ON m.room_id = x.room_id
        AND m.seq = x.seq) v WHERE {{settled}}""",
    ),
    "message_removals": (
        f"""SELECT count(*), coalesce(sum(hashtextextended(ROW (v.*)::text, 0)::numeric), 0) FROM (
    SELECT DISTINCT v.id, v.user_id
    FROM {WORK}.old_message_removals v JOIN {NEXT}.chat_messages m ON m.message_id = v.id
    WHERE NOT m.is_deleted AND {{settled}}) v""",
        f"""SELECT count(*), coalesce(sum(hashtextextended(ROW (v.*)::text, 0)::numeric), 0) FROM (
    SELECT m.message_id AS id, x.user_id
    FROM {NEXT}.message_removals x JOIN {NEXT}.chat_messages m ON m.room_id = x.room_id
        AND m.seq = x.seq) v WHERE {{settled}}""",
    ),
    "groups": (
        f"""SELECT count(*), coalesce(sum(hashtextextended(ROW (v.*)::text, 0)::numeric), 0) FROM (
    SELECT DISTINCT v.id, v.group_name, v.group_description, v.created_by, v.max_members
    FROM {WORK}.old_groups v WHERE {{settled}}) v""",
        f"""SELECT count(*), coalesce(sum(hashtextextended(ROW (v.*)::text, 0)::numeric), 0) FROM (
    SELECT g.group_id AS id, g.group_name, g.group_description, g.created_by, g.max_members
    FROM {NEXT}.chat_groups g WHERE EXISTS (
        SELECT FROM {WORK}.old_groups v WHERE v.id = g.group_id)) v WHERE {{settled}}""",
    ),
    "members": (
        f"""SELECT count(*), coalesce(sum(hashtextextended(ROW (v.*)::text, 0)::numeric), 0) FROM (
    SELECT DISTINCT v.id, v.user_id
    FROM {WORK}.old_members v JOIN {NEXT}.chat_groups g ON g.group_id = v.id
    WHERE g.deleted_at IS NULL AND {{settled}}) v""",
        f"""SELECT count(*), coalesce(sum(hashtextextended(ROW (v.*)::text, 0)::numeric), 0) FROM (
    SELECT g.group_id AS id, p.user_id
    FROM {NEXT}.group_participants p JOIN {NEXT}.chat_groups g ON g.room_id = p.room_id) v
    WHERE {{settled}}""",
    ),
    "events": (
        f"""SELECT count(*), coalesce(sum(hashtextextended(v.id, 0)::numeric), 0)
FROM {WORK}.old_events v WHERE {{settled}}""",
        f"""SELECT count(*), coalesce(sum(hashtextextended(v.id, 0)::numeric), 0)
FROM {WORK}.events v WHERE {{settled}}""",
    ),
    "users": (
        f"""SELECT count(*), coalesce(sum(hashtextextended(ROW (v.*)::text, 0)::numeric), 0) FROM (
    SELECT v.id, v.username, v.email, v.first_name, v.last_name, v.display_name
    FROM {WORK}.old_users v WHERE {{settled}}) v""",
        f"""SELECT count(*), coalesce(sum(hashtextextended(ROW (v.*)::text, 0)::numeric), 0) FROM (
    SELECT u.user_id AS id, u.username, u.email, u.first_name, u.last_name, u.display_name
    FROM {NEXT}.chat_users u) v WHERE {{settled}}""",
    ),
}
_SETTLED = f"""NOT EXISTS (SELECT FROM {WORK}.changes c
        WHERE c.kind IN ('{{kind}}', 'messages') AND c.key = v.id)"""


class Compared(NamedTuple):
    """Rows of a kind that were compared, with the digest of each side."""

    kind: str
    old_rows: int
    new_rows: int
    old_digest: int
    new_digest: int

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs."""
        return (self.old_rows, self.old_digest) == (self.new_rows, self.new_digest)


class Difference(AdoptionError):
    """The copy is not what it was copied from; names what differs.

    Attributes:
        ids: Messages that are to be copied once more.
    """

    def __init__(self, sentence: str, ids: Sequence[str] = ()) -> None:
        """Take what is to be said."""
        super().__init__(sentence)
        self.ids = list(ids)


class Comparer:
    """Compares the copy with the old tables; each method is one statement or few."""

    def __init__(self, connection: "Connection", tables: "OldTables") -> None:
        """Take the one connection, and what was copied."""
        self._connection = connection
        self._tables = tables
        self._key = key_of(tables, "messages")
        self._stored = ordered("m.message_id", tables.message_id_type, is_text=True)

    async def slice(self, after: str | None, limit: int) -> tuple[list[Any], str | None]:
        """Compare the next messages in the order of their old key.

        Returns:
            How many were compared, their digest in the old and in the new table, and the last key,
            None at the end.

        Raises:
            Difference: they differ.
        """
        condition, arguments = "", []
        if after is not None:
            condition = f"WHERE message_id > $1::text::{self._key.partition('::')[2]}"
            arguments = [after]
        source = f"SELECT * FROM {WORK}.old_messages {condition} ORDER BY message_id LIMIT {limit}"
        found = await self._compare(source, arguments)
        last = await self._connection.fetchval(
            f"SELECT message_id::text AS key FROM ({source}) v ORDER BY v.message_id DESC LIMIT 1",
            *arguments,
        )
        return found, last

    async def changed(self) -> list[Any]:
        """Compare the messages that were copied again since all were compared.

        Raises:
            Difference: they differ.
        """
        return await self._compare(
            f"SELECT o.* FROM {WORK}.uncompared k "
            f"JOIN {WORK}.old_messages o ON o.message_id = {self._key.replace('k.key', 'k.id')}",
            [],
        )

    async def _compare(self, source: str, arguments: Sequence[Any]) -> list[Any]:
        row = await self._connection.fetchrow(_MESSAGES.format(source=source), *arguments)
        count, old, new, ids, differing = row
        if differing:
            raise Difference(
                f"the digests differ: found {int(new):x}, expected {int(old):x}; {differing} of "
                f"{count} messages are not what they are in the old table, such as "
                f"{', '.join(ids[:MOST_SHOWN])}; the next run copies them once more",
                ids,
            )
        return [count, int(old), int(new)]

    async def order(self, first_room: int, last_room: int) -> None:
        """Look whether ``seq`` counts 1, 2, 3 … by time, and no plaintext is beside a ciphertext.

        Raises:
            Difference: it does not.
        """
        await self._look_at(f"m.room_id BETWEEN {first_room} AND {last_room}")

    async def order_of_changed(self) -> None:
        """Look at the rooms of messages that were copied again.

        Raises:
            Difference: their order is broken.
        """
        await self._look_at(f"m.room_id = ANY (ARRAY(SELECT room_id FROM {WORK}.unchecked))")

    async def _look_at(self, rooms: str) -> None:
        row = await self._connection.fetchrow(_ORDER.format(stored=self._stored, rooms=rooms))
        if row[0]:
            raise Difference(f"{row[0]} messages are out of order, in rooms {row[1]}")
        row = await self._connection.fetchrow(_COUNTERS.format(rooms=rooms))
        if row[0]:
            raise Difference(f"{row[0]} rooms have not counted their messages, such as {row[1]}")
        found = await self._connection.fetchval(_PLAINTEXT.format(rooms=rooms))
        if found:
            raise Difference(f"{found} messages have their plaintext beside the ciphertext")

    async def count(self) -> tuple[int, int, int]:
        """Count messages: the old ones, those that were copied, and those that were left out.

        Raises:
            Difference: the sum is not right.
        """
        old, new, left_out = [
            await self._connection.fetchval(f"SELECT count(*) FROM {table}")
            for table in (
                self._tables.messages.name,
                f"{NEXT}.chat_messages",
                f"{WORK}.left_out",
            )
        ]
        if old != new + left_out:
            raise Difference(
                f"the old table has {old} messages, the copy {new}, and {left_out} were left out: "
                f"expected {old - left_out} in the copy"
            )
        return old, new, left_out

    async def others(self) -> list[Compared]:
        """Compare the other tables.

        Raises:
            Difference: one of them differs.
        """
        found = []
        for kind, (old_query, new_query) in _OTHERS.items():
            if self._tables.get(kind) is None:
                continue
            settled = _SETTLED.format(kind="groups" if kind == "members" else kind)
            # In one statement, so that both sides are of the same moment.
            row = await self._connection.fetchrow(
                "SELECT o.*, n.* FROM "
                f"({old_query.format(settled=settled)}) o (old_rows, old_digest), "
                f"({new_query.format(settled=settled)}) n (new_rows, new_digest)"
            )
            compared = Compared(kind, row[0], row[2], int(row[1]), int(row[3]))
            if not compared.is_equal:
                raise Difference(
                    f"{kind}: found {compared.new_rows} rows with the digest "
                    f"{compared.new_digest:x}, expected {compared.old_rows} with "
                    f"{compared.old_digest:x}"
                )
            found.append(compared)
        return found
