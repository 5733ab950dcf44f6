"""The codec against a plain definition of the wire, field by field."""

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastchat.errors import AuthRequired, InvalidJson, UnknownType, ValidationError
from fastchat.protocol.codec import Codec
from fastchat.protocol.command import Bounds

CODEC = Codec(Bounds(message_length=20, group_members=500))
ABSENT = object()
DIRTY = re.compile("[\0\ud800-\udfff]")


def identifier(most):
    def read(value):
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and 1 <= len(value) <= most:
            return value
        raise ValueError

    return read


def whole(least=None, most=None):
    def read(value):
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError
        if least is not None and value < least:
            raise ValueError
        return value if most is None else min(value, most)

    return read


def content(value):
    if isinstance(value, str) and 1 <= len(value.strip()) <= 20:
        return value
    raise ValueError


def boolean(value):
    if isinstance(value, bool):
        return value
    raise ValueError


REQUIRED = object()
USER, MESSAGE, CONVERSATION = identifier(128), identifier(64), identifier(800)
# Wire name: how it is read, and what stands for it when it is absent.
DEFINITION = {
    "ping": {},
    "start_conversation": {"recipientId": (USER, REQUIRED)},
    "send_private_message": {
        "recipientId": (USER, REQUIRED),
        "content": (content, REQUIRED),
        "conversationId": (CONVERSATION, None),
        "replyToMessageId": (MESSAGE, None),
        "clientMessageId": (MESSAGE, None),
    },
    "get_private_messages": {
        "recipientId": (USER, REQUIRED),  # one of two; here always this one
        "conversationId": (CONVERSATION, None),
        "limit": (whole(1, 200), 50),
        "offset": (whole(0, 2**53 - 1), 0),
        "before": (whole(), None),
        "after": (whole(), None),
    },
    "edit_message": {
        "messageId": (MESSAGE, REQUIRED),
        "content": (content, REQUIRED),
        "conversationId": (CONVERSATION, None),
    },
    "delete_message": {
        "messageId": (MESSAGE, REQUIRED),
        "deleteForEveryone": (boolean, True),
    },
}
SPELLINGS = {
    "send_private_message": {"replyTo": "replyToMessageId"},
    "edit_message": {"newContent": "content"},
}


def is_dirty(value):
    if isinstance(value, str):
        return bool(DIRTY.search(value))
    if isinstance(value, dict):
        return any(is_dirty(item) for pair in value.items() for item in pair)
    return isinstance(value, list) and any(map(is_dirty, value))


def read_request_id(value):
    if isinstance(value, str) and len(value) <= 64:
        return value
    raise ValueError


def define(fields):
    """Return the values of a command by wire name, or the names of fields that may be blamed."""
    kinds = {**DEFINITION[fields["type"]], "requestId": (read_request_id, None)}
    wrong = {DIRTY.sub("\ufffd", k) for k, v in fields.items() if is_dirty(k) or is_dirty(v)}
    fields = {name: value for name, value in fields.items() if value is not None}
    for other, name in SPELLINGS.get(fields["type"], {}).items():
        if other in fields and name not in fields:
            fields[name] = fields[other]
    values = {}
    for name, (read, default) in kinds.items():
        value = fields.get(name, default)
        if value is REQUIRED:
            # Where one of two is required and both are missing, the first is blamed.
            wrong.add("conversationId" if fields["type"] == "get_private_messages" else name)
        elif name not in fields:
            values[name] = default
        else:
            try:
                values[name] = read(value)
            except ValueError:
                wrong.add(name)
    return (None, wrong) if wrong else (values, None)


def python_name(wire):
    return re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), wire)


AWKWARD = st.sampled_from(
    [
        *("", " ", "a", "hello", "0", "1-1", "\0", "a\0", "\ud800", "😀", "😀" * 20, "😀" * 21),
        *(" " * 30 + "x", '"', "\\", "\\u0000", "\x01", "\u2028"),
        *("x" * 21, "x" * 64, "x" * 65, "x" * 129),
    ]
)
TEXTS = AWKWARD | st.text(max_size=30) | st.text(st.characters(codec=None), max_size=5)
NUMBERS = (
    st.integers(-2, 300)
    | st.sampled_from([2**31, 2**53, 2**63, 2**64, -(2**63) - 1, 10**63, 10**64, 10**200])
    | st.sampled_from([0.0, 1.0, 1.5, 1e300])
)
SCALARS = TEXTS | NUMBERS | st.booleans() | st.none()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def objects(draw):
    tag = draw(st.sampled_from(sorted(DEFINITION)))
    names = [*DEFINITION[tag], *SPELLINGS.get(tag, {}), "requestId"]
    good = {"recipientId": "2", "messageId": "1-1", "content": "hello"}
    fields = {name: good[name] for name in names if name in good}
    fields |= draw(st.dictionaries(st.sampled_from(names), VALUES, max_size=3))
    fields |= draw(st.dictionaries(TEXTS | st.just("unknown"), VALUES, max_size=2))
    fields["type"] = tag
    return fields


@given(fields=objects(), is_ascii=st.booleans())
@example(fields={"type": "edit_message", "messageId": "m", "newContent": "\ud83d"}, is_ascii=True)
@example(fields={"type": "get_private_messages", "recipientId": None}, is_ascii=False)
def test_decodes_and_refuses_what_the_definition_does(fields, is_ascii):
    text = json.dumps(fields, ensure_ascii=is_ascii)
    # Surrogates cannot be in UTF-8: they only ever come as escapes.
    payload = re.sub("[\ud800-\udfff]", lambda c: f"\\u{ord(c[0]):04x}", text).encode()
    fields = json.loads(payload)  # two neighbouring halves are one character now
    values, wrong = define(fields)
    if values is not None:
        command = CODEC.decode(payload)
        assert {name: getattr(command, python_name(name)) for name in values} == values
        return
    with pytest.raises(ValidationError) as caught:
        CODEC.decode(payload)
    error = caught.value
    assert error.field in {name[:32] + "…" * (len(name) > 32) for name in wrong}
    json.dumps([error.field, error.details], ensure_ascii=False).encode()


@given(payload=st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_no_bytes_raise_anything_but_errors_for_the_client(payload):
    for decode in (CODEC.decode, CODEC.decode_before_session):
        with pytest.raises((InvalidJson, UnknownType, AuthRequired)):
            decode(payload)


@given(value=VALUES)
def test_no_value_without_a_type_of_the_first_commands_passes_before_a_session(value):
    payload = json.dumps({"type": value}).encode()
    try:
        command = CODEC.decode_before_session(payload)
    except AuthRequired:
        assert value not in ("ping", "test", "auth", "authenticate")
    else:
        assert command.request_id is None
