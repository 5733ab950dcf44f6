"""Events of this server, and of a later one."""

import json

import pytest

from fastchat.client import Unknown
from fastchat.client.decoding import Decoder
from fastchat.protocol.message_types import NewPrivateMessage
from fastchat.protocol.sync_types import SyncResult
from fastchat.protocol.system_types import Connected, Error, Pong, Welcome

MESSAGE = {
    "id": "7-1",
    "conversationId": "conv_1_2",
    "senderId": "1",
    "recipientId": "2",
    "username": "alice",
    "content": "hello",
    "timestamp": "2024-01-15T10:30:00.123Z",
    "isRead": False,
    "replyToMessageId": None,
    "reactions": [{"userId": "2", "username": "bob", "reaction": "+1"}],
    "mentions": [{"type": "user", "userId": "2", "username": "bob"}, {"type": "everyone"}],
    "seq": 1,
    "rev": 2,
}
NEW = {
    "type": "new_private_message",
    "message": MESSAGE,
    "messageId": "7-1",
    "conversationId": "conv_1_2",
}
ACCOUNT = {
    "id": "1",
    "userId": "1",
    "username": "alice",
    "displayName": "Alice",
    "email": None,
    "firstName": None,
    "lastName": None,
}
TIME = "2024-01-15T10:30:00.000Z"
ERROR = {"type": "error", "message": "m", "details": "d", "code": "OF_THE_FUTURE"}
NEWS = {
    "conversationId": "conv_1_2",
    "seq": 1,
    "rev": 3,
    "messages": [MESSAGE],
    "changed": [{"id": "7-1", "seq": 1, "rev": 3, "isDeleted": True}, MESSAGE],
    "complete": True,
    "readUpTo": {"1": 1},
    "unreadCount": 0,
    "hiddenIds": [],
    "hidden": False,
}
SYNC = {"type": "sync_result", "conversations": [NEWS], "left": [], "state": "s"}


def decode(value):
    return Decoder().decode(json.dumps(value).encode())


def grow(value):
    """Return a value with a further field in every object whose fields have names."""
    if isinstance(value, list):
        return [grow(one) for one in value]
    if not isinstance(value, dict):
        return value
    grown = {name: one if name == "readUpTo" else grow(one) for name, one in value.items()}
    return grown | {"ofTheFuture": [1]}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (NEW, NewPrivateMessage),
        (SYNC, SyncResult),
        ({"type": "pong", "timestamp": 1}, Pong),
        (
            {
                "type": "connected",
                "clientId": "c",
                "user": ACCOUNT,
                "queuedEvents": 0,
                "timestamp": TIME,
            },
            Connected,
        ),
        (
            {
                "type": "connected",
                "clientId": "c",
                "message": "m",
                "requiresAuth": True,
                "timestamp": TIME,
            },
            Welcome,
        ),
    ],
)
def test_fields_that_are_not_known_are_passed_over_wherever_they_are(value, kind):
    known = decode(value)
    assert type(known) is kind
    assert decode(grow(value)) == known


def test_an_error_with_a_code_of_the_future_is_an_error():
    error = decode(ERROR | {"requestId": "r", "retryAfter": 3, "more": 1})
    assert isinstance(error, Error)
    assert (error.code, error.request_id, error.retry_after) == ("OF_THE_FUTURE", "r", 3)


@pytest.mark.parametrize(
    "value", [{"type": "of_the_future", "x": 1}, {"type": "pong", "timestamp": "today"}]
)
def test_what_cannot_be_understood_is_told_as_it_came(value):
    assert decode(value) == Unknown(value["type"], value)


@pytest.mark.parametrize("text", [b"", b"nonsense", b"[]", b"{}", b'{"type": 1}', b'"x"'])
def test_what_is_no_event_is_refused(text):
    with pytest.raises(ValueError, match=r"type|JSON|Input"):
        Decoder().decode(text)
