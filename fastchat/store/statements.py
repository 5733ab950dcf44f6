"""The SQL of the writer's lanes.

One statement stores a batch. Its first step is a fence: the lane's row must still have the number
the batch was made for, or nothing happens. Then rooms and members are checked once each; the
counters advance, which locks the rooms, in ascending order; the messages are inserted; and the
answer is written into the lane's row and returned. So the answer is as durable as the messages, and
a late copy of a statement stores nothing.

Waiting for a room's lock refreshes that row only, not the rest of the snapshot: a concurrent repeat
of a client id is therefore seen as a unique violation (23505), and the batch is run again.

The counters advance by an INSERT that always meets the room: it goes on with the newest version of
a row that another lane has just changed. An UPDATE would find the old one, and PostgreSQL would
make the whole plan once more to look at the new one; so lanes that write in the same rooms would
take a sixth more of it (benchmarks/test_contention.py). Rooms are never deleted, so none is made
here.

Each look at another table is a scalar subquery with a limit, never EXISTS: on a table that was
empty when the plan was made, PostgreSQL would answer EXISTS by hashing the whole table in each
batch. And a client id is looked for between itself and itself, in order: for a small table the
primary key seems to cost no more than the index of client ids, and by it each look-up would read
the whole room; but it has another order, and lanes do not sort.
"""

from fastchat.store.batch import UserColumns
from fastchat.store.block_condition import either_blocks

# Verdicts on a room that was refused; a stored room has its last seq instead.
BLOCKED = -1
UNKNOWN_USER = -2
LOOK_AGAIN = -3  # a client id is known already, or a message replied to is not there
NO_ROOM = -4

# What ``batch_arguments`` makes.
BATCH = """
WITH fence AS MATERIALIZED (
    SELECT lane_id FROM lane_commits WHERE lane_id = $1 AND batch_no = $2 FOR UPDATE
), given_rooms AS MATERIALIZED (
    SELECT * FROM unnest($3::bigint[], $4::integer[], $5::text[], $6::text[], $7::text[]
        {native_arrays})
        WITH ORDINALITY AS g (room_id, n, conversation_id, user1, user2 {native_names}, ord)
), known AS MATERIALIZED (
    SELECT room_id FROM chat_rooms WHERE room_id = ANY ($3::bigint[])
), given AS MATERIALIZED (
    SELECT m.*, {place} FROM unnest($8::integer[], $9::text[], $10::bigint[], $11::text[],
        $12::text[], {encrypted_contents}, {encryption_ivs}, $15::text[])
        AS m (place, reply_to, reply_seq, client_id,
            content, encrypted_content, encryption_iv, encryption_scheme)
), judged AS MATERIALIZED (
    SELECT g.*, CASE
        WHEN k.room_id IS NULL THEN -4
        WHEN NOT ({user1_exists} AND {user2_exists}) THEN -2
        WHEN {is_blocked} THEN -1
        WHEN g.ord IN (
            SELECT m.ord FROM given m JOIN given_rooms r USING (ord)
            WHERE m.client_id IS NOT NULL AND (
                    SELECT true FROM chat_messages d
                    WHERE d.room_id = r.room_id
                      AND d.sender_id = CASE WHEN m.by_user2 THEN r.user2 ELSE r.user1 END
                      AND d.client_message_id BETWEEN m.client_id AND m.client_id
                    ORDER BY d.client_message_id LIMIT 1)
               OR m.reply_seq IS NOT NULL AND (
                    SELECT true FROM chat_messages d
                    WHERE d.room_id = r.room_id AND d.seq = m.reply_seq AND NOT d.is_deleted
                    LIMIT 1) IS NULL
        ) THEN -3
        ELSE 0 END AS verdict
    FROM given_rooms g LEFT JOIN known k USING (room_id) WHERE EXISTS (SELECT FROM fence)
), counted AS (
    INSERT INTO chat_rooms AS r (room_id, seq, rev)
    SELECT j.room_id, j.n, j.n FROM judged j WHERE j.verdict = 0 ORDER BY j.room_id
    ON CONFLICT (room_id) DO UPDATE
    SET seq = r.seq + excluded.seq, rev = r.rev + excluded.rev,
        last_at = greatest(r.last_at, clock_timestamp())
    RETURNING r.room_id, r.seq, r.rev, r.last_at
), advanced AS MATERIALIZED (
    SELECT c.*, j.ord, j.n, j.conversation_id, j.user1, j.user2
    FROM judged j JOIN counted c USING (room_id)
), inserted AS (
    INSERT INTO chat_messages (room_id, seq, rev, created_at, is_encrypted, conversation_id,
        sender_id, recipient_id, reply_to, client_message_id,
        content, encrypted_content, encryption_iv, encryption_scheme)
    SELECT a.room_id, a.seq - a.n + m.rank, a.rev - a.n + m.rank, a.last_at, m.content IS NULL,
        a.conversation_id, CASE WHEN m.by_user2 THEN a.user2 ELSE a.user1 END,
        CASE WHEN m.by_user2 THEN a.user1 ELSE a.user2 END, m.reply_to, m.client_id,
        m.content, m.encrypted_content, m.encryption_iv, m.encryption_scheme
    FROM given m JOIN advanced a USING (ord)
)
UPDATE lane_commits c
SET batch_no = $2 + 1, committed_at = now(), answer = (
    SELECT array_agg(coalesce(a.seq, j.verdict) ORDER BY j.ord)
        || array_agg(coalesce(a.rev, 0) ORDER BY j.ord)
        || array_agg(coalesce((extract(epoch FROM a.last_at) * 1000000)::bigint, 0) ORDER BY j.ord)
    FROM judged j LEFT JOIN advanced a USING (ord))
FROM fence WHERE c.lane_id = fence.lane_id
RETURNING c.answer
"""

LOOK_UP = """
SELECT (SELECT d.seq FROM chat_messages d
        WHERE d.room_id = m.room_id AND d.sender_id = m.sender_id
          AND d.client_message_id BETWEEN m.client_id AND m.client_id
        ORDER BY d.client_message_id LIMIT 1),
    m.reply_seq IS NULL OR (
        SELECT true FROM chat_messages d
        WHERE d.room_id = m.room_id AND d.seq = m.reply_seq AND NOT d.is_deleted LIMIT 1
    ) IS NOT NULL
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[]) WITH ORDINALITY
    AS m (room_id, sender_id, client_id, reply_seq, ord)
ORDER BY m.ord
"""

FIRST_NATIVE = 16  # number of the first parameter behind those named above


def given(*, encrypted_contents: int, encryption_ivs: int) -> dict[str, str]:
    """Return the SQL that reads what ``batch_arguments`` packs, for columns of ``m``.

    A place is the number of the message's room << 10, its own number in the room << 1, and 1 if it
    is not user1 who sent it; both numbers begin at 1. Hexadecimal texts have commas between them.

    Args:
        encrypted_contents: Number of the parameter.
        encryption_ivs: Number of the parameter.
    """
    return {
        "place": """m.place >> 10 AS ord, (m.place >> 1) & 511 AS rank,
        (m.place & 1) = 1 AS by_user2""",
        "encrypted_contents": f"string_to_array(${encrypted_contents}::text, ',', '')",
        "encryption_ivs": f"string_to_array(${encryption_ivs}::text, ',', '')",
    }


def native_types(columns: UserColumns, *, check_blocks: bool) -> list[str]:
    """Return the id types, besides text, that the batch statement takes the members in."""
    wanted = [columns.users_id_type, columns.blocks_id_type if check_blocks else None]
    return sorted({name for name in wanted if name is not None and name != "text"})


def batch_statement(columns: UserColumns, *, check_blocks: bool) -> str:
    """Return the statement for these columns, with or without the look at blocks."""
    types = native_types(columns, check_blocks=check_blocks)
    arrays = names = ""
    for index, name in enumerate(types):
        number = FIRST_NATIVE + 2 * index
        arrays += f", ${number}::{name}[], ${number + 1}::{name}[]"
        names += f", user1_{name}, user2_{name}"

    def member(user: str, id_type: str) -> str:
        return f"g.{user}" if id_type == "text" else f"g.{user}_{id_type}"

    def exists(user: str) -> str:
        known = f"(SELECT true FROM chat_users u WHERE u.user_id = g.{user} LIMIT 1) IS NOT NULL"
        if columns.users_id_type is None:
            return known
        own = member(user, columns.users_id_type)
        registered = f"(SELECT true FROM users_auth u WHERE u.user_id = {own} LIMIT 1) IS NOT NULL"
        return f"({registered} OR {known})"

    is_blocked = "false"
    if check_blocks and columns.blocks_id_type is not None:
        one, other = (member(user, columns.blocks_id_type) for user in ("user1", "user2"))
        is_blocked = either_blocks(one, other)
    return BATCH.format(
        **given(encrypted_contents=13, encryption_ivs=14),
        native_arrays=arrays,
        native_names=names,
        user1_exists=exists("user1"),
        user2_exists=exists("user2"),
        is_blocked=is_blocked,
    )
