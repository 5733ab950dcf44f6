"""The events of one message of 200 characters."""

import itertools
import json

import orjson
import pytest

from fastchat.protocol.events import (
    encode_message,
    encode_message_sent,
    encode_messages_page,
    encode_new_private_message,
    with_request_id,
)
from fastchat.protocol.times import iso_time

NOW = 1705314600.123
CLIENT_ID = "5b0c2c0e-7f0c-4b8e-9c3f-0a9d5d0f6a11"
CONTENT = "x" * 200
IDS = ("7-3", "conv_1001_1002")
ROUNDS = 100  # of times, so that these are more seconds than are kept


def encode():
    return encode_message(
        message_id="7-3",
        conversation_id="conv_1001_1002",
        sender_id="1001",
        recipient_id="1002",
        username="alice",
        content=CONTENT,
        created_at=NOW,
        seq=3,
        rev=4,
        client_message_id=CLIENT_ID,
    )


def test_encode_message(benchmark):
    assert json.loads(benchmark(encode))["content"] == CONTENT


ALL = {
    "message_id": "7-3",
    "conversation_id": "conv_1001_1002",
    "sender_id": "1001",
    "recipient_id": "1002",
    "username": "alice",
    "content": CONTENT,
    "created_at": NOW,
    "seq": 3,
    "rev": 4,
    "is_read": False,
    "reply_to": None,
    "client_message_id": CLIENT_ID,
    "edited_at": None,
    "is_deleted": False,
    "is_pinned": False,
    "is_announcement": False,
    "reactions": (),
    "mentions": (),
}


def test_encode_message_by_position(benchmark):
    """Why pages pass no names: compare with ``test_encode_message_by_name``."""
    assert benchmark(encode_message, *ALL.values()) == encode()


def test_encode_message_by_name(benchmark):
    assert benchmark(encode_message, **ALL) == encode()


def test_encode_acknowledgement(benchmark):
    payload = benchmark(encode_message_sent, encode(), "7-3", CLIENT_ID)
    assert json.loads(payload)["message"]["content"] == CONTENT


def test_encode_event(benchmark):
    payload = benchmark(encode_new_private_message, encode(), *IDS)
    assert json.loads(payload)["message"]["content"] == CONTENT


def test_encode_message_with_acknowledgement_and_event(benchmark):
    """All that one stored message costs."""

    def encode_all():
        message = encode()
        return (
            with_request_id(encode_message_sent(message, "7-3", CLIENT_ID), "q-1"),
            encode_new_private_message(message, *IDS),
        )

    sent, new = map(json.loads, benchmark(encode_all))
    assert sent["message"] == new["message"]
    assert sent["requestId"] == "q-1"


def test_encode_event_with_a_fragment(benchmark):
    """Why events join bytes: compare with ``test_encode_event``."""

    def encode_event(message, message_id, conversation_id):
        return orjson.dumps(
            {
                "type": "new_private_message",
                "message": orjson.Fragment(message),
                "messageId": message_id,
                "conversationId": conversation_id,
            }
        )

    payload = benchmark(encode_event, encode(), *IDS)
    assert payload == encode_new_private_message(encode(), *IDS)


def test_encode_page_of_50(benchmark):
    messages = [encode()] * 50
    payload = benchmark(
        encode_messages_page, "conv_1001_1002", messages, limit=50, offset=0, has_more=True
    )
    assert len(json.loads(payload)["messages"]) == 50


@pytest.mark.parametrize("step", [0.0001, 1.0], ids=["same_second", "next_second"])
def test_encode_a_hundred_times(benchmark, step):
    """All of one second, or each of a second that is not kept any more."""
    moments = [NOW + step * number for number in range(100 * ROUNDS)]
    # What is kept is full before the first round, and not of those seconds that are soon asked for.
    texts = [iso_time(moment) for moment in moments]
    starts = itertools.cycle(range(0, len(moments), 100))

    def encode_next():
        start = next(starts)
        return start, [iso_time(moment) for moment in moments[start : start + 100]]

    start, found = benchmark(encode_next)
    assert found == texts[start : start + 100]
