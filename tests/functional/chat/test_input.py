"""Whatever a client may type: a clear error with the field, or it arrives as it was sent.

The fields of all commands are read from their types, so a new command is tested by itself.
"""

import json
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
import pytest

from fastchat.protocol.command import ID_TYPES
from fastchat.protocol.commands import COMMANDS
from tests.functional.chat.talking import assert_error, contents, say

AWKWARD = (
    *("0", "-1", "null", "undefined", "NaN", "true", "__proto__", "constructor", "[object Object]"),
    *("'; DROP TABLE chat_messages; --", "' OR 1=1 --", "$1", "%s %n %d", "{0}", "${7*7}", "{{x}}"),
    *("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&lt;b&gt;", "javascript:1"),
    *("../../etc/passwd", "C:\\nul", "\\", "\\\\", '"', "'", "`", "\\u0041", "\\0", "\\x00"),
    *(
        "a\nb",
        "a\r\nb",
        "a\tb",
        "\x01\x02\x1b[31m",
        "\x7f",
        "a\x85\u2028\u2029b",
        "\ufeffbom",
    ),
    *(
        "é",
        "e\u0301",
        "ﬁ",
        "ẞß",
        "İi",
        "Ω≈ç√∫",
        "田中さん",
        "사회",
        "ไทย",
        "مرحبا",
        "\u202eabc",
        "\u200d",
    ),
    *("😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "1️⃣", "🇩🇪", "\U0010ffff", "\ufffe", "\ue000", "\U000e0001"),
    *("Z\u0351\u036b\u0343\u036a\u0342" * 20, "\u0e47" * 50, "ﷺ" * 20, "a" * 10_000),
    *("  leading", "trailing  ", "@everyone", "@", "#", "/me", "1e400", "9" * 400, "[" * 500),
)
DIRTY = ("\0", "a\0b", "\ud800", "a\udfff", "\ude00\ud83d")
# Of no type that any field takes, apart from booleans where one belongs.
WRONG = (1.5, True, [1], {"a": 1}, [[["x"]]], -(10**30), 10**400)
VALID: dict[str, Any] = {
    "token": "x",
    "recipientId": "2",
    "conversationId": "conv_1_2",
    "messageId": "1-1",
    "content": "text",
    "reaction": "+1",
    "isTyping": True,
    "groupId": "group_x",
    "userId": "2",
    "groupName": "name",
    "canAddMembers": True,
    "eventIds": ["1"],
    "conversations": {},
}
FREE = {"authenticate"}  # whatever is wrong with its token is an auth_error


def plain_type(annotation):
    """Return what a field takes beside None, and its bounds."""
    if isinstance(annotation, UnionType) or get_origin(annotation) is Union:
        (annotation,) = [each for each in get_args(annotation) if each is not type(None)] or [None]
    if get_origin(annotation) is Annotated:
        plain, *meta = get_args(annotation)
        return plain, meta[0]
    return annotation, None


def fields_of(command):
    """Return wire name, type and bounds of each field that a client fills in."""
    found = []
    for field in msgspec.structs.fields(command):
        plain, meta = plain_type(field.type)
        if plain in (str, int, bool):
            found.append((field.encode_name, plain, meta, field.type))
    return found


TESTED = [
    command
    for command in COMMANDS
    if command.__struct_config__.tag not in FREE and fields_of(command)
]


def base_of(command):
    """Return a command with every required field."""
    values = {"type": command.__struct_config__.tag}
    for field in msgspec.structs.fields(command):
        if field.encode_name in VALID:
            values[field.encode_name] = VALID[field.encode_name]
    return values


def is_id(annotation):
    return annotation in ID_TYPES or any(annotation == (each | None) for each in ID_TYPES)


def wrong_values(name, plain, meta, annotation):
    """Yield values that the field must refuse."""
    for value in WRONG:
        if plain is bool and value is True:
            continue
        if is_id(annotation) and type(value) is int and len(str(value)) <= meta.max_length:
            continue  # a whole number is taken as its text
        if plain is int and type(value) is int and meta is None:
            continue  # before and after: any position, though there is nothing
        if plain is int and type(value) is int and value > 0:
            continue  # too large a limit is taken as the largest
        yield value
    if plain is str:
        yield from DIRTY
        if meta is not None and meta.max_length is not None:
            yield "x" * (meta.max_length + 1)
        if (meta is not None and meta.min_length) or name in ("content", "groupName"):
            yield ""
        if name in ("content", "groupName", "reaction"):
            yield " \n\t\u2003"
    if plain is int:
        yield from ("1", "x", -1 if meta is not None else "")
    if plain is bool:
        yield from ("true", 1, 0, "")


def encode(fields):
    # Lone surrogates cannot be in UTF-8: they only ever come as escapes.
    return json.dumps(fields)


@pytest.mark.parametrize("command", TESTED, ids=lambda command: command.__struct_config__.tag)
async def test_wrong_values_are_refused_with_the_field(start_chat, command):
    chat = await start_chat(COMMAND_RATE_LIMIT="100000", MESSAGE_RATE_LIMIT="100000")
    client = await chat.join(1)
    for name, plain, meta, annotation in fields_of(command):
        values = list(wrong_values(name, plain, meta, annotation))
        assert len(values) > 3
        for value in values:
            await client.send_text(encode(base_of(command) | {name: value}))
            answer = await client.expect("error")
            answer.pop("requestId", None)
            assert_error(answer, "VALIDATION_ERROR", name)
            if isinstance(value, str) and len(value) > len("true"):
                assert value not in json.dumps(answer)
    # The connection is there, and nothing is left over.
    assert (await client.request(type="ping"))["type"] == "pong"
    assert client.unread == []


async def test_deep_and_huge_json_is_answered(chat):
    client = await chat.join(1)
    for text, code in (
        ("[" * 100_000, "INVALID_JSON"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "INVALID_JSON"),
        ('{"type":"ping","a":' + "[" * 5000 + "]" * 5000 + "}", "INVALID_JSON"),
        ("[]", "INVALID_JSON"),
        ("1" * 100_000, "INVALID_JSON"),
        ('"text"', "INVALID_JSON"),
        ("", "INVALID_JSON"),
        ("{}", "UNKNOWN_TYPE"),
        ('{"type": 5}', "UNKNOWN_TYPE"),
        ('{"type": "nothing"}', "UNKNOWN_TYPE"),
    ):
        await client.send_text(text)
        assert_error(await client.expect("error"), code)
    assert (await client.request(type="ping"))["type"] == "pong"


async def test_unknown_fields_are_ignored(chat):
    alice = await chat.join(1)
    extra = {"unknown": [1, {"a": None}], "x" * 1000: "y", "": 0, "__proto__": {"a": 1}}
    answer = await say(alice, "2", **extra)
    assert answer["type"] == "message_sent"
    assert not set(extra) & set(answer["message"])


async def test_awkward_texts_arrive_and_are_kept_as_they_were_sent(start_chat):
    chat = await start_chat(MESSAGE_RATE_LIMIT="1000")
    alice, bob = await chat.join(1), await chat.join(2)
    for text in AWKWARD:
        sent = await say(alice, "2", text)
        assert sent["type"] == "message_sent", (text, sent)
        event = await bob.expect("new_private_message")
        assert sent["message"]["content"] == event["message"]["content"] == text
    assert await contents(bob, "1", limit=200) == list(AWKWARD)


async def test_awkward_names_of_groups_arrive_and_are_kept(chat):
    alice = await chat.join(1)
    names = [text for text in AWKWARD if len(text) <= 100 and text.strip()]
    for name in names:
        answer = await alice.request(type="create_group", groupName=name, groupDescription=name)
        assert answer["group"]["groupName"] == name
    groups = (await alice.request(type="get_user_groups"))["groups"]
    assert {group["groupName"] for group in groups} == set(names)
    assert {group["groupDescription"] for group in groups} == set(names)


async def test_awkward_ids_name_nothing(start_chat):
    chat = await start_chat(MESSAGE_RATE_LIMIT="1000")
    alice = await chat.join(1)
    for text in AWKWARD:
        if not 0 < len(text) <= 64:
            continue
        for command in (
            {"type": "edit_message", "messageId": text, "content": "x"},
            {"type": "send_private_message", "recipientId": f"x{text}", "content": "x"},
            {"type": "get_private_messages", "conversationId": text},
            {"type": "send_group_message", "groupId": text, "content": "x"},
            {"type": "send_private_message", "recipientId": "2", "content": "x", "replyTo": text},
        ):
            assert_error(await alice.request(**command), "RESOURCE_NOT_FOUND")
    for text in AWKWARD:
        if 0 < len(text) <= 64:
            sent = await say(alice, "2", "x", clientMessageId=text)
            assert sent["clientMessageId"] == text
            assert (await say(alice, "2", "x", clientMessageId=text))["duplicate"] is True


async def test_neighbours_of_what_is_refused_are_stored(start_chat):
    chat = await start_chat(MESSAGE_RATE_LIMIT="1000")
    alice, bob = await chat.join(1), await chat.join(2)
    texts = []
    for number, dirty in enumerate(DIRTY * 4):
        for content in (f"before {number}", dirty, f"after {number}"):
            command = {"type": "send_private_message", "recipientId": "2", "content": content}
            await alice.send_text(encode(command))
        texts += [f"before {number}", f"after {number}"]
    for _ in DIRTY * 4:
        assert_error(await alice.expect("error"), "VALIDATION_ERROR", "content")
    for text in texts:
        assert (await bob.expect("new_private_message"))["message"]["content"] == text
    assert await contents(bob, "1", limit=200) == texts
