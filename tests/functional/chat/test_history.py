"""Pages of a conversation, and its start."""

from itertools import pairwise

from tests.functional.chat.talking import assert_error, block, contents, page, run_sql, say, say_id

MAX_REPLY = 512 * 1024  # bytes


async def fill(chat, count, text="text"):
    """Let user 1 have sent 2 so many messages, the first one to be stored by the server."""
    await run_sql(
        chat,
        "INSERT INTO chat_messages "
        "(room_id, seq, rev, created_at, sender_id, recipient_id, is_encrypted, content) "
        "SELECT room_id, n, n, now(), '1', '2', false, $2::text || ' ' || n "
        "FROM dm_conversations, generate_series(2, $1::int) n",
        count,
        text,
    )
    await run_sql(chat, "UPDATE chat_rooms SET seq = $1, rev = $1", count)


async def seqs(client, other, **fields):
    answer = await page(client, other, **fields)
    assert answer["type"] == "private_messages", answer
    return [message["seq"] for message in answer["messages"]]


async def test_a_page_is_the_newest_fifty_with_the_oldest_first(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    first = await say(alice, "2", "text 1", clientMessageId="c-1")
    await fill(chat, 60)
    answer = await page(bob, "1")
    assert answer["conversationId"] == "conv_1_2"
    assert [message["seq"] for message in answer["messages"]] == list(range(11, 61))
    assert answer["pagination"] == {"limit": 50, "offset": 0, "hasMore": True}
    assert (await page(bob, "1", after=0, limit=1))["messages"] == [first["message"]]


async def test_limit_and_offset_count_from_the_newest(chat):
    alice = await chat.join(1)
    await say_id(alice, "2")
    await fill(chat, 10)
    answer = await page(alice, "2", limit=3, offset=2)
    assert [message["seq"] for message in answer["messages"]] == [6, 7, 8]
    assert answer["pagination"] == {"limit": 3, "offset": 2, "hasMore": True}
    last = await page(alice, "2", limit=3, offset=7)
    assert [message["seq"] for message in last["messages"]] == [1, 2, 3]
    assert last["pagination"]["hasMore"] is False
    assert await seqs(alice, "2", limit=3, offset=9) == [1]
    assert await seqs(alice, "2", offset=10) == []
    assert await seqs(alice, "2", offset=10**30) == []


async def test_before_and_after_are_positions(chat):
    alice = await chat.join(1)
    await say_id(alice, "2")
    await fill(chat, 10)
    for fields, expected, has_more in (
        ({"before": 6, "limit": 3}, [3, 4, 5], True),
        ({"before": 3, "limit": 3}, [1, 2], False),
        ({"before": 1}, [], False),
        ({"before": -5}, [], False),
        ({"before": 10**30, "limit": 2}, [9, 10], True),
        ({"before": 9, "offset": 2, "limit": 2}, [5, 6], True),
        ({"after": 6, "limit": 3}, [7, 8, 9], True),
        ({"after": 8, "limit": 3}, [9, 10], False),
        ({"after": 10}, [], False),
        ({"after": -5, "limit": 2}, [1, 2], True),
        ({"after": 10**30}, [], False),
        ({"after": 3, "before": 6}, [4, 5], False),
    ):
        answer = await page(alice, "2", **fields)
        assert [message["seq"] for message in answer["messages"]] == expected, fields
        assert answer["pagination"]["hasMore"] is has_more, fields


async def test_a_limit_is_at_most_two_hundred(chat):
    alice = await chat.join(1)
    await say_id(alice, "2")
    await fill(chat, 250)
    answer = await page(alice, "2", limit=1000)
    assert len(answer["messages"]) == 200
    assert answer["pagination"] == {"limit": 200, "offset": 0, "hasMore": True}
    assert len(await seqs(alice, "2", limit=10**30)) == 200


async def test_wrong_numbers_are_validation_errors(chat):
    alice = await chat.join(1)
    await say_id(alice, "2")
    for field, value in (
        *(("limit", value) for value in (0, -1, 1.5, "10", True, [])),
        *(("offset", value) for value in (-1, 0.5, "0", False)),
        *(("before", value) for value in ("3", 1.5, {})),
        *(("after", value) for value in ("3", 1.5, True)),
    ):
        assert_error(await page(alice, "2", **{field: value}), "VALIDATION_ERROR", field)


async def test_a_reply_is_cut_at_its_largest_size_and_nothing_is_lost(chat):
    alice = await chat.join(1)
    await say_id(alice, "2")
    await fill(chat, 150, "\N{GRINNING FACE}" * 2400)
    seen, offset = [], 0
    while True:
        await alice.send(type="get_private_messages", recipientId="2", limit=200, offset=offset)
        answer = await alice.expect("private_messages")
        seen = [message["seq"] for message in answer["messages"]] + seen
        offset += answer["pagination"]["limit"]
        if not answer["pagination"]["hasMore"]:
            break
        size = sum(len(message["content"].encode()) for message in answer["messages"])
        assert MAX_REPLY * 0.9 < size < MAX_REPLY
    assert seen == list(range(1, 151))
    forward = await page(alice, "2", limit=200, after=0)
    assert forward["pagination"]["hasMore"] is True
    found = [message["seq"] for message in forward["messages"]]
    assert found == list(range(1, len(found) + 1))
    before = await page(alice, "2", limit=200, before=100)
    assert before["messages"][-1]["seq"] == 99


async def test_hidden_messages_are_left_out_and_not_counted(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    ids = [await say_id(alice, "2", str(number)) for number in range(1, 7)]
    await alice.request(type="delete_message", messageId=ids[4])
    await bob.request(type="delete_message", messageId=ids[2], deleteForEveryone=False)
    assert await contents(alice, "2") == ["1", "2", "3", "4", "6"]
    assert await contents(bob, "1") == ["1", "2", "4", "6"]
    assert await contents(bob, "1", limit=2) == ["4", "6"]
    assert await contents(bob, "1", limit=2, offset=2) == ["1", "2"]
    assert await contents(bob, "1", after=2, limit=2) == ["4", "6"]
    assert (await page(bob, "1", limit=4))["pagination"]["hasMore"] is False


async def test_is_read_tells_what_the_recipient_has_read(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    ids = [await say_id(alice, "2", str(number)) for number in range(3)]
    answer = await say(bob, "1", "3")
    await bob.request(type="mark_message_read", messageId=ids[1])
    for client, other in ((alice, "2"), (bob, "1")):
        messages = (await page(client, other))["messages"]
        assert [message["isRead"] for message in messages] == [True, True, False, False]
    await alice.request(type="mark_message_read", messageId=answer["messageId"])
    messages = (await page(bob, "1"))["messages"]
    assert [message["isRead"] for message in messages] == [True, True, False, True]


async def test_a_conversation_is_asked_for_by_either_id(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    await say_id(alice, "2")
    command = {"type": "get_private_messages"}
    one = await bob.request(**command, conversationId="conv_1_2")
    other = await bob.request(**command, recipientId=1)
    both = await bob.request(**command, conversationId="conv_1_2", recipientId="1")
    assert one["messages"] == other["messages"] == both["messages"] != []
    error = await bob.request(**command, conversationId="conv_1_2", recipientId="3")
    assert_error(error, "VALIDATION_ERROR", "conversationId")
    assert_error(await bob.request(**command), "VALIDATION_ERROR", "conversationId")


async def test_the_conversations_of_others_do_not_exist(chat):
    alice, carol = await chat.join(1), await chat.join(3)
    await say_id(alice, "2")
    for conversation_id in ("conv_1_2", "conv_2_1", "conv_7_8", "conv_", "1", "conv_1_3_2"):
        error = await carol.request(type="get_private_messages", conversationId=conversation_id)
        assert_error(error, "RESOURCE_NOT_FOUND")
    for other in ("999", "03", "3"):
        assert_error(await page(carol, other), "RESOURCE_NOT_FOUND")


async def test_a_conversation_that_has_not_begun_is_empty(chat):
    alice = await chat.join(1)
    answer = await page(alice, "2", limit=7)
    assert (answer["conversationId"], answer["messages"]) == ("conv_1_2", [])
    assert answer["pagination"] == {"limit": 7, "offset": 0, "hasMore": False}


async def test_blocks_do_not_hide_what_was_said(chat):
    alice = await chat.join(1)
    await say_id(alice, "2", "before")
    await block(chat, 2, 1)
    assert await contents(alice, "2") == ["before"]


async def test_starting_a_conversation_shows_the_other_user_and_the_last_messages(chat):
    alice = await chat.join(1)
    await run_sql(chat, "INSERT INTO user_profile_info VALUES (2, 'Grace', 'Hopper')")
    started = await alice.request(type="start_conversation", recipientId="2")
    assert started["type"] == "conversation_started"
    assert started["conversationId"] == "conv_1_2"
    assert started["messages"] == []
    assert started["participant"] == {
        "userId": "2",
        "username": "user2",
        "displayName": "Grace Hopper",
        "online": False,
    }
    await say_id(alice, "2", "text 1")
    await fill(chat, 60)
    bob = await chat.join(2)
    started = await alice.request(type="start_conversation", recipientId=2)
    assert started["participant"]["online"] is True
    assert [message["seq"] for message in started["messages"]] == list(range(11, 61))
    await bob.assert_nothing(within=0.05)


async def test_a_conversation_with_nobody_oneself_or_a_blocked_user_is_not_started(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    await block(chat, 1, 2)
    start = {"type": "start_conversation"}
    assert_error(await alice.request(**start), "VALIDATION_ERROR", "recipientId")
    assert_error(await alice.request(**start, recipientId="1"), "VALIDATION_ERROR", "recipientId")
    assert_error(await alice.request(**start, recipientId="02"), "RESOURCE_NOT_FOUND")
    assert_error(await alice.request(**start, recipientId="2"), "USER_BLOCKED")
    assert_error(await bob.request(**start, recipientId="1"), "USER_BLOCKED")
    assert await run_sql(chat, "SELECT FROM dm_conversations") == []


async def test_the_pages_of_one_connection_come_in_order(chat):
    alice = await chat.join(1)
    await say_id(alice, "2")
    await fill(chat, 20)
    for number in range(1, 21):
        await alice.send(type="get_private_messages", recipientId="2", limit=number)
    for number in range(1, 21):
        assert len((await alice.expect(None))["messages"]) == number


async def test_the_newest_page_comes_from_memory_until_something_happens(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    pages = chat.server.recent
    message_id = await say_id(alice, "2", "one")
    second = await say_id(alice, "2", "two")
    changes = [
        lambda: say(bob, "1", "three"),
        lambda: alice.request(type="edit_message", messageId=message_id, content="changed"),
        lambda: bob.request(type="add_reaction", messageId=message_id, reaction="+1"),
        lambda: bob.request(type="mark_message_read", messageId=message_id),
        lambda: bob.request(type="delete_message", messageId=second, deleteForEveryone=False),
        lambda: alice.request(type="delete_message", messageId=message_id),
        lambda: bob.request(type="delete_conversation", conversationId="conv_1_2"),
    ]
    seen = []
    for change in changes:
        first = await page(bob, "1")
        hits = pages.hits
        assert (await page(bob, "1"))["messages"] == first["messages"]
        assert pages.hits == hits + 1
        started = await bob.request(type="start_conversation", recipientId="1")
        assert started["messages"] == first["messages"]
        seen.append(first["messages"])
        await change()
    seen.append((await page(bob, "1"))["messages"])
    assert all(before != after for before, after in pairwise(seen)), seen
    assert seen[-1] == []
