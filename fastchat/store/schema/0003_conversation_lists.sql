-- Conversations a user deleted for himself: he sees nothing up to that position. A new message is
-- above it and brings the conversation back. One narrow row per user and room, moved in place (HOT).
CREATE TABLE conversation_removals (
    user_id text COLLATE "C" NOT NULL,
    room_id bigint NOT NULL,
    hidden_seq bigint NOT NULL,
    removed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, room_id)
) WITH (fillfactor = 70);
