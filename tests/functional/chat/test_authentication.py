"""From the greeting to the session: tokens, users, devices."""

import asyncio
import base64
import json
import time

import jwt

from tests.functional.chat.conftest import SECRET
from tests.functional.chat.talking import assert_error, database_away, run_sql, say

HOUR = 3600.0  # seconds


def sign(claims, secret=SECRET, algorithm="HS256"):
    claims = {"exp": int(time.time() + HOUR)} | claims
    return jwt.encode(
        {name: value for name, value in claims.items() if value is not None},
        secret,
        algorithm=algorithm,
    )


def unsigned(claims):
    parts = ({"alg": "none"}, {"exp": int(time.time() + HOUR)} | claims)
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()) for part in parts)
    return ".".join(part.decode().rstrip("=") for part in encoded) + "."


async def refusal(client, token):
    """Try to log in and return why it failed."""
    await client.send(type="authenticate", token=token)
    error = await client.expect("auth_error")
    assert error["message"] == "Token validation failed"
    assert error["code"] == "AUTH_FAILED"
    return error["details"]


async def test_the_server_greets_first(chat):
    guest = await chat.guest()
    greeting = guest.frames[0]
    assert greeting.pop("timestamp").endswith("Z")
    assert greeting == {
        "type": "connected",
        "clientId": guest.client_id,
        "message": "Please authenticate to continue",
        "requiresAuth": True,
    }


async def test_what_is_no_json_object_is_invalid_json_before_login(chat):
    guest = await chat.guest()
    for text in ("{no", "", "[]", "null", '"ping"', "1", "[" * 2000, '{"type":"ping"}}', "NaN"):
        await guest.send_text(text)
        assert_error(await guest.expect("error"), "INVALID_JSON")


async def test_everything_else_needs_a_session(chat):
    guest = await chat.guest()
    for command in (
        {"type": "send_private_message", "recipientId": "2", "content": "hello"},
        {"type": "send_private_message"},
        {"type": "get_online_users"},
        {"type": "no_such_command"},
        {"type": 7},
        {"type": "typing", "isTyping": "yes"},
        {},
    ):
        error = await guest.request(**command)
        assert_error(error, "AUTH_REQUIRED")
        assert error["requiresAuth"] is True


async def test_ping_and_test_need_no_session(chat):
    guest = await chat.guest()
    before = int(time.time() * 1000)
    pong = await guest.request(type="ping")
    answer = await guest.request(type="test")
    assert pong["type"] == "pong"
    assert before <= pong["timestamp"] <= answer["timestamp"] <= time.time() * 1000
    assert answer["type"] == "test_response"
    assert answer["message"] == "Server is responding to test messages"


async def test_a_login_tells_the_user_who_he_is(chat):
    await run_sql(
        chat, "INSERT INTO user_profile_info VALUES (1, 'Ada', 'Lovelace', 'The Countess')"
    )
    client = await chat.guest()
    connected = await client.authenticate(chat.token(1), requestId="r-1")
    assert connected["clientId"] == client.client_id
    assert connected["queuedEvents"] == 0
    assert connected["requestId"] == "r-1"
    assert connected["timestamp"].endswith("Z")
    assert connected["user"] == {
        "id": "1",
        "userId": "1",
        "username": "user1",
        "displayName": "The Countess",
        "email": "user1@example.org",
        "firstName": "Ada",
        "lastName": "Lovelace",
    }


async def test_auth_is_another_word_for_authenticate(chat):
    guest = await chat.guest()
    await guest.send(type="auth", token=chat.token(1))
    assert (await guest.expect("connected"))["user"]["id"] == "1"


async def test_the_display_name_is_the_best_name_there_is(chat):
    for profile, expected in (
        ("NULL, NULL, 'Shown'", "Shown"),
        ("'Ada', 'Lovelace', 'Shown'", "Shown"),
        ("'Ada', 'Lovelace', ''", "Ada Lovelace"),
        ("'Ada', NULL, NULL", "Ada"),
        ("NULL, 'Lovelace', NULL", "Lovelace"),
        ("'', '', ''", "user1"),
    ):
        await run_sql(chat, "DELETE FROM user_profile_info")
        await run_sql(chat, f"INSERT INTO user_profile_info VALUES (1, {profile})")
        client = await chat.join(1)
        assert client.user["displayName"] == expected, profile


async def test_a_user_without_a_profile_is_called_by_his_username(chat):
    client = await chat.join(3)
    assert client.user["displayName"] == client.user["username"] == "user3"
    assert client.user["firstName"] is client.user["lastName"] is None


async def test_users_unknown_to_the_backend_come_from_the_fallback_table(chat):
    await run_sql(
        chat,
        "INSERT INTO chat_users (user_id, username, first_name) "
        "VALUES ('guest-7', 'guest', 'Greta'), ('1', 'impostor', 'Eve')",
    )
    guest = await chat.join("guest-7")
    known = await chat.join(1)
    assert guest.user["userId"] == "guest-7"
    assert guest.user["displayName"] == "Greta"
    assert known.user["username"] == "user1"
    assert known.user["firstName"] is None


async def test_the_subject_may_be_a_whole_number(chat):
    client = await chat.guest()
    await client.authenticate(sign({"sub": 42}))
    assert client.user["id"] == "42"


async def test_the_details_tell_what_is_wrong_with_the_claims(chat):
    guest = await chat.guest()
    for claims, details in (
        ({"sub": "1", "exp": 1}, "Session expired. Please log in again."),
        ({"sub": "1", "nbf": int(time.time() + HOUR)}, "The token is not valid yet."),
        ({"sub": "1", "exp": None}, "The token has no expiry."),
        ({"sub": "1", "exp": "soon"}, "The token is malformed."),
        ({}, "The token names no user."),
        ({"sub": 1.5}, "The token names no user."),
        ({"sub": True}, "The token names no user."),
        ({"sub": ""}, "The token names no user."),
        ({"sub": "999"}, "Nobody knows the user of this token."),
        ({"sub": "01"}, "Nobody knows the user of this token."),
        ({"sub": " 1"}, "Nobody knows the user of this token."),
        ({"sub": "1; DROP TABLE chat_users"}, "Nobody knows the user of this token."),
    ):
        assert await refusal(guest, sign(claims)) == details, claims
    # The connection lives on, and may try again.
    await guest.authenticate(chat.token(1))


async def test_the_details_tell_what_is_wrong_with_the_token(chat):
    guest = await chat.guest()
    for token, details in (
        (None, "The token is missing or not a string."),
        (17, "The token is missing or not a string."),
        ({"sub": "1"}, "The token is missing or not a string."),
        ("", "The token is missing or not a string."),
        ("x", "The token is malformed."),
        ("a.b.c", "The token is malformed."),
        ("\N{GRINNING FACE}", "The token is malformed."),
        ("x" * 100_000, "The token is malformed."),
        (unsigned({"sub": "1"}), "The token is malformed."),
        (sign({"sub": "1"}, SECRET * 2, "HS512"), "The token is malformed."),
        (sign({"sub": "1"}, b"another secret, 32 bytes or more"), "The signature of the token is"),
    ):
        assert (await refusal(guest, token)).startswith(details)


async def test_a_login_without_a_token_is_refused(chat):
    guest = await chat.guest()
    error = await guest.request(type="authenticate")
    assert (error["type"], error["code"]) == ("auth_error", "AUTH_FAILED")


async def test_a_revoked_token_is_refused(chat):
    await run_sql(chat, "INSERT INTO jwt_revocation VALUES ('revoked')")
    guest = await chat.guest()
    assert await refusal(guest, chat.token(1, jti="revoked")) == "The token was revoked."
    await guest.authenticate(chat.token(1, jti="another"))


async def test_who_does_not_authenticate_is_closed_in_time(start_chat):
    chat = await start_chat(AUTH_TIMEOUT="100")
    member = await chat.join(1)
    guest = await chat.guest()
    await guest.send(type="authenticate", token="wrong")
    assert await guest.wait_closed() == (1008, "Authentication timeout")
    assert (await member.request(type="ping"))["type"] == "pong"


async def test_all_devices_of_a_user_are_served(chat):
    devices = [await chat.join(1) for _ in range(3)]
    assert len({device.client_id for device in devices}) == 3
    for device in devices:
        assert (await device.request(type="get_online_users"))["users"] == []


async def test_two_logins_at_once_make_one_session(chat):
    client = await chat.guest()
    token = chat.token(1)
    await client.send(type="authenticate", token=token)
    await client.send(type="authenticate", token=token)
    await client.expect("connected")
    await client.expect("token_refreshed")
    observer = await chat.join(2)
    await say(observer, "1")
    await client.expect("new_private_message")
    await client.assert_nothing("new_private_message")
    await client.close()
    await chat.join(1)


async def test_a_newer_token_extends_the_session_and_an_older_does_not_shorten_it(chat):
    client = await chat.guest()
    await client.authenticate(chat.token(1, HOUR))
    newer, older = chat.token(1, 2 * HOUR), chat.token(1, HOUR / 2)
    extended = await client.request(type="authenticate", token=newer)
    kept = await client.request(type="authenticate", token=older)
    assert extended["type"] == kept["type"] == "token_refreshed"
    assert extended["expiresAt"] == kept["expiresAt"]
    expires_at = jwt.decode(newer, options={"verify_signature": False})["exp"]
    expected = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(expires_at))
    assert extended["expiresAt"] == expected


async def test_a_refused_token_leaves_the_session_as_it_was(chat):
    client = await chat.join(1)
    for token in (chat.token(2), "wrong", None, chat.token(1, -1.0)):
        await refusal(client, token)
        assert (await say(client, "2"))["message"]["senderId"] == "1"
    assert chat.server.answers.errors_by_code == {"AUTH_FAILED": 4}


async def test_a_session_ends_with_its_token(chat):
    client = await chat.guest()
    await client.authenticate(chat.token(1, 2.0))
    error = await client.expect("auth_error")
    assert error["code"] == "SESSION_EXPIRED"
    assert error["details"] == "Session expired. Please log in again."
    assert (await client.wait_closed())[0] == 1008
    assert chat.server.answers.errors_by_code == {"SESSION_EXPIRED": 1}


async def test_a_session_ends_soon_after_its_token_is_revoked(start_chat):
    chat = await start_chat(REVOCATION_CHECK_INTERVAL="50")
    client, other = await chat.guest(), await chat.guest()
    await client.authenticate(chat.token(1, jti="bad"))
    await other.authenticate(chat.token(1, jti="good"))
    await run_sql(chat, "INSERT INTO jwt_revocation VALUES ('bad')")
    error = await client.expect("auth_error")
    assert error["code"] == "SESSION_REVOKED"
    assert (await client.wait_closed())[0] == 1008
    assert (await other.request(type="ping"))["type"] == "pong"


async def test_a_refreshed_session_outlives_the_revocation_of_its_first_token(start_chat):
    chat = await start_chat(REVOCATION_CHECK_INTERVAL="50")
    client = await chat.guest()
    await client.authenticate(chat.token(1, HOUR, jti="first"))
    await client.request(type="authenticate", token=chat.token(1, 2 * HOUR, jti="second"))
    await run_sql(chat, "INSERT INTO jwt_revocation VALUES ('first')")
    checks = chat.server.watch.checks
    async with asyncio.timeout(5):
        while chat.server.watch.checks < checks + 3:
            await asyncio.sleep(0.01)
    assert (await client.request(type="ping"))["type"] == "pong"


async def test_without_the_database_a_login_is_told_to_come_again(chat):
    guest, member = await chat.guest(), await chat.join(2)
    async with database_away(chat):
        error = await guest.request(type="authenticate", token=chat.token(1))
        assert (error["type"], error["code"]) == ("auth_error", "SERVICE_UNAVAILABLE")
        assert error["retryAfter"] >= 1
        assert (await member.request(type="ping"))["type"] == "pong"
    async with asyncio.timeout(5):
        while True:
            answer = await guest.request(type="authenticate", token=chat.token(1))
            if answer["type"] == "connected":
                break
            await asyncio.sleep(0.05)


async def test_a_deeply_nested_command_closes_nothing(chat):
    client = await chat.join(1)
    await client.send_text('{"type":"ping","x":' + "[" * 50_000 + "]" * 50_000 + "}")
    assert_error(await client.expect("error"), "INVALID_JSON")
    assert (await client.request(type="ping"))["type"] == "pong"
