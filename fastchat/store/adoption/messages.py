"""Copies messages, in the order of their rooms, and numbers them.

All at first: their places are gathered in slices of the old key, sorted by one index, and copied
slice by slice, so that ``seq`` counts up as they come. Later the ones that the previous server
wrote meanwhile: these are put at the end of their rooms, changed in place or taken out, and a room
whose order is broken by it is numbered again from there on.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from fastchat.store.adoption import NEXT, WORK
from fastchat.store.adoption.workplace import key_of, ordered
from fastchat.store.cipher import Cipher, Undecryptable

if TYPE_CHECKING:
    from asyncpg import Connection

    from fastchat.store.adoption.old_tables import OldTables

_KEYS = (
    "message_id, id, sender_id, group_id, user1_id, user2_id, conversation_id, "
    "old_conversation_id, created_at"
)
_SLICE = """
INSERT INTO slice {columns} SELECT coalesce(d.room_id, g.room_id), v.* FROM ({source}) v
LEFT JOIN {next}.dm_conversations d ON v.group_id IS NULL AND d.conversation_id = v.conversation_id
LEFT JOIN {next}.chat_groups g ON v.sender_id IS NOT NULL AND g.group_id = v.group_id
"""
_MAKE_ROOMS = f"""
WITH pairs AS MATERIALIZED (
    SELECT conversation_id, user1_id, user2_id, min(created_at) AS created_at FROM slice
    WHERE room_id IS NULL AND user1_id IS NOT NULL GROUP BY 1, 2, 3
), made AS (
    INSERT INTO {NEXT}.dm_conversations (conversation_id, room_id, user1_id, user2_id, created_at)
    SELECT conversation_id, nextval('{NEXT}.chat_rooms_room_id_seq'), user1_id, user2_id, created_at
    FROM (SELECT * FROM pairs ORDER BY conversation_id) p
    RETURNING room_id, conversation_id, user1_id, user2_id, created_at
), numbered AS (
    INSERT INTO {NEXT}.chat_rooms (room_id, last_at) SELECT room_id, created_at FROM made
), joined AS (
    INSERT INTO {NEXT}.room_members (user_id, room_id)
    SELECT user1_id, room_id FROM made UNION SELECT user2_id, room_id FROM made
)
UPDATE slice s SET room_id = m.room_id FROM made m WHERE m.conversation_id = s.conversation_id
"""
_NAME_ROOMS = f"""
INSERT INTO {WORK}.names (id, room_id)
SELECT DISTINCT ON (old_conversation_id) old_conversation_id, room_id FROM slice
WHERE room_id IS NOT NULL AND group_id IS NULL AND old_conversation_id IS NOT NULL
ON CONFLICT (id) DO NOTHING
"""
_LEAVE_OUT = f"""
INSERT INTO {WORK}.left_out (id, reason, group_id)
SELECT id, CASE
        WHEN sender_id IS NULL THEN 'no sender'
        WHEN group_id IS NOT NULL THEN 'a group that does not exist'
        ELSE 'no recipient' END, group_id
FROM slice WHERE room_id IS NULL
ON CONFLICT (id) DO UPDATE SET reason = excluded.reason, group_id = excluded.group_id
"""
_PLACE = f"""
INSERT INTO {WORK}.places (room_id, created_at, message_id)
SELECT room_id, created_at, message_id FROM slice WHERE room_id IS NOT NULL
"""

# Texts that lie there twice: whether the ciphertext opens decides which of the two is kept.
_DOUBLE = """
SELECT v.id, v.sender_id, NULL::text AS client_message_id, true AS is_encrypted, v.content,
    v.encrypted_content, v.encryption_iv, v.encryption_scheme, v.conversation_id, v.says_encrypted
FROM slice v WHERE v.has_cipher AND NOT v.is_deleted AND v.conversation_id IS NOT NULL
"""
_IS_SEALED = "(v.has_cipher AND k.id IS NULL AND NOT v.is_deleted)"
# Columns of a copied message and what is in them, of old message v and kept plaintext k.
COLUMNS = {
    "created_at": "v.created_at",
    "updated_at": "v.updated_at",
    "edited_at": "v.edited_at",
    "is_encrypted": f"({_IS_SEALED} OR v.is_deleted)",
    "is_read": "(v.is_read AND v.group_id IS NULL)",
    "is_deleted": "v.is_deleted",
    "message_id": "v.id",
    "conversation_id": "v.conversation_id",
    "sender_id": "v.sender_id",
    "recipient_id": "v.recipient_id",
    "group_id": "v.group_id",
    "reply_to": "v.reply_to",
    "content": f"CASE WHEN NOT {_IS_SEALED} AND NOT v.is_deleted THEN coalesce(v.content, '') END",
    "encrypted_content": f"CASE WHEN {_IS_SEALED} THEN v.encrypted_content END",
    "encryption_iv": f"CASE WHEN {_IS_SEALED} THEN v.encryption_iv END",
    "encryption_scheme": f"CASE WHEN {_IS_SEALED} THEN v.encryption_scheme END",
    "pinned_at": "CASE WHEN NOT v.is_deleted THEN v.pinned_at END",
    "is_announcement": "v.is_announcement",
}
_NAMES = ", ".join(COLUMNS)
_VALUES = ", ".join(COLUMNS.values())
_IS_CHANGED = "(v.edited_at IS NOT NULL OR v.is_deleted OR v.pinned_at IS NOT NULL)"

_COPY = f"""
INSERT INTO {NEXT}.chat_messages (room_id, seq, rev, changed_rev, {_NAMES})
SELECT v.room_id, v.seq, v.seq, CASE WHEN {_IS_CHANGED} THEN v.seq END, {_VALUES}
FROM (
    SELECT s.*, r.seq + row_number() OVER (
        PARTITION BY s.room_id ORDER BY s.created_at, {{order}}) AS seq
    FROM slice s JOIN {NEXT}.chat_rooms r ON r.room_id = s.room_id
) v LEFT JOIN {WORK}.kept k ON k.id = v.id
ORDER BY v.room_id, v.seq
"""
_ADVANCE = f"""
UPDATE {NEXT}.chat_rooms r SET seq = r.seq + s.n, rev = r.seq + s.n,
    last_at = CASE r.seq WHEN 0 THEN s.last_at ELSE greatest(r.last_at, s.last_at) END
FROM (SELECT room_id, count(*) AS n, max(created_at) AS last_at FROM slice GROUP BY room_id) s
WHERE r.room_id = s.room_id
"""

_FROM_PLACES = f"""
INSERT INTO slice SELECT p.room_id, v.* FROM (
    SELECT DISTINCT p.* FROM (
        SELECT * FROM {WORK}.places {{after}}
        ORDER BY room_id, created_at, {{order}} LIMIT {{limit}}
    ) p
) p JOIN {WORK}.old_messages v ON v.message_id = p.message_id AND v.created_at = p.created_at
"""
_LAST_PLACE = f"""
SELECT room_id, created_at::text AS time, message_id::text AS key FROM (
    SELECT * FROM {WORK}.places {{after}} ORDER BY room_id, created_at, {{order}} LIMIT {{limit}}
) p ORDER BY room_id DESC, created_at DESC, {{order}} DESC LIMIT 1
"""

# What is there already of the messages in a slice, and in which room.
_TAKE_OUT = f"""
WITH gone AS (
    DELETE FROM {NEXT}.chat_messages m USING keys k
    WHERE m.message_id = k.key AND NOT EXISTS (
        SELECT FROM slice s WHERE s.id = m.message_id AND s.room_id = m.room_id)
    RETURNING m.room_id, m.seq
), reactions AS (
    DELETE FROM {NEXT}.chat_reactions x USING gone g WHERE x.room_id = g.room_id AND x.seq = g.seq
), removals AS (
    DELETE FROM {NEXT}.message_removals x USING gone g WHERE x.room_id = g.room_id AND x.seq = g.seq
)
INSERT INTO touched (room_id, from_seq) SELECT room_id, min(seq) FROM gone GROUP BY room_id
"""
_CHANGE = f"""
WITH changed AS (
    UPDATE {NEXT}.chat_messages m SET ({_NAMES}) = ROW ({_VALUES}),
        changed_rev = CASE WHEN {_IS_CHANGED} OR EXISTS (
            SELECT FROM {NEXT}.chat_reactions x WHERE x.room_id = m.room_id AND x.seq = m.seq)
            THEN m.seq END
    FROM slice v LEFT JOIN {WORK}.kept k ON k.id = v.id
    WHERE m.message_id = v.id AND m.room_id = v.room_id
    RETURNING m.room_id, m.seq, m.created_at, m.message_id
), placed AS (
    -- A time that was changed breaks the order from wherever it was: at worst from the start.
    SELECT c.room_id, min(CASE WHEN
        coalesce((SELECT b.created_at FROM {NEXT}.chat_messages b
            WHERE b.room_id = c.room_id AND b.seq = c.seq) = c.created_at, false)
        THEN NULL ELSE 1 END) AS from_seq
    FROM changed c GROUP BY c.room_id
)
INSERT INTO touched AS t (room_id, from_seq) SELECT room_id, from_seq FROM placed
ON CONFLICT (room_id) DO UPDATE SET from_seq = least(t.from_seq, excluded.from_seq)
"""
_FORGET_KNOWN = f"""
DELETE FROM slice s USING {NEXT}.chat_messages m
WHERE m.message_id = s.id AND m.room_id = s.room_id
"""
_FORGET_LEFT_OUT = "DELETE FROM slice WHERE room_id IS NULL"
# The first position behind which a new message belongs; the walk back is short for recent ones.
_FIND_POSITIONS = f"""
INSERT INTO touched AS t (room_id, from_seq)
SELECT s.room_id, min(CASE WHEN p.seq < r.seq THEN p.seq + 1 END) FROM slice s
JOIN {NEXT}.chat_rooms r ON r.room_id = s.room_id
CROSS JOIN LATERAL (
    SELECT coalesce((SELECT m.seq FROM {NEXT}.chat_messages m
        WHERE m.room_id = s.room_id AND (m.created_at, {{stored}}) < (s.created_at, {{order}})
        ORDER BY m.seq DESC LIMIT 1), 0) AS seq
) p GROUP BY s.room_id
ON CONFLICT (room_id) DO UPDATE SET from_seq = least(t.from_seq, excluded.from_seq)
"""
# What belongs to a message that was not there before is copied after it.
_NOTE_DEPENDENTS = f"""
INSERT INTO {WORK}.changes (kind, key)
SELECT '{{kind}}', s.id FROM slice s
WHERE EXISTS (SELECT FROM {WORK}.old_{{kind}} v WHERE v.key = {{key}})
"""
_FIND_MOVES = f"""
INSERT INTO moves (room_id, seq, new_seq)
SELECT * FROM (
    SELECT m.room_id, m.seq, t.from_seq - 1 + row_number() OVER (
        PARTITION BY m.room_id ORDER BY m.created_at, {{stored}}) AS new_seq
    FROM touched t JOIN {NEXT}.chat_messages m ON m.room_id = t.room_id AND m.seq >= t.from_seq
) m WHERE m.seq <> m.new_seq
"""
# By way of the negative numbers, so that no two rows meet.
_MOVE = """
UPDATE {next}.{table} x SET seq = -m.new_seq FROM moves m
WHERE x.room_id = m.room_id AND x.seq = m.seq
"""
_MOVE_BACK = """
UPDATE {next}.{table} x SET seq = -x.seq{more} FROM (SELECT DISTINCT room_id FROM moves) m
WHERE x.room_id = m.room_id AND x.seq < 0
"""
_RECOUNT = f"""
UPDATE {NEXT}.chat_rooms r SET seq = n.seq, rev = greatest(n.seq, 1),
    last_at = coalesce(n.last_at, r.last_at)
FROM touched t CROSS JOIN LATERAL (
    SELECT coalesce(max(x.seq), 0) AS seq, max(x.created_at) AS last_at FROM (
        SELECT m.seq, m.created_at FROM {NEXT}.chat_messages m
        WHERE m.room_id = t.room_id ORDER BY m.seq DESC LIMIT 1) x
) n WHERE r.room_id = t.room_id
"""


class Double(NamedTuple):
    """A message with both texts, or only the sealed one; what ``Cipher.open`` reads."""

    id: str
    sender_id: str
    client_message_id: str | None
    is_encrypted: bool
    content: str | None
    encrypted_content: str | None
    encryption_iv: str | None
    encryption_scheme: str | None
    conversation_id: str
    says_encrypted: bool


class Messages:
    """Copies messages; each method is a part of one transaction."""

    def __init__(self, connection: "Connection", tables: "OldTables", cipher: Cipher) -> None:
        """Take the one connection, what is copied, and the keys that may open it."""
        self._connection = connection
        self._cipher = cipher
        self._tables = tables
        type_ = tables.message_id_type
        self._order = ordered("message_id", type_)
        self._slice_order = ordered("s.message_id", type_)
        self._stored = ordered("m.message_id", type_, is_text=True)
        self._key = key_of(tables, "messages")

    async def place(self, after: str | None, limit: int) -> tuple[int, str | None]:
        """Gather the places of the next messages; return how many, and the last of them."""
        type_ = self._key.partition("::")[2]
        condition = "" if after is None else f"WHERE message_id > $1::text::{type_}"
        source = (
            f"SELECT {_KEYS} FROM {WORK}.old_messages {condition} ORDER BY message_id LIMIT {limit}"
        )
        await self._connection.execute(
            _SLICE.format(source=source, columns=f"(room_id, {_KEYS})", next=NEXT),
            *(() if after is None else (after,)),
        )
        found: int = await self._connection.fetchval("SELECT count(*) FROM slice")
        last = await self._connection.fetchval(
            "SELECT message_id::text AS key FROM slice ORDER BY message_id DESC LIMIT 1"
        )
        for statement in (_MAKE_ROOMS, _NAME_ROOMS, _LEAVE_OUT, _PLACE):
            await self._connection.execute(statement)
        return found, last

    async def sort(self) -> None:
        """Sort the places; takes a while, and no lock that the previous server would notice."""
        await self._connection.execute(
            f"CREATE INDEX IF NOT EXISTS places_in_order ON {WORK}.places "
            f"(room_id, created_at, {self._order})"
        )
        # From now on the index alone is read.
        await self._connection.execute(f"VACUUM ANALYZE {WORK}.places")

    async def copy(self, after: Any, limit: int) -> tuple[int, Any]:
        """Copy the next messages in the order of their places; return how many, and the last."""
        condition, arguments = "", []
        if after is not None:
            type_ = self._key.partition("::")[2]
            collation = ' COLLATE "C"' if type_ == "text" else ""
            condition = (
                f"WHERE (room_id, created_at, {self._order}) > "
                f"($1::bigint, $2::text::timestamptz, $3::text::{type_}{collation})"
            )
            arguments = list(after)
        parts = {"after": condition, "order": self._order, "limit": limit}
        last = await self._connection.fetchrow(_LAST_PLACE.format(**parts), *arguments)
        if last is None:
            return 0, None
        await self._connection.execute(_FROM_PLACES.format(**parts), *arguments)
        await self._judge()
        found: int = await self._connection.fetchval("SELECT count(*) FROM slice")
        await self._connection.execute(_COPY.format(order=self._slice_order))
        await self._connection.execute(_ADVANCE)
        return found, list(last)

    async def copy_again(self) -> None:
        """Copy the messages in ``keys`` as they are now; the rooms concerned are in ``touched``."""
        run = self._connection.execute
        source = f"SELECT o.* FROM keys k JOIN {WORK}.old_messages o ON o.message_id = {self._key}"
        await run(_SLICE.format(source=source, columns="", next=NEXT))
        await run(_MAKE_ROOMS)
        await run(_NAME_ROOMS)
        for table in ("left_out", "kept", "unreadable"):
            await run(f"DELETE FROM {WORK}.{table} x USING keys k WHERE x.id = k.key")
        await run(_LEAVE_OUT)
        await self._judge()
        await run(_TAKE_OUT)
        await run(_CHANGE)
        await run(_FORGET_KNOWN)
        await run(_FORGET_LEFT_OUT)
        await run(_FIND_POSITIONS.format(stored=self._stored, order=self._slice_order))
        await run(_COPY.format(order=self._slice_order))
        await run(_ADVANCE)
        for kind in ("reactions", "message_removals"):
            if self._tables.get(kind) is not None:
                key = key_of(self._tables, kind, "s.id")
                await run(_NOTE_DEPENDENTS.format(kind=kind, key=key))
        await self._number()
        await run(f"INSERT INTO {WORK}.uncompared SELECT key FROM keys ON CONFLICT DO NOTHING")
        await run(
            f"INSERT INTO {WORK}.unchecked SELECT room_id FROM touched ON CONFLICT DO NOTHING"
        )

    async def _number(self) -> None:
        """Number rooms again from where their order is broken, with what hangs on the numbers."""
        run = self._connection.execute
        await run(_FIND_MOVES.format(stored=self._stored))
        if await self._connection.fetchval("SELECT EXISTS (SELECT FROM moves)"):
            for table in ("chat_messages", "chat_reactions", "message_removals"):
                more = ""
                if table == "chat_messages":
                    more = (
                        ", rev = -x.seq, changed_rev = CASE WHEN x.changed_rev > 0 THEN -x.seq END"
                    )
                await run(_MOVE.format(next=NEXT, table=table))
                await run(_MOVE_BACK.format(next=NEXT, table=table, more=more))
        await run(_RECOUNT)

    async def _judge(self) -> None:
        """Open the ciphertexts of a slice; note those that do not open."""
        kept: list[str] = []
        unreadable: list[str] = []
        for row in await self._connection.fetch(_DOUBLE):
            double = Double._make(row)
            if not opens(self._cipher, double):
                (kept if double.content else unreadable).append(double.id)
        for table, ids in (("kept", kept), ("unreadable", unreadable)):
            if ids:
                await self._connection.execute(
                    f"INSERT INTO {WORK}.{table} SELECT unnest($1::text[]) ON CONFLICT DO NOTHING",
                    ids,
                )


def opens(cipher: Cipher, row: Double, *, strictly: bool = False) -> bool:
    """Whether the ciphertext says what the message says.

    Where the row claims not to be encrypted, its plaintext is what it says; ``strictly``: always.
    """
    try:
        text = cipher.open(row, row.conversation_id)
    except Undecryptable:
        return False
    return (row.says_encrypted and not strictly) or text == row.content
