"""The SQL that stores a batch of messages to groups.

It does for groups what ``statements.BATCH`` does for conversations of two, and its answer has one
value more: the ``group_rev`` of each room, which tells the fan-out whether it knows the members.

The server itself may send to every group (``is_system``).

Who is a member is read from the statement's snapshot, which may be older than the lock of the room.
So the ``group_rev`` of the snapshot is compared with that of the locked row: where they differ,
somebody has just come or gone, and the room goes again. Nobody writes after his removal.
"""

from fastchat.store.statements import given

# A room is stored whole or refused whole; the look-up tells what is in the way.
GROUP_BATCH = """
WITH fence AS MATERIALIZED (
    SELECT lane_id FROM lane_commits WHERE lane_id = $1 AND batch_no = $2 FOR UPDATE
), given_rooms AS MATERIALIZED (
    SELECT * FROM unnest($3::bigint[], $4::integer[], $5::text[])
        WITH ORDINALITY AS g (room_id, n, conversation_id, ord)
), seen AS MATERIALIZED (
    SELECT room_id, group_rev FROM chat_rooms WHERE room_id = ANY ($3::bigint[])
), locked AS MATERIALIZED (
    SELECT room_id, last_at, group_rev FROM chat_rooms
    WHERE room_id = ANY ($3::bigint[]) AND EXISTS (SELECT FROM fence)
    ORDER BY room_id FOR NO KEY UPDATE
), given AS MATERIALIZED (
    SELECT m.*, {place},
        coalesce(m.announces, false) AS is_announcement, coalesce(m.by_server, false) AS is_system
    FROM unnest($6::integer[], $7::text[], $8::bigint[], $9::text[],
        $10::text[], {encrypted_contents}, {encryption_ivs}, $13::text[],
        $14::text[], $15::text[], $16::boolean[], $17::boolean[])
        AS m (place, reply_to, reply_seq, client_id,
            content, encrypted_content, encryption_iv, encryption_scheme,
            sender_id, mentions, announces, by_server)
), judged AS MATERIALIZED (
    SELECT g.*, CASE
        WHEN l.room_id IS NULL THEN -4
        WHEN l.group_rev <> s.group_rev THEN -3
        WHEN g.ord IN (
            SELECT m.ord FROM given m JOIN given_rooms r USING (ord)
            WHERE NOT m.is_system AND (
                    SELECT p.can_send_messages AND NOT (m.is_announcement AND p.role = 'member')
                    FROM group_participants p
                    WHERE p.room_id = r.room_id AND p.user_id = m.sender_id LIMIT 1
                ) IS NOT TRUE
               OR m.client_id IS NOT NULL AND (
                    SELECT true FROM chat_messages d
                    WHERE d.room_id = r.room_id AND d.sender_id = m.sender_id
                      AND d.client_message_id BETWEEN m.client_id AND m.client_id
                    ORDER BY d.client_message_id LIMIT 1)
               OR m.reply_seq IS NOT NULL AND (
                    SELECT true FROM chat_messages d
                    WHERE d.room_id = r.room_id AND d.seq = m.reply_seq AND NOT d.is_deleted
                    LIMIT 1) IS NULL
        ) THEN -3
        ELSE 0 END AS verdict
    FROM given_rooms g LEFT JOIN locked l USING (room_id) LEFT JOIN seen s USING (room_id)
), advanced AS (
    UPDATE chat_rooms r
    SET seq = r.seq + j.n, rev = r.rev + j.n, last_at = greatest(r.last_at, clock_timestamp())
    FROM judged j WHERE r.room_id = j.room_id AND j.verdict = 0
    RETURNING j.ord, r.room_id, r.seq, r.rev, r.last_at, r.group_rev, j.n, j.conversation_id
), inserted AS (
    INSERT INTO chat_messages (room_id, seq, rev, created_at, is_encrypted, conversation_id,
        group_id, sender_id, reply_to, client_message_id,
        content, encrypted_content, encryption_iv, encryption_scheme,
        mentions, is_announcement, pinned_at)
    SELECT a.room_id, a.seq - a.n + m.rank, a.rev - a.n + m.rank, a.last_at, m.content IS NULL,
        a.conversation_id, a.conversation_id, m.sender_id, m.reply_to, m.client_id,
        m.content, m.encrypted_content, m.encryption_iv, m.encryption_scheme,
        m.mentions, m.is_announcement, CASE WHEN m.is_announcement THEN a.last_at END
    FROM given m JOIN advanced a USING (ord)
)
UPDATE lane_commits c
SET batch_no = $2 + 1, committed_at = now(), answer = (
    SELECT array_agg(coalesce(a.seq, j.verdict) ORDER BY j.ord)
        || array_agg(coalesce(a.rev, 0) ORDER BY j.ord)
        || array_agg(coalesce((extract(epoch FROM a.last_at) * 1000000)::bigint, 0) ORDER BY j.ord)
        || array_agg(coalesce(a.group_rev, 0) ORDER BY j.ord)
    FROM judged j LEFT JOIN advanced a USING (ord))
FROM fence WHERE c.lane_id = fence.lane_id
RETURNING c.answer
""".format(**given(encrypted_contents=11, encryption_ivs=12))

# Rights of a sender.
MAY_SEND = 0
NOT_MEMBER = 1
NOT_ALLOWED = 2

# What may be in the way of each message: the seq of the same message stored before, whether the
# message replied to is there, and the right of the sender.
GROUP_LOOK_UP = """
SELECT (SELECT d.seq FROM chat_messages d
        WHERE d.room_id = m.room_id AND d.sender_id = m.sender_id
          AND d.client_message_id BETWEEN m.client_id AND m.client_id
        ORDER BY d.client_message_id LIMIT 1),
    m.reply_seq IS NULL OR (
        SELECT true FROM chat_messages d
        WHERE d.room_id = m.room_id AND d.seq = m.reply_seq AND NOT d.is_deleted LIMIT 1
    ) IS NOT NULL,
    CASE WHEN m.is_system THEN 0 ELSE coalesce((
        SELECT CASE WHEN p.can_send_messages AND NOT (m.is_announcement AND p.role = 'member')
            THEN 0 ELSE 2 END
        FROM group_participants p
        WHERE p.room_id = m.room_id AND p.user_id = m.sender_id LIMIT 1
    ), 1) END
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::boolean[], $6::boolean[])
    WITH ORDINALITY
    AS m (room_id, sender_id, client_id, reply_seq, is_announcement, is_system, ord)
ORDER BY m.ord
"""
