-- Splits chat_messages into 16 partitions by room, with all that is in it. Every statement of
-- fastchat names the room, so nothing else changes. To be run while fastchat is stopped, in psql with
-- -1 (one transaction); it copies the table, so it needs its size once more.
ALTER TABLE chat_messages RENAME TO chat_messages_whole;
CREATE TABLE chat_messages (LIKE chat_messages_whole INCLUDING DEFAULTS INCLUDING COMMENTS)
    PARTITION BY HASH (room_id);
DO $$
BEGIN
    FOR part IN 0..15 LOOP
        EXECUTE format(
            'CREATE TABLE chat_messages_%s PARTITION OF chat_messages '
            'FOR VALUES WITH (MODULUS 16, REMAINDER %s)', part, part);
    END LOOP;
END $$;
INSERT INTO chat_messages SELECT * FROM chat_messages_whole;
DO $$
DECLARE
    name text;
    definition text;
BEGIN
    FOR name, definition IN
        SELECT i.relname, pg_get_indexdef(i.oid) FROM pg_index x
        JOIN pg_class i ON i.oid = x.indexrelid
        WHERE x.indrelid = 'chat_messages_whole'::regclass AND NOT x.indisprimary
    LOOP
        EXECUTE format('ALTER INDEX %I RENAME TO %I', name, name || '_whole');
        EXECUTE replace(definition, ' ON public.chat_messages_whole ', ' ON chat_messages ');
    END LOOP;
END $$;
DROP TABLE chat_messages_whole;
ALTER TABLE chat_messages ADD PRIMARY KEY (room_id, seq);
