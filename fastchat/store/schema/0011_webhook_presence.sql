-- What the main backend was told last about each user by webhook, so that whoever was killed with
-- his server is told of too. Only where webhooks are switched on.
CREATE TABLE webhook_presence (
    user_id text COLLATE "C" PRIMARY KEY,
    username text NOT NULL,
    display_name text NOT NULL,
    is_online boolean NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN webhook_presence.is_online IS
    'changed in the statement that stores the webhook; false: the row is cleared away after an hour';
CREATE INDEX webhook_presence_away ON webhook_presence (changed_at) WHERE NOT is_online;
