"""The SQL of reactions and pins: what people put on a message without changing its text.

Many at once in one fenced statement, like edits (``change_statements``): rooms are locked in
ascending order, then the messages, then the verdicts are made, and each change gets a ``rev`` of
its own.
"""

from fastchat.store.block_condition import block_parts

# Kinds of change.
REACT = 1
UNREACT = 2
PIN = 3
UNPIN = 4

# Verdicts.
ADDED = 0
NOT_FOUND = 1
BLOCKED = 3
IS_SO_ALREADY = 5
TAKEN_BACK = 6  # the same reaction once more
GO_AGAIN = 7  # then nothing at all was done; see change_statements
NOT_ALLOWED = 8

_ANNOTATIONS = """
WITH fence AS MATERIALIZED (
    SELECT lane_id FROM lane_commits WHERE lane_id = $1 AND batch_no = $2 FOR UPDATE
), given AS MATERIALIZED (
    SELECT * FROM unnest($3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::integer[],
        $8::text[], $9::boolean[] {block_arrays})
        WITH ORDINALITY AS g (room_id, seq, old_id, user_id, kind, reaction, is_group
            {block_names}, ord)
), seen AS MATERIALIZED (
    SELECT room_id, group_rev FROM chat_rooms WHERE room_id = ANY ($3::bigint[])
), locked AS MATERIALIZED (
    SELECT room_id, rev, group_rev FROM chat_rooms
    WHERE room_id = ANY ($3::bigint[]) AND EXISTS (SELECT FROM fence)
    ORDER BY room_id FOR NO KEY UPDATE
), targets AS MATERIALIZED (
    SELECT g.ord, l.rev AS room_rev, l.group_rev, t.is_deleted, t.is_pinned,
        (SELECT s.group_rev FROM seen s WHERE s.room_id = g.room_id) AS seen_rev,
        CASE WHEN g.is_group THEN (SELECT p.role FROM group_participants p
            WHERE p.room_id = g.room_id AND p.user_id = g.user_id LIMIT 1) END AS role,
        (SELECT x.reaction FROM chat_reactions x
            WHERE x.room_id = g.room_id AND x.seq = g.seq AND x.user_id = g.user_id LIMIT 1
        ) AS reaction,
        (SELECT true FROM message_removals x
            WHERE x.user_id = g.user_id AND x.room_id = g.room_id AND x.seq = g.seq LIMIT 1
        ) IS NOT NULL AS is_removed
    FROM given g JOIN locked l USING (room_id), LATERAL (
        SELECT m.is_deleted, m.pinned_at IS NOT NULL AS is_pinned FROM chat_messages m
        WHERE m.room_id = g.room_id AND m.seq = g.seq AND m.message_id IS NOT DISTINCT FROM g.old_id
        FOR NO KEY UPDATE) t
), judged AS MATERIALIZED (
    SELECT g.*, t.room_rev, t.group_rev, CASE
        WHEN t.ord IS NULL THEN 1
        WHEN g.is_group AND t.seen_rev <> t.group_rev THEN 7
        WHEN g.is_group AND t.role IS NULL THEN 1
        WHEN t.is_deleted OR t.is_removed THEN 1
        WHEN g.kind IN (3, 4) AND t.role = 'member' THEN 8
        WHEN g.kind IN (1, 3) AND ({is_blocked}) THEN 3
        WHEN g.kind = 1 THEN CASE WHEN t.reaction = g.reaction THEN 6 ELSE 0 END
        WHEN g.kind = 2 THEN CASE WHEN t.reaction IS NULL THEN 5 ELSE 0 END
        WHEN (g.kind = 3) = t.is_pinned THEN 5
        ELSE 0 END AS verdict
    FROM given g LEFT JOIN targets t USING (ord)
), numbered AS MATERIALIZED (
    SELECT j.*, row_number() OVER (PARTITION BY j.room_id ORDER BY j.ord) AS rank
    FROM judged j WHERE j.verdict IN (0, 6) AND NOT EXISTS (SELECT FROM judged WHERE verdict = 7)
), advanced AS (
    UPDATE chat_rooms r SET rev = r.rev + c.n
    FROM (SELECT room_id, max(rank) AS n FROM numbered GROUP BY room_id) c
    WHERE r.room_id = c.room_id AND r.room_id = ANY ($3::bigint[])
    RETURNING r.room_id, r.rev - c.n AS rev_before
), changed AS (
    UPDATE chat_messages m
    SET updated_at = now(), changed_rev = a.rev_before + c.rank,
        pinned_at = CASE c.kind WHEN 3 THEN now() WHEN 4 THEN NULL ELSE m.pinned_at END
    FROM numbered c JOIN advanced a USING (room_id)
    WHERE m.room_id = c.room_id AND m.seq = c.seq
      AND m.room_id = ANY ($3::bigint[]) AND m.seq = ANY ($4::bigint[])
), reacted AS (
    INSERT INTO chat_reactions (room_id, seq, user_id, reaction)
    SELECT room_id, seq, user_id, reaction FROM numbered WHERE kind = 1 AND verdict = 0
    ON CONFLICT (room_id, seq, user_id)
        DO UPDATE SET reaction = excluded.reaction, reacted_at = now()
), taken_back AS (
    DELETE FROM chat_reactions x USING numbered c
    WHERE (c.kind = 2 OR c.verdict = 6)
      AND x.room_id = c.room_id AND x.seq = c.seq AND x.user_id = c.user_id
      AND x.room_id = ANY ($3::bigint[]) AND x.seq = ANY ($4::bigint[])
)
UPDATE lane_commits SET batch_no = $2 + 1, committed_at = now(), answer = (
    SELECT array_agg(j.verdict::bigint ORDER BY j.ord)
        || array_agg(coalesce(a.rev_before + c.rank, j.room_rev, 0) ORDER BY j.ord)
        || array_agg(coalesce(j.group_rev, 0) ORDER BY j.ord)
    FROM judged j LEFT JOIN numbered c USING (ord) LEFT JOIN advanced a ON a.room_id = c.room_id)
FROM fence WHERE lane_commits.lane_id = fence.lane_id
RETURNING lane_commits.answer
"""


def annotation_statement(blocks_id_type: str | None) -> str:
    """Return the statement for many of them, with the look at blocks where a type is given.

    Parameters: lane, its number; then arrays: room, ``seq``, old id, user, kind, reaction,
    whether the room is a group; and, with a type, the user and the other member in it, or null in a
    group.
    """
    return _ANNOTATIONS.format(**block_parts(blocks_id_type, 10))
