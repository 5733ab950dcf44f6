"""The pages for clients: conversations and pictures, with a token as in a session."""

import asyncio
import json

import aiohttp
import asyncpg
import pytest

from fastchat.handlers import api
from fastchat.handlers.rows import UNREADABLE
from fastchat.transport.http import MAX_BODY
from tests.functional.chat.talking import database_away, run_sql, say, say_id

TIMEOUT = 10.0  # seconds
LIST = "/api/conversations"
BATCH = "/api/profile-pictures/batch"


class Pages:
    """A client of the pages."""

    def __init__(self, chat, session, url):
        self.chat = chat
        self.session = session
        self.url = url

    async def ask(self, method, path, user_id=1, *, token=None, status=200, **options):
        """Ask with a good token, unless another one is given; return the body and the headers."""
        headers = options.pop("headers", None)
        if headers is None:
            headers = {"Authorization": f"Bearer {token or self.chat.token(user_id)}"}
        async with (
            asyncio.timeout(TIMEOUT),
            self.session.request(method, self.url + path, headers=headers, **options) as response,
        ):
            body = await response.read()
            assert response.status == status, body
            assert response.content_type == "application/json"
            return json.loads(body) if body else None, response.headers

    async def list(self, user_id=1, **parameters):
        body, _ = await self.ask("GET", LIST, user_id, params=parameters)
        assert body["status"] == "ok"
        assert body["timestamp"].endswith("Z")
        return body

    async def find(self, *items):
        body, _ = await self.ask("POST", BATCH, json={"items": items})
        assert body["status"] == "ok"
        assert body["timestamp"].endswith("Z")
        return body["items"]

    async def refused(self, method, path, status, code, **options):
        body, headers = await self.ask(method, path, status=status, **options)
        assert (body["status"], body["code"]) == ("error", code), body
        assert body["message"]
        assert body["details"]
        return body, headers


@pytest.fixture
async def open_pages():
    """A function that asks for the pages of a running server."""
    async with aiohttp.ClientSession() as session:
        yield lambda chat: Pages(chat, session, chat.http_url)


@pytest.fixture
async def pages(chat, open_pages):
    return open_pages(chat)


async def test_conversations_are_listed_newest_first(chat, pages):
    alice, bob, carol = [await chat.join(number) for number in (1, 2, 3)]
    await say(bob, "1", "from bob")
    await say(carol, "1", "from carol")
    last_id = await say_id(bob, "1", "once more")
    body = await pages.list()
    assert body["pagination"] == {"limit": 50, "offset": 0, "count": 2}
    first, second = body["conversations"]
    timestamp = first["lastMessage"].pop("timestamp")
    assert timestamp.endswith("Z")
    assert first == {
        "conversationId": "conv_1_2",
        "participant": {"userId": "2", "username": "user2"},
        "lastMessage": {"id": last_id, "content": "once more"},
        "unreadCount": 2,
    }
    assert second["participant"] == {"userId": "3", "username": "user3"}
    assert (second["lastMessage"]["content"], second["unreadCount"]) == ("from carol", 1)
    await alice.request(type="mark_message_read", messageId=last_id)
    await alice.request(type="send_private_message", recipientId="3", content="to carol")
    body = await pages.list()
    assert [(one["conversationId"], one["unreadCount"]) for one in body["conversations"]] == [
        ("conv_1_3", 1),
        ("conv_1_2", 0),
    ]
    assert (await pages.list(3))["conversations"][0]["lastMessage"]["content"] == "to carol"
    assert (await pages.list(4))["conversations"] == []


async def test_pages_go_on_by_limit_and_offset(chat, pages):
    alice = await chat.join(1)
    for number in range(2, 7):
        await say(alice, str(number))
    for limit, offset, expected in (
        ("2", "0", ["6", "5"]),
        ("2", "4", ["2"]),
        ("2", "5", []),
        ("900", "1", ["5", "4", "3", "2"]),
        ("9" * 300, "9" * 300, []),
    ):
        body = await pages.list(limit=limit, offset=offset)
        shown = [one["participant"]["userId"] for one in body["conversations"]]
        assert shown == expected
        assert body["pagination"]["limit"] == min(int(limit), api.MOST_CONVERSATIONS)
        assert body["pagination"]["count"] == len(expected)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=",
        "limit=1.5",
        "limit=ten",
        "limit=%D9%A1",
        "limit=%2B1",
        "limit=1%00",
        "offset=-1",
        "offset=x",
    ],
)
async def test_a_limit_or_offset_that_is_no_number_is_refused(pages, query):
    name = query.partition("=")[0]
    body, _ = await pages.refused("GET", f"{LIST}?{query}", 400, "VALIDATION_ERROR")
    assert name in body["details"]


async def test_texts_that_no_key_opens_and_users_nobody_knows_are_shown_all_the_same(chat, pages):
    bob = await chat.join(2)
    await say(bob, "1")
    await run_sql(chat, "UPDATE chat_messages SET encryption_iv = 'zz'")
    await run_sql(chat, "DELETE FROM users_auth WHERE user_id = 2")
    chat.server.users.cache.forget("2")
    (shown,) = (await pages.list())["conversations"]
    assert shown["participant"] == {"userId": "2", "username": "2"}
    assert shown["lastMessage"]["content"] == UNREADABLE


async def test_a_full_answer_ends_early_and_the_rest_follows(start_chat, open_pages):
    chat = await start_chat(MESSAGE_RATE_LIMIT="1000")
    pages = open_pages(chat)
    alice = await chat.join(1)
    content = "\U0001f600" * 10_000
    for number in range(2, 22):
        assert (await say(alice, str(number), content))["type"] == "message_sent"
    seen = []
    while True:
        url = f"{LIST}?limit=20&offset={len(seen)}"
        headers = {"Authorization": f"Bearer {chat.token(1)}"}
        async with pages.session.get(pages.url + url, headers=headers) as response:
            raw = await response.read()
        assert len(raw) <= 512 * 1024
        body = json.loads(raw)
        assert body["pagination"]["count"] == len(body["conversations"])
        if not body["conversations"]:
            break
        seen += [one["participant"]["userId"] for one in body["conversations"]]
    assert seen == [str(number) for number in range(21, 1, -1)]


async def test_pictures_come_in_the_order_of_the_question(chat, pages):
    await run_sql(
        chat,
        "INSERT INTO user_profile_info (user_id, profile_picture_url) VALUES (1, $1), (2, NULL)",
        "https://cdn.example.org/1.png",
    )
    items = [("user", "2"), ("user", 1), ("community", "1"), ("user", "nobody"), ("user", "1")]
    found = await pages.find(*({"type": kind, "id": owner} for kind, owner in items))
    assert [(one["type"], one["id"]) for one in found] == [(k, str(o)) for k, o in items]
    picture = {"hasPicture": True, "default": False, "url": "https://cdn.example.org/1.png"}
    for one in found:
        has_one = (one.pop("type"), one.pop("id")) == ("user", "1")
        assert one == (picture if has_one else {"hasPicture": False, "default": True})
    assert await pages.find() == []


async def test_pictures_are_made_of_the_template_without_the_column(
    start_chat, open_pages, database
):
    connection = await asyncpg.connect(database)
    await connection.execute("ALTER TABLE user_profile_info DROP profile_picture_url")
    await connection.close()
    template = "https://example.com/pfp/{type}/{id}"
    pages = open_pages(await start_chat(PROFILE_PICTURE_URL_TEMPLATE=template))
    found = await pages.find({"type": "user", "id": "a b"}, {"type": "community", "id": "7"})
    assert [one["url"] for one in found] == [
        "https://example.com/pfp/user/a%20b",
        "https://example.com/pfp/community/7",
    ]
    assert all(one["hasPicture"] and not one["default"] for one in found)


async def test_the_largest_answer_about_pictures_is_small_enough(chat, pages):
    await run_sql(
        chat,
        "INSERT INTO user_profile_info (user_id, profile_picture_url) "
        "SELECT n, repeat('\"', 4096) FROM generate_series(1, 50) n",
    )
    items = [{"type": "user", "id": str(number)} for number in range(1, 51)]
    found = await pages.find(*items)
    assert all(one["hasPicture"] for one in found)
    assert len(json.dumps(found)) < 512 * 1024


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"{",
        b"\xff",
        b"[" * 5000,
        b'{"items":null}',
        b'{"items":{}}',
        b'{"items":["user"]}',
        b'{"items":[{"type":"user"}]}',
        b'{"items":[{"id":"1"}]}',
        b'{"items":[{"type":"group","id":"1"}]}',
        b'{"items":[{"type":["user"],"id":"1"}]}',
        b'{"items":[{"type":"user","id":""}]}',
        b'{"items":[{"type":"user","id":true}]}',
        b'{"items":[{"type":"user","id":1.5}]}',
        b'{"items":[{"type":"user","id":' + b"9" * 5000 + b"}]}",
        b'{"items":[{"type":"user","id":"' + b"x" * 129 + b'"}]}',
        b'{"items":[{"type":"user","id":"a\\u0000"}]}',
        b'{"items":[{"type":"user","id":"\\ud800"}]}',
        json.dumps({"items": [{"type": "user", "id": "1"}] * 51}).encode(),
    ],
)
async def test_a_question_about_pictures_of_another_shape_is_refused(pages, body):
    await pages.refused("POST", BATCH, 400, "VALIDATION_ERROR", data=body)


async def test_fifty_items_and_unknown_fields_are_welcome(pages):
    items = [{"type": "user", "id": str(number), "size": 1} for number in range(50)]
    body, _ = await pages.ask("POST", BATCH, json={"items": items, "other": [1]})
    assert len(body["items"]) == 50


@pytest.mark.parametrize(("method", "path"), [("GET", LIST), ("POST", BATCH)])
async def test_without_a_good_token_nothing_is_told(chat, pages, method, path):
    for value in ("", "Bearer", "Bearer ", "Basic dTpw", chat.token(1), "Bearer a b"):
        _, headers = await pages.refused(
            method, path, 401, "AUTH_REQUIRED", headers={"Authorization": value}
        )
        assert headers["WWW-Authenticate"].startswith("Bearer")
    await pages.refused(method, path, 401, "AUTH_REQUIRED", headers={})
    await run_sql(chat, "INSERT INTO jwt_revocation VALUES ('gone')")
    for token, words in (
        ("x.y.z", "malformed"),
        (chat.token(1)[:-3] + "AAA", "signature"),
        (chat.token(1, expires_in=-1), "expired"),
        (chat.token(1, jti="gone"), "revoked"),
        (chat.token(999_999), "user"),
    ):
        body, headers = await pages.refused(method, path, 401, "AUTH_FAILED", token=token)
        assert words in body["details"]
        assert body["message"] == "Token validation failed"
        assert headers["WWW-Authenticate"].startswith("Bearer")


async def test_the_scheme_of_a_token_is_written_in_any_case(chat, pages):
    headers = {"Authorization": f"bearer  {chat.token(1)}"}
    await pages.ask("GET", LIST, headers=headers)


async def test_other_methods_other_pages_and_large_bodies_are_refused(pages):
    for method, path, allowed in (("POST", LIST, "GET, HEAD"), ("GET", BATCH, "POST")):
        _, headers = await pages.refused(method, path, 405, "VALIDATION_ERROR")
        assert headers["Allow"] == allowed
    await pages.refused("GET", LIST + "/1", 404, "RESOURCE_NOT_FOUND")
    await pages.refused("POST", BATCH, 413, "VALIDATION_ERROR", data=b" " * (MAX_BODY + 1))
    await pages.ask("HEAD", LIST)


async def test_too_many_requests_of_an_address_are_told_when_to_come_back(start_chat, open_pages):
    chat = await start_chat(IP_RATE_LIMIT="3")
    pages = open_pages(chat)
    for _ in range(3):
        await pages.list()
    _, headers = await pages.refused("GET", LIST, 429, "RATE_LIMIT_EXCEEDED")
    assert int(headers["Retry-After"]) >= 1


async def test_without_a_database_the_answer_is_to_try_again(chat, pages):
    await pages.list()
    async with database_away(chat):
        for method, path in (("GET", LIST), ("POST", BATCH)):
            _, headers = await pages.refused(
                method, path, 503, "SERVICE_UNAVAILABLE", json={"items": []}
            )
            assert int(headers["Retry-After"]) >= 1


async def test_an_answer_that_takes_too_long_is_given_up(chat, pages, monkeypatch):
    monkeypatch.setattr(api, "DEADLINE", 0.05)
    never = asyncio.Event()
    monkeypatch.setattr(chat.server.authentication, "check_token", lambda token: never.wait())
    _, headers = await pages.refused("GET", LIST, 503, "SERVICE_UNAVAILABLE")
    assert int(headers["Retry-After"]) >= 1
