"""Statements are planned once per connection, often while the tables are still empty.

Such a plan must not read a whole table: the table grows, the plan stays.
"""

import re

import asyncpg
import pytest

from fastchat.store.lookups import QUERY_SETTINGS

PARAMETER = re.compile(r"\$(\d+)")
# An empty table looks cheap to read; a plan that does so all the same shows it in these words.
READ = re.compile(r"^\s*(?:WITH|SELECT|UPDATE|INSERT|DELETE)\b.*\b(?:FROM|JOIN|UPDATE)\b", re.S)
# The table of lanes has a row per lane, and is read whole when a lane starts.
WHOLE_TABLE = re.compile(r"Seq Scan on (?!lane_commits)\w+|hashed SubPlan")
# Nor a whole room, by the first column of the primary key alone.
WHOLE_ROOM = re.compile(
    r"chat_messages_pkey on chat_messages.*\n\s+Index Cond: \(room_id = [^)\n]*\)\n"
)


@pytest.fixture
def statements(monkeypatch):
    """Every statement that is run on any connection, as text."""
    seen = set()
    connect = asyncpg.connect

    async def recording_connect(*args, **kwargs):
        connection = await connect(*args, **kwargs)
        connection.add_query_logger(lambda record: seen.add(record.query))
        return connection

    monkeypatch.setattr(asyncpg, "connect", recording_connect)
    return seen


async def use_every_command(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    sent = await alice.request(
        type="send_private_message", recipientId="2", content="one", clientMessageId="c-1"
    )
    message_id = sent["messageId"]
    for command in (
        {"type": "send_private_message", "content": "one", "clientMessageId": "c-1"},
        {"type": "send_private_message", "content": "two", "replyToMessageId": message_id},
        {"type": "send_private_message", "content": "two", "replyToMessageId": "an-old-id"},
        {"type": "start_conversation"},
        {"type": "get_private_messages"},
        {"type": "get_private_messages", "after": 0},
        {"type": "get_private_messages", "conversationId": sent["message"]["conversationId"]},
        {"type": "get_online_users"},
        {"type": "edit_message", "messageId": message_id, "content": "edited"},
        {"type": "add_reaction", "messageId": message_id, "reaction": "!"},
        {"type": "pin_message", "messageId": message_id, "conversationId": "conv_1_2"},
        {"type": "get_pinned_messages", "conversationId": "conv_1_2"},
        {"type": "get_conversations"},
        {"type": "sync", "conversations": {"conv_1_2": {"seq": 1, "rev": 1}}},
        {"type": "ack_events", "eventIds": ["1"]},
        {"type": "delete_conversation", "conversationId": "conv_1_2"},
    ):
        await alice.request(recipientId="2", **command)
    await alice.send(type="typing", recipientId="2", isTyping=True)
    await bob.expect("user_typing")
    await bob.request(type="mark_message_read", messageId=message_id)
    await bob.request(type="delete_message", messageId=message_id, deleteForEveryone=False)
    await use_groups(alice)
    await bob.cut()
    await alice.request(type="add_reaction", messageId=message_id, reaction="?")
    assert (await (await chat.guest()).authenticate(chat.token(2)))["queuedEvents"]
    await alice.request(type="delete_message", messageId=message_id)


async def use_groups(alice):
    created = await alice.request(type="create_group", groupName="g", initialMembers=["2", "3"])
    group = {"groupId": created["groupId"]}
    for command in (
        {"type": "send_group_message", "content": "hello @user2"},
        {"type": "send_group_message", "content": "again", "clientMessageId": "g-1"},
        {"type": "send_group_message", "content": "again", "clientMessageId": "g-1"},
        {"type": "send_announcement", "content": "hear"},
        {"type": "get_group_messages"},
        {"type": "get_group_members"},
        {"type": "get_group_info"},
        {"type": "get_user_groups"},
        {"type": "update_group_info", "groupName": "h"},
        {"type": "promote_member", "userId": "2"},
        {"type": "demote_member", "userId": "2"},
        {"type": "set_member_permissions", "userId": "2", "canAddMembers": True},
        {"type": "remove_group_member", "userId": "2"},
        {"type": "add_group_member", "userId": "2"},
        {"type": "transfer_ownership", "userId": "2"},
        {"type": "leave_group"},
    ):
        answer = await alice.request(**group, **command)
        assert answer["type"] != "error", (command, answer)


async def test_no_plan_made_on_empty_tables_reads_a_whole_table_or_room(statements, start_chat):
    chat = await start_chat(PRESENCE_SCOPE="contacts", REVOCATION_CHECK_INTERVAL="100")
    statements.clear()  # whatever the start needed
    await use_every_command(chat)
    await chat.stop()
    queries = [query for query in statements if READ.search(query)]
    assert len(queries) >= 35
    connection = await asyncpg.connect(chat.database)
    try:
        await connection.execute("TRUNCATE users_auth, chat_messages, chat_rooms CASCADE")
        await connection.execute("ANALYZE")
        for name, value in QUERY_SETTINGS.items():
            await connection.execute(f"SET {name} = {value}")
        bad = {}
        for query in queries:
            plan = await explain(connection, query)
            if found := WHOLE_TABLE.findall(plan) + WHOLE_ROOM.findall(plan + "\n"):
                bad[query] = found
        assert not bad
    finally:
        await connection.close()


async def explain(connection, query):
    numbers = [int(number) for number in PARAMETER.findall(query)]
    await connection.execute(f"PREPARE it AS {query}")
    arguments = f"({', '.join(['NULL'] * max(numbers))})" if numbers else ""
    rows = await connection.fetch(f"EXPLAIN EXECUTE it{arguments}")
    await connection.execute("DEALLOCATE it")
    return "\n".join(row[0] for row in rows)
