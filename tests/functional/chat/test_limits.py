"""Windows of messages and commands, and what an address may open."""

import asyncio

import aiohttp

from tests.functional.chat.talking import assert_error, block, contents, page, say, say_id

LONG = "x" * 501


def assert_limited(answer):
    assert_error(answer, "RATE_LIMIT_EXCEEDED")
    # The oldest entry is at most some seconds old, and leaves after a minute.
    assert isinstance(answer["retryAfter"], int)
    assert 50 <= answer["retryAfter"] <= 60


async def test_a_user_sends_so_many_messages_and_no_more(start_chat):
    chat = await start_chat(MESSAGE_RATE_LIMIT="3")
    alice, bob = await chat.join(1), await chat.join(2)
    for number in range(3):
        await say_id(alice, "2", str(number))
    for _ in range(2):
        error = await say(alice, "2", "too many")
        assert_limited(error)
        assert error["message"] == "Rate limit exceeded"
    assert await contents(alice, "2") == ["0", "1", "2"]
    # Another user has a window of his own; other commands have another one.
    await say_id(bob, "1")


async def test_all_devices_of_a_user_share_his_window(start_chat):
    chat = await start_chat(MESSAGE_RATE_LIMIT="3")
    alice, tablet = await chat.join(1), await chat.join(1)
    await say_id(alice, "2")
    await say_id(tablet, "2")
    await alice.close()
    phone = await chat.join(1)
    await say_id(phone, "3")
    for client in (tablet, phone):
        assert_limited(await say(client, "2"))


async def test_long_messages_may_be_twice_as_many(start_chat):
    chat = await start_chat(MESSAGE_RATE_LIMIT="2")
    alice = await chat.join(1)
    await say_id(alice, "2", "x" * 500)
    await say_id(alice, "2", "x" * 500)
    assert_limited(await say(alice, "2", "x" * 500))
    await say_id(alice, "2", LONG)
    await say_id(alice, "2", "\N{GRINNING FACE}" * 501)
    assert_limited(await say(alice, "2", LONG))
    assert_limited(await say(alice, "2", "short"))


async def test_refused_and_repeated_messages_count_and_invalid_ones_do_not(start_chat):
    chat = await start_chat(MESSAGE_RATE_LIMIT="4")
    alice = await chat.join(1)
    await block(chat, 3, 1)
    for _ in range(6):
        assert_error(await say(alice, "2", ""), "VALIDATION_ERROR", "content")
    await say_id(alice, "2", clientMessageId="c-1")
    await say_id(alice, "2", clientMessageId="c-1")
    assert_error(await say(alice, "3"), "USER_BLOCKED")
    assert_error(await say(alice, "999"), "RESOURCE_NOT_FOUND")
    assert_limited(await say(alice, "2"))


async def test_other_commands_share_a_window(start_chat):
    chat = await start_chat(COMMAND_RATE_LIMIT="4")
    alice, tablet = await chat.join(1), await chat.join(1)
    assert (await page(alice, "2"))["type"] == "private_messages"
    assert (await alice.request(type="test"))["type"] == "test_response"
    assert_error(await tablet.request(type="no_such_command"), "UNKNOWN_TYPE")
    assert_error(await say(tablet, "2", ""), "VALIDATION_ERROR", "content")
    for client in (alice, tablet):
        assert_limited(await page(client, "2"))
        assert_limited(await client.request(type="test"))
        await client.send_text("no JSON")
        assert_limited(await client.expect("error"))
    # Neither of these counts there.
    assert (await alice.request(type="ping"))["type"] == "pong"
    refreshed = await alice.request(type="authenticate", token=chat.token(1, 7200))
    assert refreshed["type"] == "token_refreshed"
    await say_id(alice, "2")


async def test_a_connection_without_a_session_has_a_window_too(start_chat):
    chat = await start_chat(COMMAND_RATE_LIMIT="2")
    guest = await chat.guest()
    for _ in range(2):
        assert_error(await guest.request(type="get_online_users"), "AUTH_REQUIRED")
    assert_limited(await guest.request(type="get_online_users"))
    assert_limited(await guest.request(type="test"))
    assert (await guest.request(type="ping"))["type"] == "pong"
    await guest.authenticate(chat.token(1))
    assert (await guest.request(type="test"))["type"] == "test_response"


async def test_an_address_opens_so_many_connections_at_once(start_chat):
    chat = await start_chat(MAX_CONNECTIONS_PER_IP="2")
    first, _ = await chat.guest(), await chat.guest()
    async with await type(first).open(chat.url) as third:
        assert await third.wait_closed() == (1008, "Connection limit exceeded")
        assert third.frames == []
    await first.close()
    async with asyncio.timeout(5):
        while chat.server.rules.connections_by_ip["127.0.0.1"] > 1:
            await asyncio.sleep(0)
    await chat.guest()


async def test_an_address_makes_so_many_requests(start_chat):
    chat = await start_chat(IP_RATE_LIMIT="2")
    guest = await chat.guest()
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{chat.http_url}/nowhere") as response:
            assert response.status == 404
        async with await type(guest).open(chat.url) as client:
            assert await client.wait_closed() == (1008, "Rate limit exceeded")
        async with http.get(f"{chat.http_url}/nowhere") as response:
            assert response.status == 429
            assert (await response.json())["code"] == "RATE_LIMIT_EXCEEDED"
            assert 890 <= int(response.headers["Retry-After"]) <= 900
        for path in ("/health", "/ready", "/live", "/metrics", "/metrics/prometheus"):
            async with http.get(chat.http_url + path) as response:
                assert response.status == 200
    assert (await guest.request(type="ping"))["type"] == "pong"


async def test_clients_behind_a_trusted_proxy_have_addresses_of_their_own(start_chat):
    chat = await start_chat(MAX_CONNECTIONS_PER_IP="1", TRUSTED_PROXIES="127.0.0.0/8")
    guests = [
        await chat.guest(additional_headers={"X-Forwarded-For": address})
        for address in ("198.51.100.1", "198.51.100.2, 127.0.0.9")
    ]
    for address, reason in (
        ("203.0.113.5, 198.51.100.2", "Connection limit exceeded"),
        ("nonsense", "Invalid IP address"),
    ):
        headers = {"X-Forwarded-For": address}
        async with await type(guests[0]).open(chat.url, additional_headers=headers) as client:
            assert await client.wait_closed() == (1008, reason)


async def test_a_full_server_says_so(start_chat):
    chat = await start_chat(MAX_CONNECTIONS="2")
    first, _ = await chat.guest(), await chat.guest()
    async with await type(first).open(chat.url) as third:
        assert (await third.wait_closed())[0] == 1013
        assert len(third.frames) == 1
        assert_error(third.frames[0], "MAX_CONNECTIONS_EXCEEDED")
    assert (await first.request(type="ping"))["type"] == "pong"
