-- Reactions to messages, one of each user, and pinned messages.

CREATE TABLE chat_reactions (
    room_id bigint NOT NULL,
    seq bigint NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    reaction text NOT NULL,
    reacted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (room_id, seq, user_id)
);

ALTER TABLE chat_messages ADD COLUMN pinned_at timestamptz;
CREATE INDEX chat_messages_pinned ON chat_messages (room_id, seq) WHERE pinned_at IS NOT NULL;
