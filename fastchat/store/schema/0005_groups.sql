-- Groups: rooms whose members come and go.

-- Compared with what a statement's snapshot shows, it tells whether the members seen there are
-- still those of the locked row.
ALTER TABLE chat_rooms ADD COLUMN group_rev bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN chat_rooms.group_rev IS
    'rev of the last change of the group or of its members; 0 in conversations of two';

CREATE TABLE chat_groups (
    group_id text COLLATE "C" PRIMARY KEY,
    room_id bigint NOT NULL UNIQUE REFERENCES chat_rooms,
    group_name text NOT NULL,
    group_description text NOT NULL DEFAULT '',
    created_by text COLLATE "C" NOT NULL,
    max_members integer NOT NULL DEFAULT 50,
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);

-- Who is in a group now, and what he may do there. Written only under the lock of the room.
CREATE TABLE group_participants (
    room_id bigint NOT NULL REFERENCES chat_rooms,
    user_id text COLLATE "C" NOT NULL,
    role text NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'admin', 'member')),
    can_send_messages boolean NOT NULL DEFAULT true,
    can_add_members boolean NOT NULL DEFAULT false,
    joined_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (room_id, user_id)
);

ALTER TABLE chat_messages
    ADD COLUMN is_announcement boolean NOT NULL DEFAULT false,
    ADD COLUMN mentions text;
COMMENT ON COLUMN chat_messages.mentions IS
    'JSON, a list of the ids of mentioned members; null in it: everyone';

-- A membership that ended keeps its row: it tells the one who was away that he is out.
ALTER TABLE room_members
    ADD COLUMN left_at timestamptz,
    ADD COLUMN changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id();
COMMENT ON COLUMN room_members.changed_xid IS
    'transaction that last changed what this user sees of the room besides its messages';

ALTER TABLE message_removals
    ADD COLUMN removed_xid xid8 NOT NULL DEFAULT pg_current_xact_id();
