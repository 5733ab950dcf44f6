"""The SQL for one message; a batch of very few runs it once for each, in one transaction.

Most batches are that small when little is going on. It does what ``statements.BATCH`` does, with
single values instead of arrays, at half the cost for client and database
(benchmarks/test_batch_insert.py). Nothing is looked up per row, so each EXISTS runs at most once,
and the plan is good for tables of any size.
"""

from fastchat.store.batch import UserColumns
from fastchat.store.statements import native_types

# The room is locked by its update: with one room there is no order of locks to keep.
SINGLE = """
WITH fence AS MATERIALIZED (
    SELECT lane_id FROM lane_commits WHERE lane_id = $1 AND batch_no = $2 FOR UPDATE
), judged AS MATERIALIZED (
    SELECT CASE
        WHEN NOT ({user1_exists} AND {user2_exists}) THEN -2
        WHEN {is_blocked} THEN -1
        WHEN $8::text IS NOT NULL AND (
            SELECT true FROM chat_messages d
            WHERE d.room_id = $3 AND d.sender_id = $6 AND d.client_message_id BETWEEN $8 AND $8
            ORDER BY d.client_message_id LIMIT 1) THEN -3
        WHEN $10::bigint IS NOT NULL AND NOT EXISTS (
            SELECT FROM chat_messages d
            WHERE d.room_id = $3 AND d.seq = $10 AND NOT d.is_deleted) THEN -3
        ELSE 0 END AS verdict
    FROM fence
), advanced AS (
    UPDATE chat_rooms r
    SET seq = r.seq + 1, rev = r.rev + 1, last_at = greatest(r.last_at, clock_timestamp())
    WHERE r.room_id = $3::bigint AND (SELECT verdict FROM judged) = 0
    RETURNING r.seq, r.rev, r.last_at
), inserted AS (
    INSERT INTO chat_messages (room_id, seq, rev, created_at, is_encrypted, conversation_id,
        sender_id, recipient_id, reply_to, client_message_id,
        content, encrypted_content, encryption_iv, encryption_scheme)
    SELECT $3, a.seq, a.rev, a.last_at, $12::text IS NULL, $11::text, $6::text, $7::text, $9::text,
        $8, $12, $13::text, $14::text, $15::text
    FROM advanced a
)
UPDATE lane_commits c
SET batch_no = $2 + 1, committed_at = now(),
    answer = CASE WHEN $16::boolean THEN c.answer ELSE '{{}}' END || coalesce(
    (SELECT ARRAY[a.seq, a.rev, (extract(epoch FROM a.last_at) * 1000000)::bigint] FROM advanced a),
    ARRAY[(SELECT CASE verdict WHEN 0 THEN -4 ELSE verdict END FROM judged), 0, 0]::bigint[])
FROM fence WHERE c.lane_id = fence.lane_id
RETURNING c.answer
"""

FIRST_NATIVE = 17  # number of the first parameter behind those named above


def single_statement(columns: UserColumns, *, check_blocks: bool) -> str:
    """Return the statement for these columns, with or without the look at blocks.

    Parameters: lane, number of the batch, room, first and second member, sender, recipient,
    client id, id and ``seq`` of the message replied to, conversation id, content, encrypted
    content, initialisation vector, scheme, whether the answer continues that of the message before;
    then both members in each of ``native_types``. The answer is ``seq``, ``rev`` and time.
    """
    types = native_types(columns, check_blocks=check_blocks)
    members = {"text": ("$4::text", "$5::text")}
    for index, name in enumerate(types):
        number = FIRST_NATIVE + 2 * index
        members[name] = (f"${number}::{name}", f"${number + 1}::{name}")

    def exists(position: int) -> str:
        text = members["text"][position]
        known = f"EXISTS (SELECT FROM chat_users u WHERE u.user_id = {text})"
        if columns.users_id_type is None:
            return known
        own = members[columns.users_id_type][position]
        return f"(EXISTS (SELECT FROM users_auth u WHERE u.user_id = {own}) OR {known})"

    is_blocked = "false"
    if check_blocks and columns.blocks_id_type is not None:
        one, other = members[columns.blocks_id_type]
        is_blocked = (
            "EXISTS (SELECT FROM blocked_relationships b "
            f"WHERE b.blocker_id = {one} AND b.blocked_id = {other}) "
            "OR EXISTS (SELECT FROM blocked_relationships b "
            f"WHERE b.blocker_id = {other} AND b.blocked_id = {one})"
        )
    return SINGLE.format(user1_exists=exists(0), user2_exists=exists(1), is_blocked=is_blocked)
