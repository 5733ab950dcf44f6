"""What the main backend may ask for: messages, connections, tokens, profiles."""

import time
from contextlib import AsyncExitStack

import jsonschema
import pytest

from fastchat import __version__
from fastchat.auth.tokens import SERVICE
from fastchat.handlers.local_sessions import REASON
from fastchat.protocol.openapi import OPERATIONS, openapi
from tests.functional.chat.hooked import open_backend
from tests.functional.chat.talking import block, contents, database_away, run_sql, say

CONNECTIONS = "/api/service/connections"
DISCONNECT = "/api/service/disconnect"
REVOKE = "/api/service/tokens/revoke"
INVALIDATE = "/api/service/profiles/invalidate"
DOCUMENT = openapi(__version__)
REFUSED = (
    ({"recipientId": "2", "content": " "}, 400, "VALIDATION_ERROR"),
    ({"recipientId": "2", "content": "a\0b"}, 400, "VALIDATION_ERROR"),
    ({"recipientId": "2", "content": "x" * 10_001}, 400, "VALIDATION_ERROR"),
    ({"content": "x"}, 400, "VALIDATION_ERROR"),
    ({"recipientId": "2", "groupId": "g", "content": "x"}, 400, "VALIDATION_ERROR"),
    ({"recipientId": "2", "content": "x", "isAnnouncement": True}, 400, "VALIDATION_ERROR"),
    ({"recipientId": "2", "content": "x", "clientMesageId": "c"}, 400, "VALIDATION_ERROR"),
    ({"recipientId": [], "content": "x"}, 400, "VALIDATION_ERROR"),
    ({"senderId": "2", "recipientId": "2", "content": "x"}, 400, "VALIDATION_ERROR"),
    ({"senderId": "a\0", "recipientId": "2", "content": "x"}, 400, "VALIDATION_ERROR"),
    ({"senderId": "999", "recipientId": "2", "content": "x"}, 404, "RESOURCE_NOT_FOUND"),
    ({"recipientId": "999", "content": "x"}, 404, "RESOURCE_NOT_FOUND"),
    ({"groupId": "group_none", "content": "x"}, 404, "RESOURCE_NOT_FOUND"),
    ({"senderId": "3", "recipientId": "2", "content": "x"}, 403, "USER_BLOCKED"),
)


@pytest.fixture
async def backend():
    async with AsyncExitStack() as stack:
        yield await open_backend(stack)


def check(answer, kind):
    """Hold an answer against the document."""
    schema = {"$ref": f"#/components/schemas/{kind}", "components": DOCUMENT["components"]}
    jsonschema.validate(answer, schema, jsonschema.Draft202012Validator)


async def test_a_message_in_a_users_name_is_like_one_he_sent(chat, backend):
    alice, bob = await chat.join(1), await chat.join(2)
    fields = {"senderId": 1, "recipientId": "2", "content": "hello", "clientMessageId": "c1"}
    sent = await backend.send(chat, **fields)
    check(sent, "Sent")
    event = await bob.expect("new_private_message")
    assert event["message"] == sent["message"]
    assert (await alice.expect("new_private_message"))["messageId"] == sent["messageId"]
    again = await backend.send(chat, **fields)
    check(again, "Sent")
    assert (again["messageId"], again["duplicate"]) == (sent["messageId"], True)
    reply = await backend.send(
        chat, senderId="2", recipientId=1, content="yes", replyToMessageId=sent["messageId"]
    )
    assert reply["message"]["replyToMessageId"] == sent["messageId"]
    assert await contents(alice, "2") == ["hello", "yes"]


async def test_the_system_writes_to_users_and_to_groups_it_is_not_in(chat, backend):
    alice, bob = await chat.join(1), await chat.join(2)
    sent = await backend.send(chat, recipientId="1", content="welcome")
    assert sent["message"]["senderId"] == "system"
    assert sent["message"]["username"] == "system"
    assert (await alice.expect("new_private_message"))["message"] == sent["message"]
    created = await alice.request(type="create_group", groupName="all", initialMembers=["2"])
    group_id = created["group"]["groupId"]
    sent = await backend.send(chat, groupId=group_id, content="@user2 joined")
    check(sent, "Sent")
    for client in (alice, bob):
        assert (await client.expect("new_group_message"))["message"] == sent["message"]
    await bob.expect("mentioned_in_group", groupId=group_id)
    pinned = await backend.send(chat, groupId=group_id, content="rules", isAnnouncement=True)
    assert pinned["message"]["isAnnouncement"]
    page = await bob.request(type="get_group_messages", groupId=group_id)
    assert [one["content"] for one in page["messages"]] == ["@user2 joined", "rules"]
    assert [one["username"] for one in page["messages"]] == ["system", "system"]
    info = await alice.request(type="get_group_members", groupId=group_id)
    assert [one["userId"] for one in info["members"]] == ["1", "2"]


async def test_the_system_may_be_a_user_of_the_backend(start_chat, backend):
    chat = await start_chat(SYSTEM_USER_ID="7")
    sent = await backend.send(chat, recipientId="1", content="welcome")
    assert (sent["message"]["senderId"], sent["message"]["username"]) == ("7", "user7")
    assert await run_sql(chat, "SELECT FROM chat_users") == []


async def test_a_message_that_cannot_be_is_refused(chat, backend):
    await block(chat, 2, 3)
    for fields, status, code in REFUSED:
        answer = await backend.send(chat, status, **fields)
        check(answer, "Failure")
        assert answer["code"] == code, answer


async def test_a_user_who_is_not_in_a_group_cannot_be_made_to_write_there(chat, backend):
    alice = await chat.join(1)
    created = await alice.request(type="create_group", groupName="g", initialMembers=["2"])
    group_id = created["group"]["groupId"]
    for sender, extra, status in (("3", {}, 404), ("2", {"isAnnouncement": True}, 403)):
        await backend.send(chat, status, senderId=sender, groupId=group_id, content="x", **extra)


async def test_connections_are_listed_and_closed_one_or_all(chat, backend):
    phone, laptop, other = await chat.join(1), await chat.join(1), await chat.join(2)
    listed = await backend.ask(chat, "GET", f"{CONNECTIONS}?userId=1")
    check(listed, "ConnectionList")
    assert [one["clientId"] for one in listed["connections"]] == [phone.client_id, laptop.client_id]
    assert {one["remoteIp"] for one in listed["connections"]} == {"127.0.0.1"}
    closed = await backend.ask(
        chat, "POST", DISCONNECT, json={"userId": 1, "clientId": phone.client_id}
    )
    check(closed, "Closed")
    assert closed["closed"] == 1
    assert await phone.wait_closed() == (1008, REASON)
    assert (await backend.ask(chat, "POST", DISCONNECT, json={"userId": "1"}))["closed"] == 1
    assert await laptop.wait_closed() == (1008, REASON)
    listed = await backend.ask(chat, "GET", f"{CONNECTIONS}?userId=1")
    assert listed["connections"] == []
    await other.assert_nothing(within=0.05)
    assert (await backend.ask(chat, "GET", CONNECTIONS, status=400))["code"] == "VALIDATION_ERROR"


async def test_a_revoked_token_ends_its_sessions_at_once_and_begins_none(chat, backend):
    token = chat.token(1, jti="t1")
    first, second = await chat.guest(), await chat.join(1)
    await first.authenticate(token)
    body = {"jti": "t1", "expiresAt": time.time() + 3600}
    assert (await backend.ask(chat, "POST", REVOKE, json=body))["closed"] == 1
    assert (await first.expect("auth_error"))["code"] == "SESSION_REVOKED"
    assert (await first.wait_closed())[0] == 1008
    assert (await second.request(type="ping"))["type"] == "pong"
    late = await chat.guest()
    await late.send(type="authenticate", token=token)
    assert (await late.expect("auth_error"))["details"] == "The token was revoked."
    assert (await backend.ask(chat, "POST", REVOKE, json=body))["closed"] == 0
    assert await run_sql(chat, "SELECT FROM jwt_revocation") == []


async def test_a_token_revoked_at_another_worker_ends_with_the_next_look(start_chat, backend):
    chat = await start_chat(REVOCATION_CHECK_INTERVAL="50")
    client = await chat.guest()
    await client.authenticate(chat.token(1, jti="t1"))
    await run_sql(chat, "INSERT INTO revoked_tokens (jti) VALUES ('t1')")
    assert (await client.expect("auth_error"))["code"] == "SESSION_REVOKED"


async def test_revoked_tokens_are_cleared_away_once_they_have_expired(chat, backend):
    for jti, seconds in (("gone", -5), ("good", 3600), ("known", None)):
        body = {"jti": jti} | ({"expiresAt": time.time() + seconds} if seconds else {})
        await backend.ask(chat, "POST", REVOKE, json=body)
    await chat.server.housekeeping.do_round()
    rows = await run_sql(chat, "SELECT jti FROM revoked_tokens ORDER BY jti")
    assert [row[0] for row in rows] == ["good", "known"]


async def test_a_profile_is_new_at_once_after_it_was_invalidated(chat, backend):
    alice, bob = await chat.join(1), await chat.join(2)
    await say(alice, "2")
    await bob.expect("new_private_message")
    await run_sql(chat, "UPDATE users_auth SET username = 'anna' WHERE user_id = 1")
    check(await backend.ask(chat, "POST", INVALIDATE, json={"userId": "1"}), "Invalidated")
    await say(alice, "2")
    assert (await bob.expect("new_private_message"))["message"]["username"] == "anna"
    online = await bob.request(type="get_online_users")
    assert [one["username"] for one in online["users"]] == ["anna"]


async def test_nobody_but_the_backend_may_ask(chat, backend):
    await run_sql(chat, "INSERT INTO jwt_revocation VALUES ('lost')")
    for operation in OPERATIONS:
        for options, code in (
            ({"headers": {}}, "AUTH_REQUIRED"),
            ({"token": chat.token(1)}, "AUTH_FAILED"),
            ({"token": chat.token(1, role="admin")}, "AUTH_FAILED"),
            ({"token": chat.token(1, -5, role=SERVICE)}, "AUTH_FAILED"),
            ({"token": chat.token(1, role=SERVICE)[:-4]}, "AUTH_FAILED"),
            ({"token": chat.token(1, role=SERVICE, jti="lost")}, "AUTH_FAILED"),
        ):
            answer = await backend.ask(
                chat, operation.method, operation.path, status=401, **options
            )
            check(answer, "Failure")
            assert answer["code"] == code


async def test_only_requests_with_bad_tokens_count_for_the_address(start_chat, backend):
    chat = await start_chat(IP_RATE_LIMIT="3")
    for _ in range(10):
        await backend.ask(chat, "GET", f"{CONNECTIONS}?userId=1")
    for _ in range(3):
        await backend.ask(chat, "GET", CONNECTIONS, status=401, token="x")
    answer = await backend.ask(chat, "GET", CONNECTIONS, status=429, token="x")
    assert answer["code"] == "RATE_LIMIT_EXCEEDED"
    await backend.ask(chat, "GET", f"{CONNECTIONS}?userId=1")


async def test_the_document_is_served_and_a_database_that_is_away_is_told_of(chat, backend):
    assert await backend.ask(chat, "GET", "/api/openapi.json", headers={}) == DOCUMENT
    async with database_away(chat):
        answer = await backend.ask(chat, "POST", REVOKE, status=503, json={"jti": "t"})
        assert answer["code"] == "SERVICE_UNAVAILABLE"
