"""The SQL of queued events."""

# Many events for many users each, as one fenced statement. The ids are drawn in the order of
# arrival: it is that of delivery.
STORE = """
WITH fence AS MATERIALIZED (
    SELECT lane_id FROM lane_commits WHERE lane_id = $1 AND batch_no = $2 FOR UPDATE
), numbered AS MATERIALIZED (
    SELECT nextval('event_ids') AS event_id, g.* FROM (
        SELECT g.* FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[])
            WITH ORDINALITY AS g (room_id, content, encrypted_content, encryption_iv,
                encryption_scheme, ord)
        WHERE EXISTS (SELECT FROM fence) ORDER BY g.ord
    ) g
), bodies AS (
    INSERT INTO event_bodies
        (event_id, room_id, content, encrypted_content, encryption_iv, encryption_scheme)
    SELECT n.event_id, n.room_id, n.content, n.encrypted_content, n.encryption_iv,
        n.encryption_scheme
    FROM numbered n
), queued AS (
    INSERT INTO event_queue (event_id, user_id)
    SELECT n.event_id, t.user_id
    FROM unnest($8::bigint[], $9::text[]) AS t (ord, user_id) JOIN numbered n USING (ord)
    ORDER BY n.event_id
    ON CONFLICT (event_id, user_id) DO NOTHING
)
UPDATE lane_commits SET batch_no = $2 + 1, committed_at = now(), answer = (
    SELECT array_agg(n.event_id ORDER BY n.ord) FROM numbered n)
FROM fence WHERE lane_commits.lane_id = fence.lane_id
RETURNING lane_commits.answer
"""

# The right to deliver to a user, together with what there is to deliver. One who waited here for
# another's last step has the snapshot of before: then `turn` moved by more than his own step.
CLAIM = """
WITH seen AS MATERIALIZED (
    SELECT turn FROM event_drains WHERE user_id = $1
), claim AS (
    INSERT INTO event_drains AS d (user_id, turn, claimed_until)
    VALUES ($1, 1, now() + make_interval(secs => $2))
    ON CONFLICT (user_id) DO UPDATE SET turn = d.turn + 1, claimed_until = excluded.claimed_until
    WHERE d.claimed_until <= now() OR d.turn = $3
    RETURNING turn
)
SELECT claim.turn, claim.turn - 1 = coalesce((SELECT turn FROM seen), 0), ARRAY(
    SELECT q.event_id FROM event_queue q
    WHERE q.user_id = $1 AND q.delivered_at IS NULL AND q.event_id <> ALL ($5::bigint[])
    ORDER BY q.event_id LIMIT $4)
FROM claim
"""

# Bodies in the order of their ids, up to some bytes, but at least one.
READ = """
SELECT s.event_id, s.room_id, s.content, s.encrypted_content, s.encryption_iv, s.encryption_scheme
FROM (
    SELECT b.*, sum(b.size) OVER (ORDER BY b.event_id) - b.size AS size_before
    FROM unnest($1::bigint[]) AS k (event_id), LATERAL (
        SELECT e.*, octet_length(coalesce(e.encrypted_content, e.content)) AS size
        FROM event_bodies e WHERE e.event_id = k.event_id LIMIT 1) b
) s
WHERE s.size_before < $2 ORDER BY s.event_id
"""

MARK = """
WITH marked AS (
    UPDATE event_queue SET delivered_at = now()
    WHERE user_id = $1 AND event_id = ANY ($2::bigint[]) AND delivered_at IS NULL
    RETURNING event_id
), released AS (
    UPDATE event_drains SET turn = turn + 1, claimed_until = now()
    WHERE user_id = $1 AND turn = $3
)
SELECT event_id FROM marked
"""

# What is cleared away, as statements that take the most rows they may delete.
_DELETE = """
DELETE FROM event_queue WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM event_queue WHERE {condition} ORDER BY {time} LIMIT $1
    FOR UPDATE SKIP LOCKED))
"""
CLEAN_DELIVERED = _DELETE.format(
    condition="delivered_at < now() - interval '7 days'", time="delivered_at"
)
CLEAN_UNDELIVERED = _DELETE.format(
    condition="delivered_at IS NULL AND created_at < now() - interval '30 days'",
    time="created_at",
)

# A part of a table in the order of its key, and where it ends. A body that nobody needs is at least
# a week old: so long rows stay after their delivery.
CLEAN_BODIES = """
WITH slice AS MATERIALIZED (
    SELECT event_id FROM event_bodies
    WHERE event_id > $1 AND created_at < now() - interval '7 days'
    ORDER BY event_id LIMIT $2
), gone AS (
    DELETE FROM event_bodies b USING slice s
    WHERE b.event_id = s.event_id AND (
        SELECT true FROM event_queue q WHERE q.event_id = s.event_id LIMIT 1) IS NULL
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM slice), (SELECT max(event_id) FROM slice)
"""
CLEAN_CLAIMS = """
WITH slice AS MATERIALIZED (
    SELECT user_id FROM event_drains WHERE user_id > $1::text ORDER BY user_id LIMIT $2
), gone AS (
    DELETE FROM event_drains d USING slice s
    WHERE d.user_id = s.user_id AND d.claimed_until < now() - interval '1 day'
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM slice), (SELECT max(user_id) FROM slice)
"""

MEASURE = """
SELECT (SELECT count(*) FROM (
        SELECT FROM event_queue WHERE delivered_at IS NULL ORDER BY created_at LIMIT $1) q),
    (SELECT date_part('epoch', now() - q.created_at) FROM event_queue q
        WHERE q.delivered_at IS NULL ORDER BY q.created_at LIMIT 1)
"""
