"""The SQL that makes groups and changes them and their members.

Each change is one fenced statement in the lane of the group's room: the room is locked, the verdict
is made of the members as the snapshot shows them, and where the ``group_rev`` seen there is not
that of the locked row, nothing is done and the change goes again. So no group gets too many
members, and nobody does what he may not do any more.
"""

# Kinds of change.
ADD = 1
REMOVE = 2
LEAVE = 3
TRANSFER = 4
PROMOTE = 5
DEMOTE = 6
PERMIT = 7
UPDATE = 8
DELETE = 9

# Verdicts.
DONE = 0
NOT_FOUND = 1
NOT_ALLOWED = 2
FULL = 3
OWNER = 4
IS_SO_ALREADY = 5
TOO_FEW = 6
GO_AGAIN = 7  # then nothing was done
OVERTAKEN = 8  # the group is not any more what the wish was made of

# Parameters: lane, its number, room, kind, who does it, to whom, may he send, may he add, name,
# description, most members, the ``group_rev`` that the wish was made of or null. The answer:
# verdict, rev, whether he may send and add now.
CHANGE = """
WITH fence AS MATERIALIZED (
    SELECT lane_id FROM lane_commits WHERE lane_id = $1 AND batch_no = $2 FOR UPDATE
), seen AS MATERIALIZED (
    SELECT room_id, group_rev FROM chat_rooms WHERE room_id = $3::bigint
), locked AS MATERIALIZED (
    SELECT room_id, rev, seq, group_rev FROM chat_rooms
    WHERE room_id = $3::bigint AND EXISTS (SELECT FROM fence) FOR NO KEY UPDATE
), facts AS MATERIALIZED (
    SELECT l.room_id, l.rev, l.seq, l.group_rev, l.group_rev = s.group_rev AS is_current,
        g.group_name, g.group_description, g.max_members, a.role AS actor, a.can_add_members,
        t.role AS target, t.can_send_messages AS can_send, t.can_add_members AS can_add,
        (SELECT count(*) FROM group_participants c WHERE c.room_id = l.room_id) AS members
    FROM locked l JOIN seen s ON s.room_id = l.room_id
    JOIN chat_groups g ON g.room_id = l.room_id AND g.deleted_at IS NULL
    LEFT JOIN group_participants a ON a.room_id = l.room_id AND a.user_id = $5::text
    LEFT JOIN group_participants t ON t.room_id = l.room_id AND t.user_id = $6::text
), judged AS MATERIALIZED (
    SELECT f.*, CASE
        WHEN NOT is_current THEN 7
        WHEN actor IS NULL THEN 1
        WHEN group_rev <> $12::bigint THEN 8
        ELSE CASE $4::integer
            WHEN 1 THEN CASE
                WHEN actor = 'member' AND NOT can_add_members THEN 2
                WHEN target IS NOT NULL THEN 5
                WHEN members >= max_members THEN 3 ELSE 0 END
            WHEN 2 THEN CASE
                WHEN actor = 'member' THEN 2
                WHEN target IS NULL THEN 1
                WHEN actor = 'admin' AND target <> 'member' THEN 2 ELSE 0 END
            WHEN 3 THEN CASE WHEN actor = 'owner' THEN 4 ELSE 0 END
            WHEN 4 THEN CASE
                WHEN actor <> 'owner' THEN 2
                WHEN target IS NULL THEN 1
                WHEN target = 'owner' THEN 5 ELSE 0 END
            WHEN 5 THEN CASE
                WHEN actor <> 'owner' THEN 2
                WHEN target IS NULL THEN 1
                WHEN target <> 'member' THEN 5 ELSE 0 END
            WHEN 6 THEN CASE
                WHEN actor <> 'owner' OR target = 'owner' THEN 2
                WHEN target IS NULL THEN 1
                WHEN target = 'member' THEN 5 ELSE 0 END
            WHEN 7 THEN CASE
                WHEN actor = 'member' THEN 2
                WHEN target IS NULL THEN 1
                WHEN actor = 'admin' AND target <> 'member' THEN 2
                WHEN coalesce($7::boolean, can_send) = can_send
                    AND coalesce($8::boolean, can_add) = can_add THEN 5 ELSE 0 END
            WHEN 8 THEN CASE
                WHEN actor = 'member' THEN 2
                WHEN $11::integer < members THEN 6
                WHEN ($9::text, $10::text, $11::integer)
                    = (group_name, group_description, max_members) THEN 5 ELSE 0 END
            WHEN 9 THEN CASE WHEN actor <> 'owner' THEN 2 ELSE 0 END
        END END AS verdict
    FROM facts f
), done AS MATERIALIZED (
    SELECT * FROM judged WHERE verdict = 0
), advanced AS (
    UPDATE chat_rooms r SET rev = r.rev + 1, group_rev = r.rev + 1
    FROM done d WHERE r.room_id = $3::bigint AND d.room_id = r.room_id
    RETURNING r.rev
), added AS (
    INSERT INTO group_participants (room_id, user_id) SELECT room_id, $6 FROM done WHERE $4 = 1
), joined AS (
    INSERT INTO room_members AS o (user_id, room_id, read_seq)
    SELECT $6, room_id, seq FROM done WHERE $4 = 1
    ON CONFLICT (user_id, room_id) DO UPDATE SET left_at = NULL,
        read_seq = greatest(o.read_seq, excluded.read_seq), changed_xid = pg_current_xact_id()
), removed AS (
    DELETE FROM group_participants p USING done d
    WHERE p.room_id = $3::bigint AND p.room_id = d.room_id
      AND ($4 = 9 OR $4 = 2 AND p.user_id = $6 OR $4 = 3 AND p.user_id = $5)
), gone AS (
    UPDATE room_members o SET left_at = now(), changed_xid = pg_current_xact_id() FROM done d
    WHERE o.room_id = $3::bigint AND o.room_id = d.room_id AND o.left_at IS NULL
      AND ($4 = 9 OR $4 = 2 AND o.user_id = $6 OR $4 = 3 AND o.user_id = $5)
), changed AS (
    UPDATE group_participants p SET
        role = CASE
            WHEN $4 = 4 THEN CASE p.user_id WHEN $6 THEN 'owner' ELSE 'admin' END
            WHEN $4 = 5 THEN 'admin' WHEN $4 = 6 THEN 'member' ELSE p.role END,
        can_send_messages = CASE $4 WHEN 7 THEN coalesce($7, p.can_send_messages)
            ELSE p.can_send_messages END,
        can_add_members = CASE $4 WHEN 7 THEN coalesce($8, p.can_add_members)
            ELSE p.can_add_members END
    FROM done d
    WHERE p.room_id = $3::bigint AND p.room_id = d.room_id
      AND ($4 IN (4, 5, 6, 7) AND p.user_id = $6 OR $4 = 4 AND p.user_id = $5)
), described AS (
    UPDATE chat_groups g SET
        group_name = CASE $4 WHEN 8 THEN $9 ELSE g.group_name END,
        group_description = CASE $4 WHEN 8 THEN $10 ELSE g.group_description END,
        max_members = CASE $4 WHEN 8 THEN $11 ELSE g.max_members END,
        deleted_at = CASE $4 WHEN 9 THEN now() END
    FROM done d WHERE g.room_id = $3::bigint AND g.room_id = d.room_id AND $4 IN (8, 9)
)
UPDATE lane_commits SET batch_no = $2 + 1, committed_at = now(), answer = coalesce((
    SELECT ARRAY[j.verdict, coalesce((SELECT rev FROM advanced), j.rev),
        coalesce($7, j.can_send, true)::integer, coalesce($8, j.can_add, false)::integer]
    FROM judged j), ARRAY[1, 0, 0, 0])
FROM fence WHERE lane_commits.lane_id = fence.lane_id
RETURNING lane_commits.answer
"""

# Parameters: lane, its number, group id, name, description, creator, most members, all members. The
# answer: room, microseconds since the epoch.
CREATE = """
WITH fence AS MATERIALIZED (
    SELECT lane_id FROM lane_commits WHERE lane_id = $1 AND batch_no = $2 FOR UPDATE
), room AS (
    INSERT INTO chat_rooms (rev, group_rev) SELECT 1, 1 FROM fence RETURNING room_id
), made AS (
    INSERT INTO chat_groups
        (group_id, room_id, group_name, group_description, created_by, max_members)
    SELECT $3::text, room_id, $4::text, $5::text, $6::text, $7::integer FROM room
), participants AS (
    INSERT INTO group_participants (room_id, user_id, role)
    SELECT room_id, user_id, CASE user_id WHEN $6 THEN 'owner' ELSE 'member' END
    FROM room, unnest($8::text[]) AS user_id
), members AS (
    INSERT INTO room_members (user_id, room_id)
    SELECT user_id, room_id FROM room, unnest($8::text[]) AS user_id
)
UPDATE lane_commits SET batch_no = $2 + 1, committed_at = now(), answer = ARRAY[
    (SELECT room_id FROM room), (extract(epoch FROM now()) * 1000000)::bigint]
FROM fence WHERE lane_commits.lane_id = fence.lane_id
RETURNING lane_commits.answer
"""
