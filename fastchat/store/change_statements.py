"""The SQL of edits, deletions and own removals.

Edits and deletions for everyone go many at once in one fenced statement. Waiting for a room's lock
does not refresh the rest of the snapshot, so the messages are locked next: that reads their newest
versions, and the verdicts are made of those. Each change gets a ``rev`` of its own, in the order in
which they are given; what is refused takes none.

In a group the statement also looks whether the user is a member, in its snapshot: where the
``group_rev`` seen there is not that of the locked row, somebody has just come or gone, and
everything goes again.
"""

from fastchat.store.block_condition import block_parts

# Verdicts; those between are the reasons of changes.Refusal.
GO_ON = 0
NOT_FOUND = 1
NOT_AUTHOR = 2
BLOCKED = 3
TOO_OLD = 4
IS_SO_ALREADY = 5
GO_AGAIN = 7  # then nothing at all was done

# Each message is looked up by its key in a subquery of its own. As a join, a plan made while the
# table was small would read the whole of it ever after; the update, which has to be a join, names
# rooms and positions once more for the same reason.
_CHANGES = """
WITH fence AS MATERIALIZED (
    SELECT lane_id FROM lane_commits WHERE lane_id = $1 AND batch_no = $2 FOR UPDATE
), given AS MATERIALIZED (
    SELECT * FROM unnest($4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::boolean[],
        $9::text[], $10::text[], $11::text[], $12::text[], $13::boolean[] {block_arrays})
        WITH ORDINALITY AS g (room_id, seq, old_id, user_id, is_deletion,
            content, encrypted_content, encryption_iv, encryption_scheme, is_group
            {block_names}, ord)
), seen AS MATERIALIZED (
    SELECT room_id, group_rev FROM chat_rooms WHERE room_id = ANY ($4::bigint[])
), locked AS MATERIALIZED (
    SELECT room_id, rev, group_rev FROM chat_rooms
    WHERE room_id = ANY ($4::bigint[]) AND EXISTS (SELECT FROM fence)
    ORDER BY room_id FOR NO KEY UPDATE
), targets AS MATERIALIZED (
    SELECT g.ord, l.rev AS room_rev, l.group_rev, t.is_deleted, t.created_at,
        t.sender_id = g.user_id AS is_own,
        (SELECT s.group_rev FROM seen s WHERE s.room_id = g.room_id) AS seen_rev,
        CASE WHEN g.is_group THEN (SELECT p.role FROM group_participants p
            WHERE p.room_id = g.room_id AND p.user_id = g.user_id LIMIT 1) END AS role,
        (SELECT true FROM message_removals x
            WHERE x.user_id = g.user_id AND x.room_id = g.room_id AND x.seq = g.seq LIMIT 1
        ) IS NOT NULL AS is_removed
    FROM given g JOIN locked l USING (room_id), LATERAL (
        SELECT m.sender_id, m.is_deleted, m.created_at FROM chat_messages m
        WHERE m.room_id = g.room_id AND m.seq = g.seq AND m.message_id IS NOT DISTINCT FROM g.old_id
        FOR NO KEY UPDATE) t
), judged AS MATERIALIZED (
    SELECT g.*, t.room_rev, t.group_rev, CASE
        WHEN t.ord IS NULL THEN 1
        WHEN g.is_group AND t.seen_rev <> t.group_rev THEN 7
        WHEN g.is_group AND t.role IS NULL THEN 1
        WHEN g.is_deletion AND t.is_deleted AND (t.is_own OR t.role <> 'member') THEN 5
        WHEN t.is_deleted OR t.is_removed THEN 1
        WHEN NOT t.is_own AND NOT (g.is_deletion AND t.role IS NOT NULL AND t.role <> 'member')
            THEN 2
        WHEN g.is_deletion THEN 0
        WHEN {is_blocked} THEN 3
        WHEN t.created_at <= now() - make_interval(secs => $3) THEN 4
        ELSE 0 END AS verdict
    FROM given g LEFT JOIN targets t USING (ord)
), numbered AS MATERIALIZED (
    SELECT j.*, row_number() OVER (PARTITION BY j.room_id ORDER BY j.ord) AS rank
    FROM judged j WHERE j.verdict = 0 AND NOT EXISTS (SELECT FROM judged WHERE verdict = 7)
), advanced AS (
    UPDATE chat_rooms r SET rev = r.rev + c.n
    FROM (SELECT room_id, max(rank) AS n FROM numbered GROUP BY room_id) c
    WHERE r.room_id = c.room_id AND r.room_id = ANY ($4::bigint[])
    RETURNING r.room_id, r.rev - c.n AS rev_before
), changed AS (
    UPDATE chat_messages m
    SET content = c.content, encrypted_content = c.encrypted_content,
        encryption_iv = c.encryption_iv, encryption_scheme = c.encryption_scheme,
        is_encrypted = CASE WHEN c.is_deletion THEN m.is_encrypted ELSE c.content IS NULL END,
        edited_at = CASE WHEN c.is_deletion THEN m.edited_at ELSE now() END,
        pinned_at = CASE WHEN c.is_deletion THEN NULL ELSE m.pinned_at END,
        is_deleted = c.is_deletion, updated_at = now(), changed_rev = a.rev_before + c.rank
    FROM numbered c JOIN advanced a USING (room_id)
    WHERE m.room_id = c.room_id AND m.seq = c.seq
      AND m.room_id = ANY ($4::bigint[]) AND m.seq = ANY ($5::bigint[])
), erased AS (
    DELETE FROM chat_reactions x USING numbered c
    WHERE c.is_deletion AND x.room_id = c.room_id AND x.seq = c.seq
      AND x.room_id = ANY ($4::bigint[]) AND x.seq = ANY ($5::bigint[])
)
UPDATE lane_commits SET batch_no = $2 + 1, committed_at = now(), answer = (
    SELECT array_agg(j.verdict::bigint ORDER BY j.ord)
        || array_agg(coalesce(a.rev_before + c.rank, j.room_rev, 0) ORDER BY j.ord)
        || array_agg(coalesce(j.group_rev, 0) ORDER BY j.ord)
        || (extract(epoch FROM now()) * 1000000)::bigint
    FROM judged j LEFT JOIN numbered c USING (ord) LEFT JOIN advanced a ON a.room_id = c.room_id)
FROM fence WHERE lane_commits.lane_id = fence.lane_id
RETURNING lane_commits.answer
"""

# No lock of the room and no fence: the row is the user's own, changes nothing that others see, and
# may be made twice. A message that is deleted meanwhile leaves a row behind that tells nothing.
REMOVE = """
WITH target AS MATERIALIZED (
    SELECT m.room_id, m.seq, m.is_deleted FROM chat_messages m
    WHERE m.room_id = $1 AND m.seq = $2 AND m.message_id IS NOT DISTINCT FROM $3
      AND (SELECT true FROM room_members o
          WHERE o.user_id = $4 AND o.room_id = $1 AND o.left_at IS NULL LIMIT 1)
), removed AS (
    INSERT INTO message_removals (user_id, room_id, seq)
    SELECT $4, t.room_id, t.seq FROM target t WHERE NOT t.is_deleted
    ON CONFLICT (user_id, room_id, seq) DO NOTHING
    RETURNING seq
), noted AS (
    UPDATE room_members o SET changed_xid = pg_current_xact_id()
    WHERE o.user_id = $4 AND o.room_id = $1 AND EXISTS (SELECT FROM removed)
)
SELECT (SELECT rev FROM chat_rooms WHERE room_id = $1), EXISTS (SELECT FROM removed) FROM target
"""


def change_statement(blocks_id_type: str | None) -> str:
    """Return the statement for many changes, with the look at blocks where a type is given.

    Parameters: lane, its number, seconds to edit; then arrays: room, ``seq``, old id, user, whether
    it is a deletion, content, encrypted content, initialisation vector, scheme, whether the room is
    a group; and, with a type, the user and the other member in it, or null in a group.
    """
    return _CHANGES.format(**block_parts(blocks_id_type, 14))
