-- Whose queued events are being delivered, so that two devices of a user never get the same ones.
-- The row stays: compared with what a statement's snapshot shows, `turn` tells whether the events
-- seen there are still those of the moment. Moved in place (HOT).
CREATE TABLE event_drains (
    user_id text COLLATE "C" PRIMARY KEY,
    turn bigint NOT NULL,
    claimed_until timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON COLUMN event_drains.claimed_until IS
    'until then nobody else delivers; what a dead worker claimed is free after it';
