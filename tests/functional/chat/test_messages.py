"""Sending: who gets what, in which order, and what is refused."""

import logging
from itertools import product

import pytest

from tests.functional.chat.queued import until
from tests.functional.chat.talking import (
    assert_error,
    block,
    contents,
    follow,
    page,
    run_sql,
    say,
    say_id,
)

BURST = 200


async def test_a_message_reaches_the_other_user_after_it_is_stored(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    sent = await alice.request(type="send_private_message", recipientId="2", content="hello")
    received = await bob.expect("new_private_message")
    assert sent["type"] == "message_sent"
    assert received["message"] == sent["message"]
    assert received["messageId"] == sent["messageId"] == sent["message"]["id"]
    assert received["conversationId"] == "conv_1_2"
    message = sent["message"]
    assert message.pop("timestamp").endswith("Z")
    assert message == {
        "id": sent["messageId"],
        "conversationId": "conv_1_2",
        "senderId": "1",
        "recipientId": "2",
        "username": "user1",
        "content": "hello",
        "isRead": False,
        "replyToMessageId": None,
        "reactions": [],
        "seq": 1,
        "rev": 1,
    }
    assert len(await run_sql(chat, "SELECT FROM chat_messages")) == 1


async def test_every_device_of_both_users_hears_of_a_message_once(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    others = [await chat.join(1), await chat.join(2)]
    stranger = await chat.join(3)
    message_id = await say_id(alice, "2")
    for client in (bob, *others):
        assert (await client.expect("new_private_message"))["messageId"] == message_id
    await alice.assert_nothing("new_private_message", 0.05)
    for client in (bob, *others, stranger):
        await client.assert_nothing(within=0.01)


async def test_an_absent_recipient_finds_the_message_later(chat):
    alice = await chat.join(1)
    await say_id(alice, "2", "are you there?")
    bob = await chat.join(2)
    assert await contents(bob, "1") == ["are you there?"]


async def test_a_burst_keeps_its_order_from_the_very_first_contact(chat):
    alice, bob, tablet = await chat.join(1), await chat.join(2), await chat.join(1)
    for number in range(BURST):
        await alice.send(type="send_private_message", recipientId="2", content=str(number))
    numbers = [str(number) for number in range(BURST)]
    for client, kind in (
        (alice, "message_sent"),
        (bob, "new_private_message"),
        (tablet, "new_private_message"),
    ):
        messages = [(await client.expect(None))["message"] for _ in range(BURST)]
        assert [message["content"] for message in messages] == numbers, kind
        assert [message["seq"] for message in messages] == list(range(1, BURST + 1))


async def test_both_may_write_first_at_the_same_moment(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    for number in range(20):
        await alice.send(type="send_private_message", recipientId="2", content=f"a{number}")
        await bob.send(type="send_private_message", recipientId="1", content=f"b{number}")
    seen = {}
    for client in (alice, bob):
        messages = [(await client.expect(None))["message"] for _ in range(40)]
        seen[client] = sorted((message["seq"], message["content"]) for message in messages)
        for name in "ab":
            own = [m["content"] for m in messages if m["content"].startswith(name)]
            assert own == [f"{name}{number}" for number in range(20)]
    assert seen[alice] == seen[bob]
    assert [seq for seq, _ in seen[alice]] == list(range(1, 41))
    assert len(await run_sql(chat, "SELECT FROM dm_conversations")) == 1


async def test_a_repeat_is_answered_with_the_first_message(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    first = await say(alice, "2", "one", clientMessageId="c-1")
    again = await say(alice, "2", "another text", clientMessageId="c-1")
    assert first["clientMessageId"] == again["clientMessageId"] == "c-1"
    assert "duplicate" not in first
    assert again["duplicate"] is True
    assert again["message"] == first["message"]
    assert again["message"]["clientMessageId"] == "c-1"
    await bob.expect("new_private_message")
    await bob.assert_nothing(within=0.05)


async def test_repeats_within_one_batch_are_stored_once(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    for text in ("one", "two", "one"):
        await alice.send(
            type="send_private_message", recipientId="2", content=text, clientMessageId="c-1"
        )
    answers = [await alice.expect("message_sent") for _ in range(3)]
    assert [answer.get("duplicate", False) for answer in answers].count(True) == 2
    assert {answer["messageId"] for answer in answers} == {answers[0]["messageId"]}
    assert {answer["message"]["content"] for answer in answers} == {"one"}
    await bob.expect("new_private_message")
    await bob.assert_nothing(within=0.05)


async def test_a_repeat_is_known_on_another_device_and_after_a_restart(chat):
    alice = await chat.join(1)
    first = await say_id(alice, "2", "one", clientMessageId="c-1")
    tablet = await chat.join(1)
    assert (await say(tablet, "2", "one", clientMessageId="c-1"))["messageId"] == first
    for client in (alice, tablet):
        await client.close()
    await chat.stop()
    await chat.start()
    alice = await chat.join(1)
    again = await say(alice, "2", "one", clientMessageId="c-1")
    assert (again["messageId"], again["duplicate"]) == (first, True)
    assert (await say(alice, "2", "two"))["message"]["seq"] == 2


async def test_client_ids_belong_to_one_sender_and_one_conversation(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    answers = [
        await say(alice, "2", clientMessageId="c-1"),
        await say(bob, "1", clientMessageId="c-1"),
        await say(alice, "3", clientMessageId="c-1"),
    ]
    assert not any("duplicate" in answer for answer in answers)


async def test_a_repeat_of_a_deleted_message_shows_nothing_of_it(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    message_id = await say_id(alice, "2", "regretted", clientMessageId="c-1")
    await bob.expect("new_private_message")
    await alice.request(type="delete_message", messageId=message_id)
    await bob.expect("message_deleted")
    again = await say(alice, "2", "regretted", clientMessageId="c-1")
    assert (again["messageId"], again["duplicate"]) == (message_id, True)
    assert again["message"]["isDeleted"] is True
    assert again["message"]["content"] == ""
    await bob.assert_nothing(within=0.05)


async def test_a_reply_names_the_message_it_answers(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    question = await say_id(alice, "2")
    answer = await say(bob, "1", "yes", replyToMessageId=question)
    assert answer["message"]["replyToMessageId"] == question
    received = await alice.expect("new_private_message")
    assert received["message"]["replyToMessageId"] == question
    assert (await page(alice, "2"))["messages"][1]["replyToMessageId"] == question


async def test_a_reply_to_a_message_elsewhere_or_nowhere_is_refused(chat):
    alice = await chat.join(1)
    here, elsewhere = await say_id(alice, "2"), await say_id(alice, "3")
    room_id = here.partition("-")[0]
    for reply in (
        elsewhere,
        f"{room_id}-99",
        "999999-1",
        "0-0",
        f"0{here}",
        "no-such-id",
        "x" * 64,
    ):
        assert_error(await say(alice, "2", replyTo=reply), "RESOURCE_NOT_FOUND")
    assert_error(await say(alice, "2", replyTo="x" * 65), "VALIDATION_ERROR", "replyToMessageId")
    assert await contents(alice, "2") == ["hello"]


@pytest.mark.parametrize("who", [(1, 2), (2, 1)])
async def test_a_block_either_way_stops_messages_at_once(chat, who):
    alice, bob = await chat.join(1), await chat.join(2)
    await say_id(alice, "2", "before")
    await bob.expect("new_private_message")
    await block(chat, *who)
    for client, other in ((alice, "2"), (bob, "1")):
        error = await say(client, other)
        assert_error(error, "USER_BLOCKED")
        assert error["message"] == "Message blocked"
        assert error["details"] == "You cannot send messages to this user."
    await bob.assert_nothing(within=0.05)
    await run_sql(chat, "DELETE FROM blocked_relationships")
    assert (await say(alice, "2", "after"))["message"]["seq"] == 2


async def test_a_block_stops_the_first_message_too(chat):
    alice = await chat.join(1)
    await block(chat, 2, 1)
    assert_error(await say(alice, "2"), "USER_BLOCKED")


async def test_nobody_writes_to_himself(chat):
    alice = await chat.join(1)
    assert_error(await say(alice, "1"), "VALIDATION_ERROR", "recipientId")
    assert_error(await say(alice, 1), "VALIDATION_ERROR", "recipientId")


async def test_only_the_canonical_id_of_a_user_is_known(chat):
    alice = await chat.join(1)
    for other in ("999", " 2", "02", "+2", "2 ", "2.0", "\uff12", "\u0662", "-2", "9" * 128):
        assert_error(await say(alice, other), "RESOURCE_NOT_FOUND")
    assert await run_sql(chat, "SELECT FROM dm_conversations") == []


async def test_what_is_no_id_is_a_validation_error(chat):
    alice = await chat.join(1)
    for wrong in ("", None, True, 2.0, [], {}, "x" * 129):
        assert_error(await say(alice, wrong), "VALIDATION_ERROR", "recipientId")


async def test_whole_numbers_are_taken_as_ids(chat):
    alice = await chat.join(1)
    sent = await say(alice, 2, clientMessageId=17)
    assert sent["message"]["recipientId"] == "2"
    assert sent["clientMessageId"] == "17"


async def test_the_conversation_id_must_be_that_of_the_two(chat):
    alice = await chat.join(1)
    for wrong in ("conv_2_1", "conv_1_3", "x"):
        error = await say(alice, "2", conversationId=wrong)
        assert_error(error, "VALIDATION_ERROR", "conversationId")
    assert (await say(alice, "2", conversationId="conv_1_2"))["type"] == "message_sent"
    error = await say(alice, "2", conversationId="conv_1_3")
    assert_error(error, "VALIDATION_ERROR", "conversationId")


async def test_ids_sort_as_text_in_the_conversation_id(chat):
    client = await chat.join(10)
    assert (await say(client, "9"))["message"]["conversationId"] == "conv_10_9"


async def test_ids_with_underscores_do_not_collide(chat):
    await run_sql(
        chat,
        "INSERT INTO chat_users (user_id, username) SELECT id, id FROM unnest($1::text[]) id",
        ["a_b", "c", "a", "b_c"],
    )
    one, other = await chat.join("a_b"), await chat.join("a")
    first = (await say(one, "c"))["message"]["conversationId"]
    second = (await say(other, "b_c"))["message"]["conversationId"]
    assert (first, second) == ("conv_a%5Fb_c", "conv_a_b%5Fc")


async def test_strangers_are_warned_about_once(chat, caplog):
    await follow(chat, 3, 1)
    alice = await chat.join(1)
    with caplog.at_level(logging.WARNING):
        await say_id(alice, "3")
        for _ in range(3):
            await say_id(alice, "2", "a secret text")
        # The look-ups are not waited for, and this one may be answered after any other.
        await until(lambda: not chat.server.messages._tasks)
    warnings = [record for record in caplog.records if "follows" in record.getMessage()]
    assert [record.users for record in warnings] == [("1", "2")]
    assert "secret" not in caplog.text


async def test_content_is_stored_and_delivered_as_sent(chat):
    alice, bob = await chat.join(1), await chat.join(2)
    for content in (
        "x",
        "x" * 10_000,
        "\N{GRINNING FACE}" * 10_000,
        "  around \n",
        " " * 50 + "x" * 10_000 + "\t" * 50,
        "<script>alert('&amp;')</script>",
        '"quoted" \\ \u2028 \u202e \x01 \x7f',
        "e\u0301 \u00e9",
        "'; DROP TABLE chat_messages; --",
    ):
        assert (await say(alice, "2", content))["message"]["content"] == content
        assert (await bob.expect("new_private_message"))["message"]["content"] == content
        assert await contents(bob, "1", limit=1) == [content]


async def test_content_must_be_text_of_an_allowed_length(chat):
    alice = await chat.join(1)
    too_long = "x" * 10_001
    for wrong in (
        "",
        " ",
        "\t\n\u00a0\u2003",
        too_long,
        f" {too_long}",
        None,
        7,
        ["x"],
        {"x": "y"},
    ):
        assert_error(await say(alice, "2", wrong), "VALIDATION_ERROR", "content")


async def test_nul_and_lone_surrogates_are_refused_everywhere(chat):
    alice = await chat.join(1)
    for field, escape in product(
        ("content", "recipientId", "clientMessageId", "unknown"),
        (r"\u0000", r"\ud83d", r"\ude00", r"\ude00\ud83d"),
    ):
        fields = {"recipientId": "2", "content": "x", field: "ESCAPE"}
        members = ",".join(f'"{name}":"{value}"' for name, value in fields.items())
        text = '{"type":"send_private_message",' + members + "}"
        await alice.send_text(text.replace("ESCAPE", f"a{escape}b"))
        assert_error(await alice.expect("error"), "VALIDATION_ERROR", field)


async def test_a_pair_of_escaped_surrogates_is_one_character(chat):
    alice = await chat.join(1)
    await alice.send_text(
        r'{"type":"send_private_message","recipientId":"2","content":"\ud83d\ude00"}'
    )
    assert (await alice.expect("message_sent"))["message"]["content"] == "\N{GRINNING FACE}"


async def test_null_and_unknown_fields_are_as_if_absent(chat):
    alice = await chat.join(1)
    sent = await say(
        alice,
        "2",
        conversationId=None,
        replyTo=None,
        replyToMessageId=None,
        clientMessageId=None,
        timestamp=17,
        nested={"of": ["no", "interest"]},
    )
    assert sent["type"] == "message_sent"
    assert sent["message"]["replyToMessageId"] is None
    assert "clientMessageId" not in sent


async def test_errors_carry_the_request_id_and_a_bad_one_is_refused(chat):
    alice = await chat.join(1)
    assert (await say(alice, "2", ""))["requestId"]
    for wrong in ("x" * 65, 7, ["x"]):
        await alice.send(type="ping", requestId=wrong)
        error = await alice.expect("error")
        assert_error(error, "VALIDATION_ERROR", "requestId")
        assert "requestId" not in error


async def test_what_is_no_command_is_answered(chat):
    alice = await chat.join(1)
    for text, code in (
        ("[1]", "INVALID_JSON"),
        ("{", "INVALID_JSON"),
        ("{}", "UNKNOWN_TYPE"),
        ('{"type":7}', "UNKNOWN_TYPE"),
        ('{"type":null}', "UNKNOWN_TYPE"),
        ('{"type":"PING"}', "UNKNOWN_TYPE"),
        ('{"type":""}', "UNKNOWN_TYPE"),
    ):
        await alice.send_text(text)
        assert_error(await alice.expect("error"), code)
