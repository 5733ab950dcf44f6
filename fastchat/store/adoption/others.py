"""Copies what hangs on rooms and messages, by the keys noted in ``changes``.

The first copy and all later ones are the same: the old rows of some keys replace what was copied of
them before. So it may be repeated, and in any order but one: rooms before messages, and messages
before what refers to them.
"""

import json
from typing import TYPE_CHECKING

from fastchat.store.adoption import NEXT, WORK
from fastchat.store.adoption.workplace import key_of
from fastchat.store.cipher import Cipher
from fastchat.store.event_queue import context_of

if TYPE_CHECKING:
    from asyncpg import Connection

    from fastchat.store.adoption.old_tables import OldTables

FIRST_REV = 1  # of events, which had none before

# How each kind is copied; {key} is a noted key in the type of the old column.
USERS = f"""
DELETE FROM {NEXT}.chat_users u USING keys k WHERE u.user_id = k.key;
INSERT INTO {NEXT}.chat_users (user_id, username, email, first_name, last_name, display_name)
SELECT DISTINCT ON (v.id) v.id, v.username, v.email, v.first_name, v.last_name, v.display_name
FROM keys k JOIN {WORK}.old_users v ON v.key = {{key}};
"""
CONVERSATIONS = f"""
WITH made AS (
    INSERT INTO {NEXT}.dm_conversations (conversation_id, room_id, user1_id, user2_id, created_at)
    SELECT conversation_id, nextval('{NEXT}.chat_rooms_room_id_seq'), user1_id, user2_id, created_at
    FROM (
        SELECT DISTINCT ON (v.conversation_id) v.*
        FROM keys k JOIN {WORK}.old_conversations v ON v.key = {{key}}
        WHERE NOT EXISTS (SELECT FROM {NEXT}.dm_conversations d
            WHERE d.conversation_id = v.conversation_id)
        ORDER BY v.conversation_id, v.created_at
    ) v
    RETURNING room_id, user1_id, user2_id, created_at
), numbered AS (
    INSERT INTO {NEXT}.chat_rooms (room_id, last_at) SELECT room_id, created_at FROM made
)
INSERT INTO {NEXT}.room_members (user_id, room_id)
SELECT user1_id, room_id FROM made UNION SELECT user2_id, room_id FROM made;
INSERT INTO {WORK}.names (id, room_id)
SELECT DISTINCT ON (v.id) v.id, d.room_id FROM keys k JOIN {WORK}.old_conversations v
    ON v.key = {{key}}
JOIN {NEXT}.dm_conversations d ON d.conversation_id = v.conversation_id
ON CONFLICT (id) DO UPDATE SET room_id = excluded.room_id;
"""
GROUPS = f"""
WITH made AS (
    INSERT INTO {NEXT}.chat_groups (group_id, room_id, group_name, created_by)
    SELECT id, nextval('{NEXT}.chat_rooms_room_id_seq'), group_name, created_by
    FROM (SELECT DISTINCT ON (v.id) v.* FROM keys k JOIN {WORK}.old_groups v ON v.key = {{key}}) v
    WHERE NOT EXISTS (SELECT FROM {NEXT}.chat_groups g WHERE g.group_id = v.id)
    RETURNING room_id, group_id
), numbered AS (
    INSERT INTO {NEXT}.chat_rooms (room_id, rev, group_rev, last_at)
    SELECT m.room_id, 1, 1, v.created_at FROM made m JOIN {WORK}.old_groups v ON v.id = m.group_id
)
INSERT INTO {WORK}.changes (kind, key)
SELECT 'messages', l.id FROM made m JOIN {WORK}.left_out l ON l.group_id = m.group_id;
UPDATE {NEXT}.chat_groups g SET group_name = v.group_name, created_by = v.created_by,
    group_description = v.group_description, max_members = v.max_members,
    created_at = v.created_at, deleted_at = v.deleted_at
FROM keys k JOIN {WORK}.old_groups v ON v.key = {{key}} WHERE g.group_id = v.id;
UPDATE {NEXT}.chat_groups g SET deleted_at = now() FROM keys k
WHERE g.group_id = k.key AND g.deleted_at IS NULL
  AND NOT EXISTS (SELECT FROM {WORK}.old_groups v WHERE v.key = {{key}});
INSERT INTO touched (room_id) SELECT DISTINCT g.room_id
FROM keys k JOIN {NEXT}.chat_groups g ON g.group_id = k.key ON CONFLICT DO NOTHING;
DELETE FROM {NEXT}.group_participants p USING touched t WHERE p.room_id = t.room_id;
DELETE FROM {NEXT}.room_members o USING touched t WHERE o.room_id = t.room_id;
"""
MEMBERS = f"""
INSERT INTO {NEXT}.group_participants
    (room_id, user_id, role, can_send_messages, can_add_members, joined_at)
SELECT DISTINCT ON (g.room_id, v.user_id) g.room_id, v.user_id, v.role, v.can_send_messages,
    v.can_add_members, v.joined_at
FROM keys k JOIN {WORK}.old_members v ON v.key = {{key}}
JOIN {NEXT}.chat_groups g ON g.group_id = v.id
WHERE g.deleted_at IS NULL
ORDER BY g.room_id, v.user_id, v.joined_at;
-- A group that nobody owns gets an owner: who made it, else an admin, else who came first.
UPDATE {NEXT}.group_participants p SET role = 'owner' FROM (
    SELECT DISTINCT ON (p.room_id) p.room_id, p.user_id
    FROM touched t JOIN {NEXT}.group_participants p ON p.room_id = t.room_id
    JOIN {NEXT}.chat_groups g ON g.room_id = p.room_id
    WHERE NOT EXISTS (SELECT FROM {NEXT}.group_participants q
        WHERE q.room_id = p.room_id AND q.role = 'owner')
    ORDER BY p.room_id, p.user_id = g.created_by DESC, p.role, p.joined_at, p.user_id
) o WHERE p.room_id = o.room_id AND p.user_id = o.user_id;
INSERT INTO {NEXT}.room_members (user_id, room_id)
SELECT p.user_id, p.room_id FROM touched t
JOIN {NEXT}.group_participants p ON p.room_id = t.room_id;
"""
REACTIONS = f"""
DELETE FROM {NEXT}.chat_reactions x USING keys k JOIN {NEXT}.chat_messages m ON m.message_id = k.key
WHERE x.room_id = m.room_id AND x.seq = m.seq;
INSERT INTO {NEXT}.chat_reactions (room_id, seq, user_id, reaction, reacted_at)
SELECT DISTINCT ON (m.room_id, m.seq, v.user_id) m.room_id, m.seq, v.user_id, v.reaction,
    v.reacted_at
FROM keys k JOIN {NEXT}.chat_messages m ON m.message_id = k.key
JOIN {WORK}.old_reactions v ON v.key = {{key}}
WHERE NOT m.is_deleted
ORDER BY m.room_id, m.seq, v.user_id, v.reacted_at DESC, v.reaction;
UPDATE {NEXT}.chat_messages m SET changed_rev = m.seq FROM keys k
WHERE m.message_id = k.key AND m.changed_rev IS NULL AND EXISTS (
    SELECT FROM {NEXT}.chat_reactions x WHERE x.room_id = m.room_id AND x.seq = m.seq);
"""
MESSAGE_REMOVALS = f"""
DELETE FROM {NEXT}.message_removals x USING keys k
JOIN {NEXT}.chat_messages m ON m.message_id = k.key
WHERE x.room_id = m.room_id AND x.seq = m.seq;
INSERT INTO {NEXT}.message_removals (user_id, room_id, seq, removed_at)
SELECT DISTINCT ON (m.room_id, m.seq, v.user_id) v.user_id, m.room_id, m.seq, v.removed_at
FROM keys k JOIN {NEXT}.chat_messages m ON m.message_id = k.key
JOIN {WORK}.old_message_removals v ON v.key = {{key}}
WHERE NOT m.is_deleted
ORDER BY m.room_id, m.seq, v.user_id, v.removed_at;
"""
# The room of an old conversation's id: that of a group has the group's.
_ROOM_OF = f"""coalesce(
        (SELECT g.room_id FROM {NEXT}.chat_groups g WHERE g.group_id = k.key LIMIT 1),
        (SELECT n.room_id FROM {WORK}.names n WHERE n.id = k.key LIMIT 1),
        (SELECT d.room_id FROM {NEXT}.dm_conversations d
            WHERE d.conversation_id = k.key LIMIT 1))"""
CONVERSATION_REMOVALS = f"""
DELETE FROM {NEXT}.conversation_removals x USING (SELECT {_ROOM_OF} AS room_id FROM keys k) r
WHERE x.room_id = r.room_id;
INSERT INTO {NEXT}.conversation_removals (user_id, room_id, hidden_seq, removed_at)
SELECT v.user_id, r.room_id, 0, max(v.removed_at)
FROM (SELECT k.key, {_ROOM_OF} AS room_id FROM keys k) k
JOIN {WORK}.old_conversation_removals v ON v.key = {{key}}
CROSS JOIN LATERAL (SELECT k.room_id) r
WHERE r.room_id IS NOT NULL
GROUP BY v.user_id, r.room_id
ON CONFLICT (user_id, room_id) DO UPDATE SET removed_at = excluded.removed_at;
INSERT INTO touched (room_id) SELECT DISTINCT r.room_id
FROM (SELECT {_ROOM_OF} AS room_id FROM keys k) r WHERE r.room_id IS NOT NULL
ON CONFLICT DO NOTHING;
"""
SCRIPTS = {
    "users": USERS,
    "conversations": CONVERSATIONS,
    "reactions": REACTIONS,
    "message_removals": MESSAGE_REMOVALS,
    "conversation_removals": CONVERSATION_REMOVALS,
}

_FORGET_EVENTS = f"""
WITH gone AS (
    DELETE FROM {WORK}.events e USING keys k WHERE e.id = k.key RETURNING e.event_id
), bodies AS (
    DELETE FROM {NEXT}.event_bodies b USING gone g WHERE b.event_id = g.event_id
)
DELETE FROM {NEXT}.event_queue q USING gone g WHERE q.event_id = g.event_id
"""
_READ_EVENTS = f"""
SELECT v.id, v.user_id, v.event_type, v.event_data, v.created_at
FROM keys k JOIN {WORK}.old_events v ON v.key = {{key}} ORDER BY v.created_at, v.key
"""
_STORE_EVENTS = f"""
WITH given AS MATERIALIZED (
    SELECT nextval('{NEXT}.event_ids') AS event_id, g.* FROM (
        SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::text[],
            $6::text[], $7::text[]) WITH ORDINALITY AS g (id, user_id, created_at, content,
            encrypted_content, encryption_iv, encryption_scheme, ord) ORDER BY ord
    ) g
), bodies AS (
    INSERT INTO {NEXT}.event_bodies (event_id, created_at, content, encrypted_content,
        encryption_iv, encryption_scheme)
    SELECT event_id, created_at, content, encrypted_content, encryption_iv, encryption_scheme
    FROM given
), queued AS (
    INSERT INTO {NEXT}.event_queue (event_id, user_id, created_at)
    SELECT event_id, user_id, created_at FROM given
)
INSERT INTO {WORK}.events (id, event_id) SELECT id, event_id FROM given
"""

# Who was in a room has read up to the first message to him that says otherwise. In a group there is
# no such message: he has read all, or what came before the time noted for him.
_POSITIONS = f"""
UPDATE {NEXT}.room_members o SET read_seq = CASE
    WHEN d.room_id IS NULL THEN {{group_position}}
    ELSE coalesce((SELECT m.seq - 1 FROM {NEXT}.chat_messages m
        WHERE m.room_id = o.room_id AND m.recipient_id = o.user_id AND NOT m.is_read
          AND NOT m.is_deleted AND m.sender_id <> o.user_id ORDER BY m.seq LIMIT 1), r.seq) END
FROM touched t JOIN {NEXT}.chat_rooms r ON r.room_id = t.room_id
LEFT JOIN {NEXT}.dm_conversations d ON d.room_id = t.room_id
WHERE o.room_id = t.room_id
"""
_UP_TO = f"""coalesce((SELECT m.seq FROM {NEXT}.chat_messages m
        WHERE m.room_id = {{room}} AND m.created_at <= {{time}} ORDER BY m.seq DESC LIMIT 1), 0)"""
_LAST_READ = f"""(SELECT coalesce(v.last_read_at, v.joined_at) FROM {WORK}.old_members v
        JOIN {NEXT}.chat_groups g ON g.group_id = v.id
        WHERE g.room_id = o.room_id AND v.key = {{key}} AND v.user_id = o.user_id LIMIT 1)"""
_GROUP_KEY = f"(SELECT g.group_id FROM {NEXT}.chat_groups g WHERE g.room_id = o.room_id)"
_HIDDEN = f"""
UPDATE {NEXT}.conversation_removals x SET hidden_seq = {
    _UP_TO.format(room="x.room_id", time="x.removed_at")
}
FROM touched t WHERE x.room_id = t.room_id
"""


class Others:
    """Copies everything but messages; each method is a part of one transaction."""

    def __init__(self, connection: "Connection", tables: "OldTables", cipher: Cipher) -> None:
        """Take the one connection, what is copied, and what seals events."""
        self._connection = connection
        self._tables = tables
        self._cipher = cipher
        position = "r.seq"
        members = tables.get("members")
        if members is not None and members.has("last_read_at"):
            last_read = _LAST_READ.format(key=key_of(tables, "members", _GROUP_KEY))
            position = _UP_TO.format(room="o.room_id", time=last_read)
        self._positions = _POSITIONS.format(group_position=position)

    async def copy_again(self, kind: str) -> None:
        """Copy the rows of the keys in ``keys`` as they are now."""
        if kind == "groups":
            await self._copy_groups()
        elif kind == "events":
            await self._copy_events()
        else:
            await self._run(SCRIPTS[kind].format(key=key_of(self._tables, kind)))

    async def find_positions(self) -> None:
        """Say how far everybody has read, and what he hid, in the rooms in ``touched``."""
        await self._run(self._positions)
        await self._run(_HIDDEN)

    async def _copy_groups(self) -> None:
        await self._run(GROUPS.format(key=key_of(self._tables, "groups")))
        if self._tables.get("members") is not None:
            await self._run(MEMBERS.format(key=key_of(self._tables, "members")))

    async def _copy_events(self) -> None:
        await self._run(_FORGET_EVENTS)
        query = _READ_EVENTS.format(key=key_of(self._tables, "events"))
        columns: list[tuple[object, ...]] = []
        for id_, user_id, event_type, data, created_at in await self._connection.fetch(query):
            payload = _payload(event_type, data)
            if payload is None:
                await self._connection.execute(
                    f"INSERT INTO {WORK}.events (id, event_id) VALUES ($1, NULL)", id_
                )
                continue
            sealed = self._cipher.seal(payload, context_of(None), "")
            columns.append((id_, user_id, created_at, *sealed[:4]))
        if columns:
            await self._connection.execute(_STORE_EVENTS, *map(list, zip(*columns, strict=True)))

    async def _run(self, script: str) -> None:
        await self._connection.execute(script)


def _payload(event_type: str | None, data: str) -> str | None:
    """Return an event as it is sent, or None for what is none."""
    try:
        event = json.loads(data)
        if not isinstance(event, dict):
            return None
        if not isinstance(event.get("type"), str):
            if event_type is None:
                return None
            event["type"] = event_type
        # Every room has that much by now, so whoever counts learns nothing new from it.
        event.setdefault("rev", FIRST_REV)
        payload = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        payload.encode()
    except (ValueError, RecursionError):  # no JSON, a lone surrogate, or too deep
        return None
    return payload
