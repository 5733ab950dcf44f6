-- What a user removed since he last asked, found without reading all that he ever removed. Partial,
-- although no row is left out: so no query uses it that does not ask when.
CREATE INDEX message_removals_recent ON message_removals (user_id, room_id, removed_xid)
    WHERE removed_xid IS NOT NULL;
