"""The SQL behind ``sync``: what a user missed in all his rooms, in one query.

First the rooms with news are found: the names and counters of all rooms of the user are read in the
order of their numbers, laid side by side and held against the positions that the client named. That
costs a third of what a look-up in each table for each room would
(benchmarks/test_sync.py). Then ``walk`` goes through those with news, in the same order, and stops
when a reply is full. Only of these is anything else read.

**Since when.** A client sends back the horizon of its last sync: the oldest transaction that was
still running then. All older ones were seen. So what a row of ``room_members`` or
``message_removals`` says may be news if that transaction or a younger one wrote it, and else is
none. Without a horizon all of it is. Numbers of transactions mean something in one history of one
database only; so the horizon comes with the name of that history: cluster, timeline (another one
after each failover), database. A row that seems younger than the snapshot was brought here from
elsewhere and is no news.
"""

from fastchat.store.conversation_list import UNREAD_AFTER, UNREAD_COUNT
from fastchat.store.history import COLUMNS, IS_READ
from fastchat.store.messages import MessageRow

NEWEST = 50  # messages that come with a room that the client did not name
# Bytes of a part of a reply besides texts, about.
_ROOM_SIZE, _MESSAGE_SIZE, _MEMBER_SIZE, _ID_SIZE = 400, 500, 200, 32

# Kinds of rows. The first row is of kind ROOM and of no room: it only has the horizon.
ROOM, NEW, CHANGED = 0, 1, 2
ROOM_COLUMNS = 20  # of a row, those of messages are behind them

# A standby has no timeline of its own: a horizon from there is good for nothing elsewhere.
_HISTORY = """(SELECT system_identifier FROM pg_control_system()) || '-'
            || CASE WHEN pg_is_in_recovery() THEN ''
                ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END || '-'
            || (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())"""

_LAST_XID = (1 << 64) - 1
_IS_RECENT = "({xid} >= t.since AND {xid} < t.until)"
_NOT_REMOVED = """(SELECT true FROM message_removals x
                WHERE x.user_id = $1 AND x.room_id = m.room_id AND x.seq = m.seq LIMIT 1) IS NULL"""
_SIZE = (
    f"{_MESSAGE_SIZE} + coalesce(octet_length(m.encrypted_content) / 2, octet_length(m.content), 0)"
)

_NEW = f"""m.room_id = {{room}}.room_id AND NOT m.is_deleted AND {_NOT_REMOVED}"""
# By the index of changed messages: the zeros keep the planner from going through the whole room in
# the order of its messages.
_CHANGED = f"""m.room_id = {{room}}.room_id AND m.changed_rev > {{room}}.known_rev
              AND m.seq + 0 <= {{room}}.known_seq AND m.seq + 0 > {{hidden}}.hidden_seq
              AND {_NOT_REMOVED}
            ORDER BY m.changed_rev"""

# Rooms that the user is in, from where the reply goes on.
_PRESENT = "ARRAY(SELECT m.room_id FROM mine m WHERE NOT m.is_left)"

# $1 user, $2 positions by conversation id, each a text "seq.rev", which costs PostgreSQL a tenth of
# an object to read, and two thirds less to compare; $3 most messages of a room;
# $4 and $5 history and horizon of the state; $6 to $8 history, horizon and room of the place to go
# on at; $9 bytes that fill a reply.
_SYNC = f"""
WITH RECURSIVE moment AS MATERIALIZED (
    SELECT h.history, s.has_state,
        CASE WHEN s.has_state THEN $5::text::xid8 ELSE '0'::xid8 END AS since,
        CASE WHEN s.has_state THEN s.youngest ELSE '{_LAST_XID}'::xid8 END AS until,
        CASE WHEN s.goes_on THEN $8::bigint ELSE 0 END AS after_room,
        CASE WHEN s.goes_on THEN $7::text::xid8 ELSE s.horizon END AS horizon
    FROM (SELECT {_HISTORY} AS history) h CROSS JOIN LATERAL (
        SELECT x.*, h.history = $4::text AND $5::text::xid8 <= x.horizon AS has_state,
            h.history = $6::text AND $7::text::xid8 <= x.horizon AS goes_on
        FROM (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS horizon,
            pg_snapshot_xmax(pg_current_snapshot()) AS youngest) x
    ) s
), mine AS MATERIALIZED (
    SELECT o.room_id, o.left_at IS NOT NULL AS is_left,
        t.has_state AND {_IS_RECENT.format(xid="o.changed_xid")} AS is_recent
    FROM moment t CROSS JOIN LATERAL (
        SELECT o.room_id, o.left_at, o.changed_xid FROM room_members o
        WHERE o.user_id = $1 AND o.room_id > t.after_room OFFSET 0
    ) o
), names AS MATERIALIZED (
    SELECT array_agg(n.room_id) AS room_ids, array_agg(n.name) AS names FROM (
        SELECT d.room_id, d.conversation_id AS name FROM dm_conversations d
        WHERE d.room_id = ANY ({_PRESENT})
        UNION ALL
        SELECT g.room_id, g.group_id FROM chat_groups g WHERE g.room_id = ANY ({_PRESENT})
        ORDER BY room_id
    ) n
), counters AS MATERIALIZED (
    SELECT array_agg(r.room_id) AS room_ids, array_agg(r.seq) AS seqs, array_agg(r.rev) AS revs,
        array_agg(r.seq > 0 OR r.group_rev > 0) AS are_shown
    FROM (
        SELECT r.room_id, r.seq, r.rev, r.group_rev FROM chat_rooms r
        WHERE r.room_id = ANY ({_PRESENT}) ORDER BY r.room_id
    ) r
), news AS MATERIALIZED (
    SELECT ARRAY(
        SELECT x.room_id FROM moment t, names n, counters c, LATERAL (
            -- Without the offset each use of the position would look it up again.
            SELECT x.*, $2::jsonb ->> x.name AS known
            FROM unnest(n.room_ids, n.names, c.room_ids, c.seqs, c.revs, c.are_shown)
                AS x (room_id, name, counted_id, seq, rev, is_shown) OFFSET 0
        ) x
        WHERE x.room_id IS DISTINCT FROM x.counted_id OR x.is_shown AND (
            NOT t.has_state OR x.known IS NULL OR x.known <> x.seq || '.' || x.rev)
        UNION
        SELECT m.room_id FROM mine m
        WHERE m.is_recent AND (m.is_left OR (SELECT r.seq > 0 OR r.group_rev > 0
            FROM chat_rooms r WHERE r.room_id = m.room_id LIMIT 1))
        UNION
        SELECT m.room_id FROM mine m
        WHERE m.is_left AND (SELECT $2::jsonb ? g.group_id
            FROM chat_groups g WHERE g.room_id = m.room_id LIMIT 1)
        ORDER BY room_id
    ) AS room_ids
), walk AS (
    SELECT t.after_room AS room_id, 0 AS place, 0::bigint AS size,
        NULL::text COLLATE "C" AS conversation_id, NULL::text COLLATE "C" AS user1_id,
        NULL::text COLLATE "C" AS user2_id, 0::bigint AS seq, 0::bigint AS rev, false AS is_left,
        0::bigint AS known_seq, 0::bigint AS known_rev, 0 AS wanted, 0::bigint AS hidden_seq,
        0::bigint AS own_read, 0::bigint AS other_read, true AS is_complete, false AS shows_group
    FROM moment t
    UNION ALL
    SELECT n.room_id, w.place + 1,
        w.size + {_ROOM_SIZE} + fresh.size + g.size + CASE WHEN all_of.is_there
            THEN old.size + removed.n * {_ID_SIZE} ELSE n.wanted * {_MESSAGE_SIZE} END,
        n.conversation_id, n.user1_id, n.user2_id, n.seq, n.rev, n.is_left, n.known_seq,
        n.known_rev, n.wanted, h.hidden_seq, n.read_seq, h.other_read, all_of.is_there, g.is_shown
    FROM walk w CROSS JOIN moment t CROSS JOIN news CROSS JOIN LATERAL (
        SELECT o.room_id, o.read_seq, o.left_at IS NOT NULL AS is_left FROM room_members o
        WHERE o.user_id = $1 AND o.room_id = news.room_ids[w.place + 1] LIMIT 1
    ) own CROSS JOIN LATERAL (
        SELECT r.seq, r.rev, r.group_rev FROM chat_rooms r WHERE r.room_id = own.room_id LIMIT 1
    ) r CROSS JOIN LATERAL (
        SELECT d.conversation_id, d.user1_id, d.user2_id
        FROM dm_conversations d WHERE d.room_id = own.room_id
        UNION ALL
        SELECT g.group_id, NULL, NULL FROM chat_groups g WHERE g.room_id = own.room_id
        LIMIT 1
    ) c CROSS JOIN LATERAL (
        SELECT own.*, r.*, c.*,
            split_part($2::jsonb ->> c.conversation_id, '.', 1)::bigint AS named_seq,
            split_part($2::jsonb ->> c.conversation_id, '.', 2)::bigint AS named_rev
        OFFSET 0
    ) o CROSS JOIN LATERAL (
        SELECT coalesce(o.named_seq <= o.seq AND o.named_rev <= o.rev, false) AS is_known
    ) k CROSS JOIN LATERAL (
        SELECT o.*,
            CASE WHEN k.is_known THEN o.named_seq ELSE 0 END AS known_seq,
            CASE WHEN k.is_known THEN o.named_rev END AS known_rev,
            CASE WHEN k.is_known THEN $3::integer ELSE least($3::integer, {NEWEST}) END AS wanted
        OFFSET 0
    ) n CROSS JOIN LATERAL (
        SELECT coalesce((SELECT x.hidden_seq FROM conversation_removals x
                WHERE x.user_id = $1 AND x.room_id = n.room_id LIMIT 1), 0) AS hidden_seq,
            CASE WHEN n.user1_id IS NOT NULL THEN (SELECT o.read_seq FROM room_members o
                WHERE o.user_id = CASE WHEN n.user1_id = $1 THEN n.user2_id ELSE n.user1_id END
                  AND o.room_id = n.room_id LIMIT 1) END AS other_read
    ) h CROSS JOIN LATERAL (
        SELECT count(*) AS n, coalesce(sum(f.size), 0)::bigint AS size FROM (
            SELECT {_SIZE} AS size FROM chat_messages m
            WHERE NOT n.is_left AND {_NEW.format(room="n")}
              AND m.seq > greatest(n.known_seq, h.hidden_seq)
            ORDER BY m.seq DESC LIMIT n.wanted + 1
        ) f
    ) fresh CROSS JOIN LATERAL (
        SELECT count(*) AS n, coalesce(sum(f.size), 0)::bigint AS size FROM (
            SELECT {_SIZE} AS size FROM chat_messages m
            WHERE NOT n.is_left AND {_CHANGED.format(room="n", hidden="h")}
            LIMIT n.wanted + 1
        ) f
    ) old CROSS JOIN LATERAL (
        SELECT count(*) AS n FROM (
            SELECT x.seq FROM message_removals x
            WHERE NOT n.is_left AND n.known_rev IS NOT NULL
              AND x.user_id = $1 AND x.room_id = n.room_id
              AND {_IS_RECENT.format(xid="x.removed_xid")}
            ORDER BY x.removed_xid LIMIT n.wanted + 1
        ) x
    ) removed CROSS JOIN LATERAL (
        SELECT fresh.n + old.n <= n.wanted AND removed.n <= n.wanted AS is_there
    ) all_of CROSS JOIN LATERAL (
        SELECT s.is_shown, CASE WHEN s.is_shown THEN {_MEMBER_SIZE} * (
            SELECT count(*) FROM group_participants p WHERE p.room_id = n.room_id
            ) ELSE 0 END AS size
        FROM (SELECT NOT n.is_left AND n.user1_id IS NULL
            AND (n.known_rev IS NULL OR n.group_rev > n.known_rev) AS is_shown) s
    ) g
    WHERE w.size < $9::bigint
)
SELECT w.room_id, {ROOM}, t.history, t.horizon::text, w.size,
    w.conversation_id, w.user1_id, w.user2_id, w.seq, w.rev, w.is_left, w.is_complete,
    w.own_read, w.other_read,
    CASE WHEN w.conversation_id IS NOT NULL AND NOT w.is_left THEN {
    UNREAD_COUNT.format(
        room="w.room_id",
        user="$1",
        after=UNREAD_AFTER.format(read_seq="w.own_read", hidden_seq="w.hidden_seq", seq="w.seq"),
    )
} END,
    w.hidden_seq, w.hidden_seq > 0 AND (
        SELECT true FROM chat_messages m
        WHERE {_NEW.format(room="w")} AND m.seq > w.hidden_seq LIMIT 1) IS NULL,
    CASE WHEN w.is_complete AND w.known_rev IS NOT NULL THEN ARRAY(
        SELECT coalesce(m.message_id, m.room_id || '-' || m.seq)
        FROM message_removals x CROSS JOIN LATERAL (
            SELECT m.room_id, m.seq, m.message_id FROM chat_messages m
            WHERE m.room_id = x.room_id AND m.seq = x.seq LIMIT 1
        ) m
        WHERE x.user_id = $1 AND x.room_id = w.room_id
          AND {_IS_RECENT.format(xid="x.removed_xid")}
        ORDER BY x.removed_xid) END,
    CASE WHEN w.shows_group THEN (
        SELECT json_build_array(g.group_name, g.group_description, g.created_by, g.max_members,
            date_part('epoch', g.created_at))::text
        FROM chat_groups g WHERE g.room_id = w.room_id LIMIT 1) END,
    CASE WHEN w.shows_group THEN (
        SELECT json_agg(json_build_array(p.user_id, p.role, p.can_send_messages,
            p.can_add_members, date_part('epoch', p.joined_at)) ORDER BY p.joined_at, p.user_id
        )::text
        FROM group_participants p WHERE p.room_id = w.room_id) END,
    {", ".join(["NULL"] * len(MessageRow._fields))}
FROM walk w CROSS JOIN moment t
UNION ALL
SELECT w.room_id, m.kind, {", ".join(["NULL"] * (ROOM_COLUMNS - 2))}, {COLUMNS},
    {IS_READ.format(read_seq="CASE WHEN m.sender_id = $1 THEN w.other_read ELSE w.own_read END")}
FROM walk w CROSS JOIN LATERAL (
    (SELECT m.*, {NEW} AS kind FROM chat_messages m
    WHERE {_NEW.format(room="w")}
      AND m.seq > CASE WHEN w.is_complete THEN greatest(w.known_seq, w.hidden_seq)
          ELSE w.hidden_seq END
    ORDER BY m.seq DESC LIMIT w.wanted)
    UNION ALL
    (SELECT m.*, {CHANGED} FROM chat_messages m
    WHERE w.is_complete AND {_CHANGED.format(room="w", hidden="w")})
) m
WHERE w.conversation_id IS NOT NULL AND NOT w.is_left
"""


def sync_query(columns: str) -> str:
    """Return the query; ``columns`` is what it selects of a message."""
    return _SYNC.replace(COLUMNS, columns)
