"""docs/protocol.md names everything that exists, and its examples are what the code accepts."""

import inspect
import json
import re
from pathlib import Path

import msgspec
import pytest

from fastchat.auth import revocation
from fastchat.errors import AuthFailed, CommandError, RateLimited
from fastchat.protocol import (
    codes,
    conversation_events,
    events,
    group_events,
    group_message_events,
    sync_events,
)
from fastchat.protocol.codec import Codec
from fastchat.protocol.command import Bounds
from fastchat.protocol.commands import COMMANDS, TYPE_SPELLINGS
from fastchat.protocol.message_types import Message
from fastchat.store.groups import GroupInfo
from fastchat.store.memberships import Member
from tests.strict import check_event, kind_of
from tests.unit.protocol.test_events import BOB, NOW, message

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/protocol.md").read_text("utf-8")
EXAMPLES = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
TAGS = {command.__struct_config__.tag for command in COMMANDS}
MESSAGE = message(reply_to="7-1", client_message_id="c", edited_at=NOW, is_deleted=True)


CONVERSATION = conversation_events.encode_conversation(
    "conv_1_2", conversation_events.describe_participant("2", BOB), MESSAGE, 1, 3, 4
)
INFO = GroupInfo("group_1", "Friends", "of mine", "1", 50, 2, NOW)
MEMBER = group_events.describe_member(Member("2", "member", True, False, NOW), BOB)


def every_error():
    found = [CommandError]
    for error in found:
        found += error.__subclasses__()
    return found


def make_error():
    """Return an error with every field that one may have."""
    error = RateLimited("Because.", field="content", retry_after=1)
    error.code = "AUTH_REQUIRED"
    error.request_id = "r"
    return error


# One call with everything in it for each function that encodes an event.
EVENTS = {
    "encode_welcome": lambda encode: encode("c", NOW),
    "encode_connected": lambda encode: encode("c", BOB, 0, NOW),
    "encode_events_acked": lambda encode: encode(1),
    "encode_token_refreshed": lambda encode: encode(NOW),
    "encode_auth_error": lambda encode: encode(AuthFailed("Because.", retry_after=1)),
    "encode_server_draining": lambda encode: encode(1),
    "encode_error": lambda encode: encode(make_error()),
    "encode_internal_error": lambda encode: encode("e", "r"),
    "encode_server_full": lambda encode: encode(),
    "encode_pong": lambda encode: encode(NOW),
    "encode_test_response": lambda encode: encode(NOW),
    "encode_online_users": lambda encode: encode([BOB]),
    "encode_user_online": lambda encode: encode(BOB, NOW),
    "encode_user_offline": lambda encode: encode(BOB, NOW),
    "encode_presence_changes": lambda encode: encode(
        [events.describe_presence(BOB)], [events.describe_presence(BOB)], NOW
    ),
    "encode_message_sent": lambda encode: encode(MESSAGE, "7-3", "c", is_duplicate=True),
    "encode_new_private_message": lambda encode: encode(MESSAGE, "7-3", "conv_1_2"),
    "encode_messages_page": lambda encode: encode(
        "conv_1_2", [MESSAGE], limit=1, offset=0, has_more=False
    ),
    "encode_conversation_started": lambda encode: encode("conv_1_2", BOB, True, [MESSAGE]),
    "encode_message_read": lambda encode: encode("7-3", "conv_1_2", "2"),
    "encode_message_edited": lambda encode: encode("7-3", "conv_1_2", "new", NOW, 5),
    "encode_message_deleted": lambda encode: encode("7-3", "conv_1_2", 5),
    "encode_user_typing": lambda encode: encode(BOB, True, "conv_1_2"),
}
CONVERSATION_EVENTS = {
    "encode_reaction_added": lambda encode: encode("7-3", "conv_1_2", BOB, "+1", 5),
    "encode_reaction_removed": lambda encode: encode("7-3", "conv_1_2", "2", 5),
    "encode_message_pinned": lambda encode: encode("7-3", "conv_1_2", "2", 5),
    "encode_pinned_messages": lambda encode: encode("conv_1_2", [MESSAGE]),
    "encode_conversation_deleted": lambda encode: encode("conv_1_2"),
    "encode_conversations": lambda encode: encode([CONVERSATION], limit=1, has_more=False),
}
GROUP_MESSAGE_EVENTS = {
    "encode_group_message_sent": lambda encode: encode(MESSAGE, "9-3", "c", is_duplicate=True),
    "encode_new_group_message": lambda encode: encode(MESSAGE, "9-3", "group_1"),
    "encode_mentioned_in_group": lambda encode: encode(MESSAGE, "9-3", "group_1", BOB),
}
GROUP_EVENTS = {
    "encode_group_created": lambda encode: encode(INFO, [MEMBER], 1),
    "encode_group_info": lambda encode: encode(INFO),
    "encode_group_members": lambda encode: encode("group_1", [MEMBER]),
    "encode_user_groups": lambda encode: encode(
        [group_events.encode_user_group(INFO, "owner", NOW, 1)]
    ),
    "encode_member_added": lambda encode: encode("group_1", BOB, "1", 2),
    "encode_member_removed": lambda encode: encode("group_1", "2", "1", 2),
    "encode_member_left": lambda encode: encode("group_1", BOB, 2),
    "encode_ownership_transferred": lambda encode: encode("group_1", "2", "1", 2),
    "encode_member_promoted": lambda encode: encode("group_1", "2", "1", 2),
    "encode_member_demoted": lambda encode: encode("group_1", "2", "1", 2),
    "encode_member_permissions_updated": lambda encode: encode("group_1", "2", True, False, "1", 2),
    "encode_group_info_updated": lambda encode: encode(INFO, "1", 2),
    "encode_group_deleted": lambda encode: encode("group_1", "1", 2),
}
NEWS = {
    "seq": 4,
    "rev": 7,
    "messages": [MESSAGE],
    "changed": [sync_events.encode_tombstone("7-2", 2, 7)],
    "is_complete": True,
    "read_up_to": {"1": 3},
    "unread_count": 1,
    "hidden_ids": ["7-1"],
    "hidden_seq": 1,
    "is_hidden": False,
    "group": group_events.describe_group(INFO),
    "members": [MEMBER],
    "is_group": True,
}
SYNC_EVENTS = {
    "encode_sync_result": lambda encode: encode(
        [sync_events.encode_conversation_news("group_1", **NEWS)],
        [sync_events.encode_left("group_2")],
        "a.1",
        "a.1.2",
    )
}
MODULES = {
    sync_events: SYNC_EVENTS,
    group_events: GROUP_EVENTS,
    events: EVENTS,
    conversation_events: CONVERSATION_EVENTS,
    group_message_events: GROUP_MESSAGE_EVENTS,
}
UNPINNED = conversation_events.encode_message_pinned("7-3", "conv_1_2", "2", 5, is_pinned=False)
ENCODED = [
    *(
        json.loads(call(getattr(module, name)))
        for module, calls in MODULES.items()
        for name, call in calls.items()
    ),
    json.loads(UNPINNED),
    json.loads(
        group_message_events.encode_group_message_sent(MESSAGE, "9-3", is_announcement=True)
    ),
    json.loads(
        events.encode_messages_page(
            "group_1", [MESSAGE], limit=1, offset=0, has_more=False, is_group=True
        )
    ),
]


def examples_of(event_type):
    return [example for example in EXAMPLES if example.get("type") == event_type]


def encoders(module):
    return {
        name
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if name[:7] == "encode_" and function.__module__ == module.__name__
    }


def test_every_function_that_encodes_an_event_is_looked_at():
    assert encoders(events) == {*EVENTS, "encode_message"}
    assert encoders(conversation_events) == {*CONVERSATION_EVENTS, "encode_conversation"}
    assert encoders(group_message_events) == {*GROUP_MESSAGE_EVENTS}
    embedded = {"encode_conversation_news", "encode_left", "encode_tombstone"}
    assert encoders(sync_events) == {*SYNC_EVENTS, *embedded}
    assert encoders(group_events) == {*GROUP_EVENTS, "encode_user_group"}


@pytest.mark.parametrize("event", ENCODED, ids=lambda event: event["type"])
def test_every_event_has_an_example(event):
    assert any(kind_of(example) is kind_of(event) for example in examples_of(event["type"]))


@pytest.mark.parametrize("name", sorted(TAGS))
def test_every_command_has_an_example(name):
    assert examples_of(name)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example.get("type")))
def test_every_example_is_a_command_or_an_event_or_a_body(example):
    if "type" not in example:
        shapes = [{"id", "seq", "rev"}, {"status", "code", "details"}, {"status", "uptime"}]
        shapes += [{"status", "timestamp", "items"}, {"status", "timestamp", "conversations"}]
        assert any(shape <= set(example) for shape in shapes)
    elif example["type"] in TAGS | TYPE_SPELLINGS.keys():
        command = Codec(Bounds(10_000, 500)).decode(json.dumps(example).encode())
        known = {field.encode_name for field in command_fields(command)}
        known |= {"type", *command.SPELLINGS}
        assert set(example) <= known
    else:
        check_event(example)


def command_fields(command):
    return msgspec.structs.fields(command)


def test_the_example_of_a_message_is_one():
    example = next(one for one in EXAMPLES if {"id", "seq", "rev"} <= set(one))
    assert msgspec.convert(example, Message)


@pytest.mark.parametrize("spelling", sorted(TYPE_SPELLINGS))
def test_other_spellings_of_types_are_named(spelling):
    assert f"`{spelling}`" in PAGE


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_every_field_of_a_command_is_named(command):
    for field in command_fields(command):
        if field.encode_name != "token":
            assert f"`{field.encode_name}`" in PAGE
    for spelling in command.SPELLINGS:
        assert f"`{spelling}`" in PAGE


@pytest.mark.parametrize("name", sorted(json.loads(MESSAGE)))
def test_every_field_of_a_message_is_named(name):
    assert f"`{name}`" in PAGE or f'"{name}"' in PAGE


def test_the_table_of_errors_has_every_code_and_no_other():
    section = PAGE.split("\n## Errors\n")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `([A-Z_]+)` \|", section, re.MULTILINE)
    existing = {error.code for error in every_error()} | {
        AuthFailed.code,
        revocation.SESSION_EXPIRED,
        revocation.SESSION_REVOKED,
        json.loads(events.encode_server_full())["code"],
    }
    assert len(listed) == len(set(listed))
    assert set(listed) == existing


def test_the_table_of_close_codes_has_every_code_and_no_other():
    section = PAGE.split("\n### Close codes\n")[1].split("\n### ")[0]
    listed = {int(code) for code in re.findall(r"^\| (\d{4}) \|", section, re.MULTILINE)}
    assert listed == {int(code) for code in codes.CloseCode}


def test_sections_that_the_code_refers_to_exist():
    headings = {
        heading.replace("`", "") for heading in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    }
    sources = [*(ROOT / "fastchat").rglob("*.py"), *(ROOT / "fastchat").rglob("*.pyx")]
    named = {
        name
        for path in sources
        for name in re.findall(r'docs/protocol\.md, "([^"]+)"', path.read_text("utf-8"))
    }
    assert named <= headings
