"""What the log of the process holds: one JSON object per event, and nothing that is private."""

import json
from contextlib import AsyncExitStack

import asyncpg

from fastchat.protocol.commands import COMMANDS
from tests.functional.client import ChatClient
from tests.functional.failure.process import ENCRYPTION_KEY, SETTINGS, token, until
from tests.functional.grouping import GROUP, make_group

TEXT = "recognisable words"  # in every message
RENAME = "ALTER TABLE chat_messages RENAME COLUMN {} TO {}"


async def say_everything(server, database):
    """Use every command, well and badly; return the tokens that were used."""
    tokens = [token(user_id) for user_id in (31, 32)]
    used = {"ping", "test", "authenticate"}
    await make_group(database, {"31": "owner", "32": "member"})
    group = {"groupId": GROUP}
    async with AsyncExitStack() as stack:
        alice, bob = [
            await stack.enter_async_context(await ChatClient.connect(server.url, each))
            for each in tokens
        ]

        async def ask(**command):
            used.add(command["type"])
            return await alice.request(**command)

        sent = await ask(type="send_private_message", recipientId="32", content=TEXT)
        own = {"messageId": sent["messageId"]}
        room = {"conversationId": sent["message"]["conversationId"]}
        used.add("typing")
        await alice.send(type="typing", recipientId="32", isTyping=True)
        await bob.expect("user_typing")
        answers = [
            await ask(type="send_private_message", recipientId="32", content=f"{TEXT} é\n" * 40),
            await ask(type="start_conversation", recipientId="32"),
            await ask(type="get_private_messages", recipientId="32"),
            await ask(type="get_online_users"),
            await ask(type="edit_message", content=f"other {TEXT}", **own),
            await ask(type="mark_message_read", **own),
            await ask(type="add_reaction", reaction=TEXT[:16], **own),
            await ask(type="remove_reaction", **own),
            await ask(type="pin_message", **own, **room),
            await ask(type="get_pinned_messages", **room),
            await ask(type="unpin_message", **own, **room),
            await ask(type="get_conversations"),
            await ask(type="ack_events", eventIds=["1"]),
            await ask(type="sync", conversations={room["conversationId"]: {"seq": 0, "rev": 0}}),
            await ask(type="send_group_message", content=f"{TEXT} @user32", **group),
            await ask(type="send_announcement", content=TEXT, **group),
            await ask(type="get_group_messages", **group),
            created := await ask(type="create_group", groupName=TEXT, groupDescription=TEXT),
            await ask(type="delete_group", groupId=created["groupId"]),
            await ask(type="get_user_groups"),
            await ask(type="get_group_members", **group),
            await ask(type="get_group_info", **group),
            await ask(type="update_group_info", groupName=TEXT, **group),
            await ask(type="add_group_member", userId="33", **group),
            await ask(type="promote_member", userId="33", **group),
            await ask(type="demote_member", userId="33", **group),
            await ask(type="set_member_permissions", userId="33", canAddMembers=True, **group),
            await ask(type="remove_group_member", userId="33", **group),
            await ask(type="transfer_ownership", userId="32", **group),
            await ask(type="leave_group", **group),
            await ask(type="delete_message", **own),
            await ask(type="delete_conversation", **room),
            await ask(type="ping"),
            await ask(type="test"),
            await ask(type="authenticate", token=tokens[0]),
        ]
        assert "error" not in {answer["type"] for answer in answers}, answers
        assert used == {command.__struct_config__.tag for command in COMMANDS}

        # What is refused is not logged either.
        for command in (
            {"type": "send_private_message", "recipientId": "31", "content": TEXT},
            {"type": "send_private_message", "recipientId": "999", "content": TEXT},
            {"type": "send_private_message", "recipientId": "32", "content": TEXT * 1000},
            {"type": "send_private_message", "recipientId": "32", "content": [TEXT]},
            {"type": "send_private_message", "recipientId": {"a": TEXT}, "content": TEXT},
            {"type": "get_private_messages", "conversationId": TEXT},
            {"type": "edit_message", "messageId": TEXT, "content": TEXT},
            {"type": TEXT, "content": TEXT},
        ):
            assert (await alice.request(**command))["type"] == "error"
        for text in (f'{{"type": "{TEXT}', f'"{TEXT}"', f'{{"type":"ping","a":"{TEXT}\\ud800"}}'):
            await alice.send_text(text)
            await alice.expect("error")
        for wrong in (tokens[1], tokens[0] + TEXT, token(999), TEXT):
            tokens.append(wrong)
            answer = await alice.request(type="authenticate", token=wrong)
            assert answer["type"] == "auth_error"
        assert (await server.get(f"/health?token={tokens[0]}"))[0] == 200
        assert (await server.get(f"/nothing?token={tokens[0]}"))[0] == 404
    return tokens


async def meet_a_bug(server, database):
    """Make the server meet what cannot be, and return the ids of the errors."""
    poison = await asyncpg.connect(database)
    async with await server.join(33) as client:
        send = {"type": "send_private_message", "recipientId": "34", "content": TEXT}
        assert (await client.request(**send))["type"] == "message_sent"
        await poison.execute(RENAME.format("sender_id", "poison"))
        refused = await client.request(**send)
        assert refused["code"] in ("SERVICE_UNAVAILABLE", "INTERNAL_ERROR")
        failed = await client.request(type="get_private_messages", recipientId="34")
        assert failed["code"] == "INTERNAL_ERROR", failed
        assert "sender_id" not in json.dumps(failed)
        # Nothing but this was wrong.
        await poison.execute(RENAME.format("poison", "sender_id"))
        assert (await client.request(**send))["type"] == "message_sent"
    await poison.close()
    return [failed["errorId"]]


async def test_no_log_holds_what_is_private_after_all_commands_and_a_bug(
    start, own_database, own_postgres_log
):
    # Any level, and the format of production.
    server = await start(
        NODE_ENV="production", LOG_LEVEL="debug", LOG_FORMAT="", DATABASE_URL=own_database
    )
    tokens = await say_everything(server, own_database)
    assert not server.bugs()
    error_ids = await meet_a_bug(server, own_database)
    bugs = server.bugs()
    assert [bug["message"] for bug in bugs if error_ids[0] in str(bug["message"])], bugs
    server.terminate()
    assert await server.ended() == 0
    await until(lambda: server.events("shutting down"))

    for event in server.events():
        assert {"time", "level", "logger", "message"} <= event.keys()
    password = own_database.split(":")[2].split("@")[0]
    private = {TEXT, *TEXT.split(), *tokens, password, ENCRYPTION_KEY, SETTINGS["JWT_SECRET"]}
    private |= {token.split(".")[-1] for token in tokens}
    for line in (*server.lines(), *own_postgres_log.read_text().splitlines()):
        assert not [each for each in private if each in line], line
