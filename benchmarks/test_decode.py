"""From the payload of a frame to a command, on the fast and on the slow path."""

import json

import msgspec
import pytest

from fastchat.errors import CommandError
from fastchat.protocol.codec import BACKSLASH, Codec
from fastchat.protocol.command import Bounds
from fastchat.protocol.commands import SendPrivateMessage

SEND = {
    "type": "send_private_message",
    "recipientId": "1002",
    "content": "x" * 200,
    "conversationId": "conv_1001_1002",
    "clientMessageId": "5b0c2c0e-7f0c-4b8e-9c3f-0a9d5d0f6a11",
}
VALID = {
    "fast": SEND,
    "fast_escaped": {**SEND, "content": 'a "quoted" word\n' * 12},
    "slow_number_as_id": {**SEND, "recipientId": 1002},
    "slow_other_spelling": {**SEND, "replyTo": "7-1"},
}
REFUSED = {
    "wrong_field": {**SEND, "content": 5},
    "unknown_type": {**SEND, "type": "no_such_type"},
    "nul": {**SEND, "content": "x" * 199 + "\0"},
}


def payload_of(fields):
    return json.dumps(fields, separators=(",", ":")).encode()


@pytest.fixture
def codec():
    return Codec(Bounds(message_length=10_000, group_members=500))


@pytest.mark.parametrize("name", VALID)
def test_decode_send(benchmark, codec, name):
    command = benchmark(codec.decode, payload_of(VALID[name]))
    assert isinstance(command, SendPrivateMessage)
    assert (command.recipient_id, command.content) == ("1002", VALID[name]["content"])


def test_decode_send_without_the_codec(benchmark):
    """What of it is msgspec's."""
    decode = msgspec.json.Decoder(SendPrivateMessage).decode
    assert benchmark(decode, payload_of(SEND)).content == SEND["content"]


@pytest.mark.parametrize("name", REFUSED)
def test_refuse_send(benchmark, codec, name):
    payload = payload_of(REFUSED[name])

    def refuse():
        try:
            codec.decode(payload)
        except CommandError as error:
            return error.code

    assert benchmark(refuse) in {"VALIDATION_ERROR", "UNKNOWN_TYPE"}


@pytest.mark.parametrize("needle", [BACKSLASH, b"\\"], ids=["number", "bytes"])
def test_look_for_a_backslash(benchmark, needle):
    """Why the codec asks for a number."""
    assert benchmark(payload_of(SEND).__contains__, needle) is False
