import json

import pytest

from fastchat.errors import AuthRequired, CommandError, InvalidJson, UnknownType, ValidationError
from fastchat.protocol.codec import Codec
from fastchat.protocol.command import Bounds
from fastchat.protocol.commands import (
    Authenticate,
    DeleteMessage,
    EditMessage,
    GetOnlineUsers,
    GetPrivateMessages,
    MarkMessageRead,
    Ping,
    SendPrivateMessage,
    StartConversation,
    Test,
    Typing,
)

SEND = {"type": "send_private_message", "recipientId": "2", "content": "hello"}
PAGE = {"type": "get_private_messages", "recipientId": "2"}


@pytest.fixture
def codec():
    return Codec(Bounds(message_length=100, group_members=500))


def encode(fields, **more):
    return json.dumps({**fields, **more}).encode()


def refuse(codec, payload):
    """Return the error that a payload is answered with."""
    with pytest.raises(CommandError) as caught:
        codec.decode(payload)
    return caught.value


@pytest.mark.parametrize(
    ("fields", "command"),
    [
        ({"type": "ping"}, Ping()),
        ({"type": "test"}, Test()),
        ({"type": "authenticate", "token": "t"}, Authenticate(token="t")),
        ({"type": "auth", "token": "t"}, Authenticate(token="t")),
        (
            {"type": "auth", "token": "t", "acks": True, "presenceBatches": True},
            Authenticate(token="t", acks=True, presence_batches=True),
        ),
        ({"type": "get_online_users"}, GetOnlineUsers(limit=200)),
        ({"type": "start_conversation", "recipientId": "2"}, StartConversation(recipient_id="2")),
        (SEND, SendPrivateMessage(recipient_id="2", content="hello")),
        (PAGE, GetPrivateMessages(recipient_id="2", limit=50, offset=0)),
        ({"type": "mark_message_read", "messageId": "1-1"}, MarkMessageRead(message_id="1-1")),
        (
            {"type": "edit_message", "messageId": "1-1", "content": "x"},
            EditMessage(message_id="1-1", content="x"),
        ),
        (
            {"type": "edit_private_message", "messageId": "1-1", "newContent": "x"},
            EditMessage(message_id="1-1", content="x"),
        ),
        ({"type": "delete_message", "messageId": "1-1"}, DeleteMessage(message_id="1-1")),
        (
            {"type": "delete_private_message", "messageId": "1-1", "deleteForEveryone": False},
            DeleteMessage(message_id="1-1", delete_for_everyone=False),
        ),
        (
            {"type": "typing", "groupId": "g", "isTyping": True},
            Typing(group_id="g", is_typing=True),
        ),
    ],
)
def test_every_command_is_decoded(codec, fields, command):
    assert codec.decode(encode(fields)) == command
    assert codec.decode(encode(fields, requestId="r", unknown={"a": [1]})).request_id == "r"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b" ",
        b"null",
        b"1",
        b'"ping"',
        b"[]",
        b'[{"type":"ping"}]',
        b"{",
        b'{"type":"ping"',
        b'{"type":"ping",}',
        b'{"type":"ping"}}',
        b"{type:1}",
        b"\xef\xbb\xbf{}",
        b'{"type":"ping","a":NaN}',
        b'{"type":"ping","a":-Infinity}',
        b'{"type":"ping","a":01}',
        b'{"type":"ping","a":"\x01"}',
        b'{"type":"ping","a":"\x00"}',
        b'{"type":"ping","a":"\\x"}',
        b'{"type":"pi\xff"}',
        b'{"type":"ping","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"type":"ping","a":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
        b"[" * 500_000,
    ],
    ids=lambda payload: repr(payload[:24]),
)
def test_what_is_no_json_object_is_invalid_json_with_and_without_a_session(codec, payload):
    with pytest.raises(InvalidJson):
        codec.decode(payload)
    with pytest.raises(InvalidJson):
        codec.decode_before_session(payload)


@pytest.mark.parametrize(
    "fields",
    [{}, {"type": None}, {"type": 1}, {"type": ["ping"]}, {"type": ""}, {"type": "Ping"}],
    ids=repr,
)
def test_a_missing_or_unknown_type_is_an_unknown_type(codec, fields):
    assert isinstance(refuse(codec, encode(fields)), UnknownType)


def test_an_unknown_type_is_repeated_only_in_part(codec):
    error = refuse(codec, encode({"type": "secret\ud800" * 1000}))
    assert isinstance(error, UnknownType)
    assert len(error.details.encode()) < 150


@pytest.mark.parametrize("field", ["acks", "presenceBatches"])
@pytest.mark.parametrize("value", [1, "true", [], {}])
def test_what_a_client_asks_for_at_the_login_is_a_boolean(codec, field, value):
    error = refuse(codec, encode({"type": "authenticate", "token": "t", field: value}))
    assert (error.code, error.field) == ("VALIDATION_ERROR", field)


@pytest.mark.parametrize("value", ["", " ", "\t\n\u3000", "x" * 101, 5, None, ["x"], True])
def test_content_that_is_no_text_of_the_allowed_length_is_refused(codec, value):
    error = refuse(codec, encode(SEND, content=value))
    assert (error.code, error.field) == ("VALIDATION_ERROR", "content")


@pytest.mark.parametrize("value", ["x" * 100, "😀" * 100, " " * 50 + "x" * 100 + "\n" * 50, "\\u"])
def test_content_is_kept_as_sent_and_counted_in_code_points_without_white_space(codec, value):
    assert codec.decode(encode(SEND, content=value)).content == value
    assert codec.decode(json.dumps({**SEND, "content": value}, ensure_ascii=False).encode())


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (17, "17"), (-1, "-1"), (2**64, str(2**64)), (10**30, "1" + "0" * 30)],
)
def test_a_whole_number_is_the_decimal_text_of_an_id(codec, value, text):
    assert codec.decode(encode(SEND, recipientId=value)).recipient_id == text
    assert codec.decode(encode(SEND, conversationId=value)).conversation_id == text
    assert codec.decode(encode(PAGE, recipientId=value)).recipient_id == text


@pytest.mark.parametrize("text", [" 123", "0123", "+123", "\uff11\uff12", "1e3", "__proto__"])
def test_the_text_of_an_id_is_left_as_it_is(codec, text):
    assert codec.decode(encode(SEND, recipientId=text)).recipient_id == text


@pytest.mark.parametrize("value", ["", 1.0, 1e30, True, [], {}, None, "x" * 129, 10**128])
def test_what_is_no_id_is_refused(codec, value):
    error = refuse(codec, encode(SEND, recipientId=value))
    assert (error.code, error.field) == ("VALIDATION_ERROR", "recipientId")


def test_a_number_of_a_million_digits_is_refused_at_once(codec):
    payload = b'{"type":"start_conversation","recipientId":1' + b"0" * 1_000_000 + b"}"
    assert refuse(codec, payload).field == "recipientId"
    payload = b'{"type":"get_online_users","limit":1' + b"0" * 1_000_000 + b"}"
    assert codec.decode(payload).limit == 200


@pytest.mark.parametrize("name", ["messageId", "clientMessageId", "replyToMessageId", "requestId"])
def test_ids_of_messages_and_requests_have_at_most_64_characters(codec, name):
    fields = {"type": "mark_message_read", "messageId": "m"} if name == "messageId" else SEND
    codec.decode(encode(fields, **{name: "é" * 64}))
    assert refuse(codec, encode(fields, **{name: "é" * 65})).field == name


def test_the_longest_conversation_id_of_two_users_is_accepted(codec):
    longest = "conv_" + "_".join(["%5F" * 128] * 2)
    assert codec.decode(encode(SEND, conversationId=longest)).conversation_id == longest


@pytest.mark.parametrize("name", ["conversationId", "replyToMessageId", "clientMessageId"])
def test_null_in_an_optional_field_is_as_if_it_were_absent(codec, name):
    assert codec.decode(encode(SEND, **{name: None})) == codec.decode(encode(SEND))
    assert codec.decode(encode(SEND, replyTo=None)) == codec.decode(encode(SEND))
    assert codec.decode(encode(PAGE, limit=None, offset=None, before=None)).limit == 50
    fields = {"type": "delete_message", "messageId": "m", "deleteForEveryone": None}
    assert codec.decode(encode(fields)).delete_for_everyone


def test_other_spellings_are_accepted_and_the_right_one_goes_first(codec):
    assert codec.decode(encode(SEND, replyTo="m")).reply_to_message_id == "m"
    assert codec.decode(encode(SEND, replyTo=7)).reply_to_message_id == "7"
    both = encode(SEND, replyTo="m", replyToMessageId="n")
    assert codec.decode(both).reply_to_message_id == "n"
    null = encode(SEND, replyTo="m", replyToMessageId=None)
    assert codec.decode(null).reply_to_message_id == "m"
    assert codec.decode(encode(SEND, replyTo="m")).reply_to is None
    assert refuse(codec, encode(SEND, replyTo="")).field == "replyToMessageId"
    escaped = encode(SEND).replace(b'"type"', b'"reply\\u0054o":"m","type"')
    assert codec.decode(escaped).reply_to_message_id == "m"


@pytest.mark.parametrize(
    ("limit", "taken"), [(1, 1), (200, 200), (201, 200), (2**63, 200), (10**40, 200)]
)
def test_a_limit_above_200_is_200(codec, limit, taken):
    assert codec.decode(encode(PAGE, limit=limit)).limit == taken
    assert codec.decode(encode({"type": "get_online_users", "limit": limit})).limit == taken


@pytest.mark.parametrize("offset", [2**53, 2**64, 10**100])
def test_an_offset_beyond_what_a_reply_can_hold_is_the_largest(codec, offset):
    assert codec.decode(encode(PAGE, offset=offset)).offset == 2**53 - 1


@pytest.mark.parametrize("value", [0, -1, 1.5, 50.0, "50", True, [], -(10**40)])
def test_a_limit_below_1_or_no_whole_number_is_refused(codec, value):
    assert refuse(codec, encode(PAGE, limit=value)).field == "limit"


def test_positions_are_whole_numbers(codec):
    assert codec.decode(encode(PAGE, offset=0, before=5, after=0)).before == 5
    for name in ("offset", "before", "after"):
        assert refuse(codec, encode(PAGE, **{name: 1.5})).field == name
        assert refuse(codec, encode(PAGE, **{name: "1"})).field == name
    assert refuse(codec, encode(PAGE, offset=-1)).field == "offset"


def test_a_page_and_a_sign_of_typing_need_one_of_two_ids(codec):
    assert refuse(codec, encode({"type": "get_private_messages"})).field == "conversationId"
    fields = {"type": "typing", "isTyping": True, "recipientId": None}
    assert refuse(codec, encode(fields)).field == "recipientId"


@pytest.mark.parametrize("value", [0, 1, "true", None, []])
def test_booleans_are_true_or_false_alone(codec, value):
    fields = {"type": "typing", "recipientId": "2", "isTyping": value}
    assert refuse(codec, encode(fields)).field == "isTyping"


@pytest.mark.parametrize("text", ["\\u0000", "\\ud800", "\\udc00", "\\udc00\\ud800", "\\uD83Dx"])
@pytest.mark.parametrize(
    ("place", "field"),
    [
        ('"content":"%s"', "content"),
        ('"unknown":"a%s"', "unknown"),
        ('"unknown":{"a":[1,{"%s":2}]}', "unknown"),
        ('"unknown":[[["%sb"]]]', "unknown"),
        ('"requestId":"%s"', "requestId"),
    ],
)
def test_what_cannot_be_stored_is_refused_wherever_it_is(codec, text, place, field):
    payload = '{"type":"send_private_message","recipientId":"2","content":"c",' + place % text + "}"
    error = refuse(codec, payload.encode())
    assert (error.code, error.field) == ("VALIDATION_ERROR", field)
    assert error.request_id is None


def test_what_cannot_be_stored_is_refused_in_keys(codec):
    error = refuse(codec, b'{"type":"ping","a\\u0000b":1}')
    assert (error.code, error.field) == ("VALIDATION_ERROR", "a\ufffdb")


@pytest.mark.parametrize("text", ["\\ud83d\\ude00", "\\\\u0000", "\\\\ud800", "\\u0001", "a\\n"])
def test_escapes_of_what_can_be_stored_are_accepted(codec, text):
    payload = encode(SEND, content="+").replace(b"+", text.encode())
    assert codec.decode(payload).content == json.loads(payload)["content"]


@pytest.mark.parametrize(
    "fields", [{**SEND, "content": ""}, {**SEND, "recipientId": None}, {"type": "nothing"}]
)
def test_errors_carry_the_id_of_the_request(codec, fields):
    assert refuse(codec, encode(fields, requestId="r-1")).request_id == "r-1"
    assert refuse(codec, encode(fields, requestId=5)).request_id is None
    assert refuse(codec, encode(fields)).request_id is None


def test_errors_do_not_repeat_what_users_wrote(codec):
    secret = "my secret"
    for fields in (
        {**SEND, "content": secret * 100},
        {**SEND, "recipientId": [secret]},
        {**PAGE, "limit": secret},
        {"type": "typing", "recipientId": "2", "isTyping": secret},
    ):
        assert secret not in refuse(codec, encode(fields)).details


@pytest.mark.parametrize(
    "fields",
    [SEND, PAGE, {**SEND, "content": ""}, {}, {"type": 5}, {"type": "nothing"}, {"type": "typing"}],
    ids=repr,
)
def test_before_a_session_any_other_object_needs_authentication(codec, fields):
    with pytest.raises(AuthRequired) as caught:
        codec.decode_before_session(encode(fields, requestId="r", unknown="\0"))
    assert caught.value.request_id == "r"


@pytest.mark.parametrize("tag", ["authenticate", "auth", "ping", "test"])
def test_before_a_session_the_first_commands_are_accepted(codec, tag):
    fields = {"type": tag, "requestId": "r"}
    assert codec.decode_before_session(encode(fields)).request_id == "r"
    with pytest.raises(ValidationError) as caught:
        codec.decode_before_session(encode(fields, requestId=5))
    assert caught.value.field == "requestId"
    with pytest.raises(ValidationError):
        codec.decode_before_session(encode(fields, unknown="\0"))


@pytest.mark.parametrize("token", [None, 5, [], {}, "", True, 1.5])
def test_whatever_the_token_is_decides_the_check_of_tokens(codec, token):
    command = codec.decode_before_session(encode({"type": "authenticate", "token": token}))
    assert command == Authenticate(token=token)
