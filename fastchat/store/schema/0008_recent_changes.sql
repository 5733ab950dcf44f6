-- After a worker has died others look for what it changed and could not tell.
CREATE INDEX chat_messages_updated ON chat_messages (updated_at) WHERE changed_rev IS NOT NULL;
