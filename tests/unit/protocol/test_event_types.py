"""The Structs of events are what the functions that encode them write."""

import copy
import json
from typing import get_args

import pytest

from fastchat.errors import CommandError
from fastchat.protocol import events, system_types
from fastchat.protocol.event import Reply
from fastchat.protocol.event_types import EVENTS, REPLIES
from tests.strict import check_event, kind_of
from tests.unit.protocol.test_documentation import ENCODED, TAGS, every_error
from tests.unit.protocol.test_events import message


def of_type(event_type):
    return next(event for event in ENCODED if event["type"] == event_type)


@pytest.mark.parametrize("event", ENCODED, ids=lambda event: event["type"])
def test_what_is_encoded_is_exactly_what_its_struct_says(event):
    check_event(event)


@pytest.mark.parametrize("event", ENCODED, ids=lambda event: event["type"])
def test_a_field_that_no_struct_has_is_found(event):
    with pytest.raises(AssertionError, match="unknown field"):
        check_event({**event, "surprise": 1})


def test_a_message_has_either_a_recipient_or_a_group():
    sent = copy.deepcopy(of_type("message_sent"))
    sent["message"]["groupId"] = "group_1"
    with pytest.raises(AssertionError, match="exactly one"):
        check_event(sent)


def test_a_message_deleted_for_everyone_has_a_rev_and_for_oneself_has_none():
    own = json.loads(events.encode_message_deleted("7-3", "conv_1_2", None))
    check_event(own)
    with pytest.raises(AssertionError, match="rev"):
        check_event({**own, "deleteForEveryone": True})


def test_a_mention_is_of_a_member_or_of_everyone():
    mentions = [{"type": "user", "userId": "2", "username": "bob"}, {"type": "everyone"}]
    sent = {**of_type("message_sent"), "message": json.loads(message(mentions=mentions))}
    check_event(sent)
    sent["message"]["mentions"].append({"type": "nobody"})
    with pytest.raises(AssertionError, match="nobody"):
        check_event(sent)


def test_every_command_has_its_replies_and_every_reply_its_command():
    assert set(REPLIES) >= TAGS
    answering = {reply for replies in REPLIES.values() for reply in replies}
    able = {kind for kind in EVENTS if issubclass(kind, Reply)}
    assert answering | {system_types.Error} == able


@pytest.mark.parametrize("event", ENCODED, ids=lambda event: event["type"])
def test_an_answer_may_carry_the_id_of_its_command_and_other_events_may_not(event):
    event = {name: value for name, value in event.items() if name != "requestId"}
    if issubclass(kind_of(event), Reply):
        check_event({**event, "requestId": "r"})
    else:
        with pytest.raises(AssertionError, match="requestId"):
            check_event({**event, "requestId": "r"})


def test_codes_of_errors_are_those_that_exist():
    existing = {error.code for error in every_error()} | {CommandError.code}
    full = json.loads(events.encode_server_full())["code"]
    assert set(get_args(system_types.ErrorCode)) == existing | {full}
