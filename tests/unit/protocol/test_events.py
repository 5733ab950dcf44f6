import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastchat import errors
from fastchat.errors import AuthFailed, AuthRequired, CommandError, RateLimited, ServiceUnavailable
from fastchat.protocol import events

NOW = 1705314600.123
TIME = "2024-01-15T10:30:00.123Z"
AWKWARD = 'é😀"\\\n\u2028</script>'


@dataclass(frozen=True)
class Account:
    user_id: str = "2"
    username: str = "bob"
    display_name: str = "Bob"
    email: str | None = "bob@example.org"
    first_name: str | None = "Bob"
    last_name: str | None = None


BOB = Account()
PERSON = {"userId": "2", "username": "bob", "displayName": "Bob"}


def message(**more):
    fields = {
        "message_id": "7-3",
        "conversation_id": "conv_1_2",
        "sender_id": "1",
        "recipient_id": "2",
        "username": "alice",
        "content": "hello",
        "created_at": NOW,
        "seq": 3,
        "rev": 4,
    }
    return events.encode_message(**{**fields, **more})


MESSAGE = {
    "id": "7-3",
    "conversationId": "conv_1_2",
    "senderId": "1",
    "recipientId": "2",
    "username": "alice",
    "content": "hello",
    "timestamp": TIME,
    "isRead": False,
    "replyToMessageId": None,
    "reactions": [],
    "seq": 3,
    "rev": 4,
}


def test_the_first_event_asks_for_authentication():
    assert json.loads(events.encode_welcome("c", NOW)) == {
        "type": "connected",
        "clientId": "c",
        "message": "Please authenticate to continue",
        "requiresAuth": True,
        "timestamp": TIME,
    }


def test_connected_tells_the_user_about_himself():
    assert json.loads(events.encode_connected("c", BOB, 5, NOW)) == {
        "type": "connected",
        "clientId": "c",
        "user": {
            "id": "2",
            **PERSON,
            "email": "bob@example.org",
            "firstName": "Bob",
            "lastName": None,
        },
        "queuedEvents": 5,
        "timestamp": TIME,
    }


def test_a_refused_token_is_an_auth_error():
    event = json.loads(events.encode_auth_error(AuthFailed("Because.", code="SESSION_REVOKED")))
    assert event == {
        "type": "auth_error",
        "message": "Token validation failed",
        "details": "Because.",
        "code": "SESSION_REVOKED",
    }
    error = AuthFailed("Because.", code="SERVICE_UNAVAILABLE", retry_after=2)
    assert json.loads(events.encode_auth_error(error))["retryAfter"] == 2


def test_events_of_the_connection():
    assert json.loads(events.encode_token_refreshed(NOW)) == {
        "type": "token_refreshed",
        "expiresAt": TIME,
    }
    assert json.loads(events.encode_server_draining(5)) == {
        "type": "server_draining",
        "retryAfter": 5,
    }
    full = json.loads(events.encode_server_full())
    assert (full["type"], full["code"]) == ("error", "MAX_CONNECTIONS_EXCEEDED")


@pytest.mark.parametrize(
    ("error", "message", "details", "code"),
    [
        (
            RateLimited(retry_after=30),
            "Rate limit exceeded",
            "You are sending messages too quickly. Please wait before sending another message.",
            "RATE_LIMIT_EXCEEDED",
        ),
        (
            errors.UserBlocked(),
            "Message blocked",
            "You cannot send messages to this user.",
            "USER_BLOCKED",
        ),
    ],
)
def test_texts_that_clients_know_do_not_change(error, message, details, code):
    event = json.loads(events.encode_error(error))
    assert (event["message"], event["details"], event["code"]) == (message, details, code)


def test_an_error_has_only_the_fields_it_needs():
    event = json.loads(events.encode_error(errors.ResourceNotFound("There is no such user.")))
    assert event == {
        "type": "error",
        "message": "Not found",
        "details": "There is no such user.",
        "code": "RESOURCE_NOT_FOUND",
    }
    error = errors.ValidationError("Wrong.", field="content")
    error.request_id = AWKWARD
    event = json.loads(events.encode_error(error))
    assert (event["field"], event["requestId"]) == ("content", AWKWARD)
    assert json.loads(events.encode_error(RateLimited(retry_after=30)))["retryAfter"] == 30
    assert json.loads(events.encode_error(ServiceUnavailable()))["retryAfter"] == 1
    assert json.loads(events.encode_error(AuthRequired()))["requiresAuth"] is True


def test_a_bug_is_answered_with_an_id_and_nothing_of_the_exception():
    event = json.loads(events.encode_internal_error("e"))
    assert event == {
        "type": "error",
        "message": CommandError.message,
        "details": CommandError.details,
        "code": "INTERNAL_ERROR",
        "errorId": "e",
    }
    assert json.loads(events.encode_internal_error("e", "r")) == {**event, "requestId": "r"}


def test_answers_to_signs_of_life_have_milliseconds():
    assert json.loads(events.encode_pong(NOW)) == {"type": "pong", "timestamp": 1705314600123}
    assert json.loads(events.encode_test_response(NOW)) == {
        "type": "test_response",
        "message": "Server is responding to test messages",
        "timestamp": 1705314600123,
    }


def test_users_who_are_online_are_listed_and_counted():
    event = json.loads(events.encode_online_users(iter([BOB, BOB])))
    assert event == {"type": "online_users", "users": [PERSON, PERSON], "count": 2}


@pytest.mark.parametrize(
    ("encode", "name"),
    [(events.encode_user_online, "user_online"), (events.encode_user_offline, "user_offline")],
)
def test_presence_has_both_spellings_of_the_id(encode, name):
    assert json.loads(encode(BOB, NOW)) == {
        "type": name,
        "user": {"id": "2", **PERSON},
        "timestamp": TIME,
    }


def test_a_batch_of_presence_has_users_as_single_events_do():
    bob = events.describe_presence(BOB)
    assert json.loads(events.encode_presence_changes([bob, bob], [], NOW)) == {
        "type": "presence_changes",
        "online": [{"id": "2", **PERSON}] * 2,
        "offline": [],
        "timestamp": TIME,
    }


def test_a_message_has_every_field_old_clients_expect():
    assert json.loads(message()) == MESSAGE


def test_a_message_has_the_rest_only_where_it_applies():
    event = json.loads(message(is_read=True, reply_to="7-1", client_message_id="c", edited_at=NOW))
    assert event == {
        **MESSAGE,
        "isRead": True,
        "replyToMessageId": "7-1",
        "clientMessageId": "c",
        "editedAt": TIME,
    }


def test_a_deleted_message_has_neither_content_nor_reactions():
    event = json.loads(message(is_deleted=True, reactions=[{"reaction": "x"}]))
    assert event == {**MESSAGE, "content": "", "isDeleted": True}


def test_an_acknowledgement_tells_a_duplicate_from_a_first_message():
    sent = {"type": "message_sent", "messageId": "7-3", "message": MESSAGE}
    assert json.loads(events.encode_message_sent(message(), "7-3")) == sent
    both = events.encode_message_sent(message(), "7-3", "c", is_duplicate=True)
    assert json.loads(both) == {**sent, "clientMessageId": "c", "duplicate": True}


def test_a_new_message_is_embedded_as_it_is():
    assert json.loads(events.encode_new_private_message(message(), "7-3", "conv_1_2")) == {
        "type": "new_private_message",
        "message": MESSAGE,
        "messageId": "7-3",
        "conversationId": "conv_1_2",
    }


def test_a_page_has_its_messages_in_order():
    page = [message(seq=1), message(seq=2)]
    event = json.loads(events.encode_messages_page("c", page, limit=50, offset=100, has_more=True))
    assert [one["seq"] for one in event["messages"]] == [1, 2]
    assert event["pagination"] == {"limit": 50, "offset": 100, "hasMore": True}
    event = json.loads(events.encode_messages_page("c", [], limit=5, offset=0, has_more=False))
    assert event == {
        "type": "private_messages",
        "conversationId": "c",
        "messages": [],
        "pagination": {"limit": 5, "offset": 0, "hasMore": False},
    }


@pytest.mark.parametrize(("is_forward", "kept"), [(False, "newest"), (True, "oldest")])
def test_a_page_too_large_is_cut_at_its_far_end(is_forward, kept):
    page = [message(seq=seq, content="x" * 10_000) for seq in range(1, 101)]
    payload = events.encode_messages_page(
        "c", page, limit=100, offset=0, has_more=False, is_forward=is_forward
    )
    assert len(payload) <= events.MAX_REPLY_SIZE
    event = json.loads(payload)
    seqs = [one["seq"] for one in event["messages"]]
    count = len(seqs)
    assert 45 < count < 55
    expected = range(1, count + 1) if kept == "oldest" else range(101 - count, 101)
    assert seqs == list(expected)
    # offset + limit is the next page.
    assert event["pagination"] == {"limit": count, "offset": 0, "hasMore": True}


@given(sizes=st.lists(st.integers(2, 300_000), max_size=12), keep_oldest=st.booleans())
def test_a_cut_keeps_a_run_from_one_end_as_long_as_it_can_be(sizes, keep_oldest):
    page = [bytes(size) for size in sizes]
    kept = events.cut_to_fit(page, keep_oldest=keep_oldest)
    count = len(kept)
    assert kept == (page[:count] if keep_oldest else page[len(page) - count :])
    room = events.ROOM_IN_REPLY
    if count > 1:
        assert sum(map(len, kept)) + count <= room
    if count < len(page):
        assert count >= 1
        following = page[count] if keep_oldest else page[-count - 1]
        assert sum(map(len, kept)) + len(following) + count + 1 > room


def test_a_started_conversation_has_the_other_user_and_the_newest_messages():
    event = json.loads(events.encode_conversation_started("c", BOB, True, [message()]))
    assert event == {
        "type": "conversation_started",
        "conversationId": "c",
        "participant": {**PERSON, "online": True},
        "messages": [MESSAGE],
    }


def test_changes_of_a_conversation_carry_its_rev_and_read_marks_do_not():
    edited = json.loads(events.encode_message_edited("7-3", "c", "new", NOW, 9))
    assert edited == {
        "type": "message_edited",
        "messageId": "7-3",
        "conversationId": "c",
        "message": {"id": "7-3", "content": "new", "editedAt": TIME},
        "rev": 9,
    }
    deleted = {"type": "message_deleted", "messageId": "7-3", "conversationId": "c"}
    assert json.loads(events.encode_message_deleted("7-3", "c", 9)) == {
        **deleted,
        "deleteForEveryone": True,
        "rev": 9,
    }
    assert json.loads(events.encode_message_deleted("7-3", "c", None)) == {
        **deleted,
        "deleteForEveryone": False,
    }
    assert json.loads(events.encode_message_read("7-3", "c", "2")) == {
        "type": "message_read",
        "messageId": "7-3",
        "conversationId": "c",
        "readBy": "2",
    }


def test_typing_tells_who_and_where():
    assert json.loads(events.encode_user_typing(BOB, True, "c")) == {
        "type": "user_typing",
        "userId": "2",
        "username": "bob",
        "isTyping": True,
        "conversationId": "c",
    }


@given(text=st.text(min_size=1))
def test_any_text_survives_in_every_place_that_is_joined_by_hand(text):
    inner = message(message_id=text, conversation_id=text, content=text, client_message_id=text)
    sent = json.loads(events.encode_message_sent(inner, text, text))
    assert (sent["messageId"], sent["clientMessageId"]) == (text, text)
    assert sent["message"]["content"] == text
    new = json.loads(events.encode_new_private_message(inner, text, text))
    assert (new["messageId"], new["conversationId"]) == (text, text)
    page = events.encode_messages_page(text, [inner], limit=1, offset=0, has_more=False)
    assert json.loads(page)["conversationId"] == text
    started = json.loads(events.encode_conversation_started(text, BOB, False, [inner]))
    assert started["messages"][0]["content"] == text
    answer = json.loads(events.with_request_id(events.encode_pong(NOW), text))
    assert answer["requestId"] == text


def test_without_a_request_id_an_answer_is_the_event_itself():
    payload = events.encode_pong(NOW)
    assert events.with_request_id(payload, None) is payload
    assert json.loads(events.with_request_id(payload, ""))["requestId"] == ""
