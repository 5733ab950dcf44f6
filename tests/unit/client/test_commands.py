"""There is a method for every command, and what waits is sent in order."""

import pytest

from fastchat.client import Client, ClientClosed, OutboxFull, SendDelayed
from fastchat.client.exchange import Exchange, encode
from fastchat.client.outbox import Outbox
from fastchat.client.sending import Sending
from fastchat.protocol.command import type_of
from fastchat.protocol.commands import COMMANDS, EditMessage, SendPrivateMessage
from fastchat.protocol.message_types import MessageSent
from fastchat.protocol.system_types import Error

BY_ITSELF = {"authenticate", "ack_events", "sync"}


def test_every_command_has_a_method_but_those_that_the_client_sends_by_itself():
    missing = {type_of(command) for command in COMMANDS if not hasattr(Client, type_of(command))}
    assert missing == BY_ITSELF


def test_what_was_left_out_is_not_sent():
    command = EditMessage(message_id="7-1", content="x")
    assert encode(command, "r") == (
        b'{"type":"edit_message","messageId":"7-1","content":"x","requestId":"r"}'
    )


def test_a_pong_cannot_take_longer_than_the_next_ping():
    with pytest.raises(ValueError, match="pong_timeout 2: expected at most 1"):
        Client("ws://x", lambda: "t", heartbeat=1.0, pong_timeout=2.0)


async def test_a_client_that_was_closed_before_it_began_sends_nothing():
    client = Client("ws://x", lambda: "t")
    await client.close()
    with pytest.raises(ClientClosed):
        await client.ping()
    with pytest.raises(ClientClosed):
        client.send_private_message("2", "a")


def add(outbox, name, room="a"):
    command = SendPrivateMessage(recipient_id=room, content=name)
    return outbox.add(command, name, room, MessageSent)


async def test_one_message_of_each_room_is_in_flight_at_a_time():
    outbox = Outbox()
    first, second, other = add(outbox, "1"), add(outbox, "2"), add(outbox, "3", room="b")
    assert outbox.due() == [first, other]
    assert outbox.due() == []
    outbox.take(first)
    assert outbox.due() == [second]
    outbox.land()
    assert outbox.due() == [second, other]


async def test_a_message_that_nobody_wants_any_more_is_not_sent():
    outbox = Outbox()
    first, second = add(outbox, "1"), add(outbox, "2")
    first.stored.cancel()
    assert outbox.due() == [second]
    assert len(outbox) == 1


async def test_an_outbox_is_bounded_and_has_each_id_once():
    outbox = Outbox(most=2)
    add(outbox, "1")
    with pytest.raises(ValueError, match="waits already"):
        add(outbox, "1")
    add(outbox, "2")
    with pytest.raises(OutboxFull):
        add(outbox, "3")


@pytest.mark.parametrize("code", ["AUTH_REQUIRED", "RATE_LIMIT_EXCEEDED", "SERVICE_UNAVAILABLE"])
async def test_what_may_be_stored_later_is_kept(code):
    told = []
    sending = Sending(Outbox(), Exchange(1.0), told.append)
    command = SendPrivateMessage(recipient_id="2", content="a", client_message_id="1")
    stored = sending.post(command, "a", MessageSent)
    refusal = Error(code=code, message="no", details="not now", request_id="1", retry_after=3)
    assert sending.take_refusal(refusal)
    assert told == [SendDelayed("1", code, "not now", 3.0)]
    assert (len(sending.outbox), stored.done()) == (1, False)
    sending.close(ClientClosed("closed"))
    with pytest.raises(ClientClosed):
        await stored
