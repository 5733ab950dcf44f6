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
