"""The Python client against the real server, over a wire that is cut, silent, or lies."""

import asyncio
import json
import time

import pytest

from fastchat.client import (
    CaughtUp,
    Client,
    ClientClosed,
    CommandFailed,
    ConnectionLost,
    LeftGroup,
    MessageTooBig,
    OutboxFull,
    Resync,
    SendDelayed,
    State,
    StateChanged,
)
from fastchat.protocol.message_types import MessageEdited, NewPrivateMessage
from fastchat.protocol.system_types import AuthError, Welcome
from tests.functional.chat.hearing import BOUND, Heard, joined
from tests.functional.chat.talking import contents, run_sql, say, say_id
from tests.functional.chat.wire import Wire

ROOM = "conv_1_2"
BINARY_FRAME = b"\x82\x81\x00\x00\x00\x00x"  # masked with zeros
BAD_TEXT_FRAME = b"\x81\x81\x00\x00\x00\x00\xff"
RESERVED_FRAME = b"\x8b\x80\x00\x00\x00\x00"
COMING = [State.CONNECTING, State.AUTHENTICATING, State.SYNCING, State.ONLINE]


@pytest.fixture
async def wire(quick):
    async with Wire(quick.server.port) as wire:
        yield wire


async def test_a_client_comes_from_the_address_it_was_told(quick):
    async with joined(quick, 1, quick.url, local_address="127.3.4.5") as (_, heard):
        (connection,) = quick.server.hub.open_connections("1")
        assert connection.remote_ip == "127.3.4.5"
        kinds = [type(event) for event in heard.events]
        assert kinds.index(StateChanged) < kinds.index(Welcome)
        assert [change.state for change in heard.of(StateChanged)] == COMING


async def test_two_clients_chat(quick):
    async with (
        joined(quick, 1, quick.url) as (alice, _),
        joined(quick, 2, quick.url) as (bob, heard),
    ):
        sent = await alice.send_private_message("2", "hello")
        assert (sent.message.content, sent.message.seq) == ("hello", 1)
        event = await heard.first(NewPrivateMessage)
        assert event.message_id == sent.message_id
        await bob.mark_message_read(sent.message_id)
        await alice.edit_message(sent.message_id, "hello!")
        assert (await heard.first(MessageEdited)).message.content == "hello!"
        page = await bob.get_private_messages(ROOM)
        assert [(one.content, one.is_read) for one in page.messages] == [("hello!", True)]
        assert alice.user.username == "user1"


async def test_goes_through_its_states_in_order(quick):
    async with joined(quick, 1, quick.url) as (_, heard):
        pass
    assert [change.state for change in heard.of(StateChanged)] == [*COMING, State.CLOSED]


async def test_a_refused_command_says_why(quick):
    async with joined(quick, 1, quick.url) as (alice, _):
        with pytest.raises(CommandFailed) as caught:
            await alice.start_conversation("nobody")
        assert caught.value.code == "RESOURCE_NOT_FOUND"
        with pytest.raises(CommandFailed) as caught:
            await alice.send_private_message("2", " ")
        assert (caught.value.code, caught.value.field) == ("VALIDATION_ERROR", "content")
        assert alice.waiting == 0


async def test_a_stream_has_the_events_of_its_types_and_ends_with_the_client(quick):
    bob = await quick.join(2)
    async with joined(quick, 1, quick.url) as (alice, heard):
        stream = alice.events(NewPrivateMessage)
        await say(bob, "1", "a")
        await say(bob, "1", "b")
        await heard.until(lambda: len(heard.contents) == 2)
    assert [event.message.content async for event in stream] == ["a", "b"]


async def test_many_messages_are_stored_in_their_order(quick):
    async with joined(quick, 1, quick.url) as (alice, _):
        sent = [alice.send_private_message("2", str(number)) for number in range(50)]
        answers = await asyncio.gather(*sent)
    assert [answer.message.seq for answer in answers] == list(range(1, 51))


async def test_is_told_what_it_missed_once_and_before_what_is_new(quick, wire):
    bob = await quick.join(2)
    async with joined(quick, 1, wire.url) as (_, heard):
        await say(bob, "1", "live")
        await heard.until(lambda: heard.contents == ["live"])
        wire.is_closed = True
        wire.cut()
        await heard.state(State.WAITING)
        missed = await say_id(bob, "1", "missed")
        await bob.request(type="edit_message", messageId=missed, content="edited")
        wire.is_closed = False
        await heard.state(State.ONLINE, times=2)
        await say(bob, "1", "new")
        await heard.until(lambda: heard.contents == ["live", "edited", "new"])
        (caught_up,) = heard.of(CaughtUp)
        assert (caught_up.news.seq, caught_up.news.rev) == (2, 3)
        assert heard.of(Resync) == []


async def test_is_told_of_changes_to_what_it_knew(quick, wire):
    bob = await quick.join(2)
    first = await say_id(bob, "1", "first")
    async with joined(quick, 1, wire.url) as (_, heard):
        wire.is_closed = True
        wire.cut()
        await heard.state(State.WAITING)
        await bob.request(type="edit_message", messageId=first, content="edited")
        wire.is_closed = False
        await heard.state(State.ONLINE, times=2)
        _, caught_up = heard.of(CaughtUp)  # the first time with what there was
        assert [one["content"] for one in caught_up.news.changed] == ["edited"]
        # The same waited for the user, too; it is told once.
        assert heard.of(MessageEdited) == []


async def test_says_when_the_history_is_to_be_read_again(quick, wire):
    bob = await quick.join(2)
    async with joined(quick, 1, wire.url) as (alice, heard):
        await say(bob, "1", "known")
        await heard.until(lambda: heard.contents == ["known"])
        wire.is_closed = True
        wire.cut()
        await heard.state(State.WAITING)
        for number in range(201):
            await bob.send(type="send_private_message", recipientId="1", content=str(number))
        for _ in range(201):
            await bob.expect("message_sent")
        wire.is_closed = False
        (resync,) = [await heard.first(Resync)]
        assert resync.news.conversation_id == ROOM
        assert heard.contents == ["known"]
        page = await alice.get_private_messages(ROOM, after=1)
        assert page.messages[0].content == "0"
        await heard.state(State.ONLINE, times=2)
        # It is known now how far it goes.
        wire.cut()
        await heard.state(State.ONLINE, times=3)
        assert len(heard.of(Resync)) == 1


async def test_goes_on_where_an_earlier_client_has_stopped(quick):
    bob = await quick.join(2)
    await say(bob, "1", "old")
    async with joined(quick, 1, quick.url) as (alice, heard):
        await say(bob, "1", "known")
        await heard.until(lambda: heard.contents == ["known"])
        saved = json.loads(json.dumps(alice.positions))
    await say(bob, "1", "missed")
    async with joined(quick, 1, quick.url, positions=saved) as (_, heard):
        assert heard.contents == ["missed"]
    async with joined(quick, 1, quick.url) as (_, heard):
        assert heard.contents == []


async def test_the_first_catching_up_brings_every_conversation(quick):
    bob = await quick.join(2)
    for text in "ab":
        await say(bob, "1", text)
    for options, complete, expected in [({}, True, ["a", "b"]), ({"first_limit": 1}, False, ["b"])]:
        async with joined(quick, 1, quick.url, **options) as (_, heard):
            (caught_up,) = heard.of(CaughtUp)
            assert [message.content for message in caught_up.news.messages] == expected
            assert (caught_up.news.complete, caught_up.news.unread_count) == (complete, 2)
            assert heard.of(Resync) == []


async def test_positions_that_the_server_cannot_read_are_forgotten(quick):
    positions = {"conversations": {"conv_1_2": {"seq": -1, "rev": 1}}, "state": None}
    async with joined(quick, 1, quick.url, positions=positions) as (alice, _):
        assert alice.positions["conversations"] == {}


async def test_where_the_history_was_not_known_it_need_not_be_read_again(quick, wire):
    bob = await quick.join(2)
    async with joined(quick, 1, wire.url, sync_limit=1) as (_, heard):
        wire.is_closed = True
        wire.cut()
        await heard.state(State.WAITING)
        for text in "ab":
            await say(bob, "1", text)
        wire.is_closed = False
        await heard.state(State.ONLINE, times=2)
        (caught_up,) = heard.of(CaughtUp)
        assert not caught_up.news.complete
        assert [message.content for message in caught_up.news.messages] == ["b"]
        assert heard.of(Resync) == []


async def test_closing_rejects_what_waits_for_an_answer(quick, wire):
    async with joined(quick, 1, wire.url) as (alice, _):
        wire.is_frozen = True
        asked = asyncio.create_task(alice.ping())
        sent = alice.send_private_message("2", "a")
        await asyncio.sleep(0)  # the command is on its way
        await alice.close()
        for one in (asked, sent):
            with pytest.raises(ClientClosed):
                await one


async def test_asks_for_what_is_missing_on_a_live_connection_too(quick):
    bob = await quick.join(2)
    created = await bob.request(type="create_group", groupName="g")
    group_id = created["group"]["groupId"]
    await bob.request(type="send_group_message", groupId=group_id, content="before")
    async with joined(quick, 1, quick.url) as (_, heard):
        # The client hears of the group when it is at its third change.
        await bob.request(type="add_group_member", groupId=group_id, userId="1")
        caught_up = await heard.first(CaughtUp)
        assert caught_up.news.conversation_id == group_id
        assert heard.of(Resync) == []
        assert [change.state for change in heard.of(StateChanged)][-1] is State.ONLINE


async def test_is_told_that_it_is_no_longer_in_a_group(quick, wire):
    bob = await quick.join(2)
    created = await bob.request(type="create_group", groupName="g", initialMembers=["1"])
    group_id = created["group"]["groupId"]
    async with joined(quick, 1, wire.url) as (_, heard):
        wire.is_closed = True
        wire.cut()
        await heard.state(State.WAITING)
        await bob.request(type="remove_group_member", groupId=group_id, userId="1")
        wire.is_closed = False
        assert (await heard.first(LeftGroup)).group_id == group_id
        await heard.state(State.ONLINE, times=2)


async def test_a_message_whose_answer_was_lost_is_stored_once(quick, wire):
    bob = await quick.join(2)
    async with joined(quick, 1, wire.url) as (alice, _):
        wire.lose = b"message_sent"
        first = alice.send_private_message("2", "a")
        second = alice.send_private_message("2", "b")
        answers = await asyncio.gather(first, second)
        assert [answer.message.seq for answer in answers] == [1, 2]
        assert wire.connections == 2
        assert await contents(bob, "1") == ["a", "b"]


async def test_what_was_written_without_a_connection_is_sent_with_the_next(quick, wire):
    async with joined(quick, 1, wire.url, most_waiting=2) as (alice, heard):
        wire.is_closed = True
        wire.cut()
        await heard.state(State.WAITING)
        sent = [alice.send_private_message("2", text) for text in "ab"]
        with pytest.raises(OutboxFull):
            alice.send_private_message("2", "c")
        wire.is_closed = False
        assert [(await one).message.content for one in sent] == ["a", "b"]
        assert alice.waiting == 0
        await alice.drained()


async def test_a_command_whose_answer_was_lost_says_so(quick, wire):
    async with joined(quick, 1, wire.url) as (alice, _):
        wire.lose = b"online_users"
        with pytest.raises(ConnectionLost):
            await alice.get_online_users()
        assert (await alice.get_online_users()).users == []


async def test_a_server_that_was_killed_is_found_again(start_chat):
    first = await start_chat(EVENT_DELIVERY_DELAY="0")
    async with Wire(first.server.port) as wire, joined(first, 1, wire.url) as (alice, heard):
        await alice.send_private_message("2", "a")
        wire.is_closed = True
        wire.cut()
        sent = alice.send_private_message("2", "b")
        second = await start_chat(EVENT_DELIVERY_DELAY="0")
        wire.port = second.server.port
        wire.is_closed = False
        assert (await sent).message.seq == 2
        assert heard.of(Resync) == []


async def test_a_connection_that_is_half_open_is_given_up(quick, wire):
    options = {"heartbeat": 0.3, "pong_timeout": 0.3}
    async with joined(quick, 1, wire.url, **options) as (alice, heard):
        wire.is_frozen = True
        change = await heard.state(State.WAITING)
        assert change.close_code == 1006
        assert "ping" in change.reason
        wire.is_frozen = False
        await alice.ping()
        assert wire.connections >= 2


async def test_can_be_closed_while_it_connects(quick, wire):
    wire.is_frozen = True
    client = Client(wire.url, lambda: quick.token(1))
    heard = Heard(client)
    async with client:
        async with asyncio.timeout(BOUND):
            while not wire.connections:
                await asyncio.sleep(0.01)
        assert heard.of(StateChanged)[-1].state is State.CONNECTING
    assert client.state is State.CLOSED
    # The handshake that went on ends without anybody who hears of it.
    wire.is_frozen = False


async def test_can_be_closed_while_it_catches_up(quick, wire):
    client = Client(wire.url, lambda: quick.token(1))

    def freeze(change):
        wire.is_frozen = change.state is State.SYNCING

    client.on(StateChanged, freeze)
    heard = Heard(client)
    async with client:
        await heard.state(State.SYNCING)
    assert client.state is State.CLOSED


async def test_a_server_that_does_not_answer_is_given_up(quick, wire):
    async with joined(quick, 1, wire.url, answer_timeout=0.3) as (alice, heard):
        wire.is_frozen = True
        sent = alice.send_private_message("2", "a")
        assert (await heard.state(State.WAITING)).reason == "the server does not answer"
        wire.is_frozen = False
        assert (await sent).message.seq == 1


async def test_waits_as_long_as_a_draining_server_asks(start_chat):
    chat = await start_chat()
    async with joined(chat, 1, chat.url, delay=lambda attempt: 77.0) as (_, heard):
        await chat.stop()
        change = await heard.state(State.WAITING)
        assert change.close_code == 1001
        assert change.retry_in < 77.0


async def test_a_session_is_extended_before_its_token_ends(quick):
    asked = []

    def get_token():
        asked.append(time.time())
        return quick.token(1, expires_in=2.0 if len(asked) == 1 else 3600.0)

    async with joined(quick, 1, quick.url, get_token=get_token) as (alice, heard):
        async with asyncio.timeout(BOUND):
            # The session would be over by then: ends are whole seconds.
            while time.time() < asked[0] + 3.0:
                await alice.ping()
                await asyncio.sleep(0.1)
        assert len(asked) == 2
        assert heard.of(AuthError) == []
        assert [one.state for one in heard.of(StateChanged)].count(State.ONLINE) == 1


async def test_after_the_session_was_revoked_comes_back_with_another_token(start_chat):
    chat = await start_chat(REVOCATION_CHECK_INTERVAL="50")
    tokens = iter(["first", "second"])

    async def get_token():
        return chat.token(1, jti=next(tokens))

    async with joined(chat, 1, chat.url, get_token=get_token) as (alice, heard):
        await run_sql(chat, "INSERT INTO jwt_revocation VALUES ('first')")
        assert (await heard.first(AuthError)).code == "SESSION_REVOKED"
        await heard.state(State.ONLINE, times=2)
        await alice.ping()


async def test_ends_when_there_is_no_other_token_than_the_one_that_was_refused(quick):
    token = quick.token("nobody")
    client = Client(quick.url, lambda: token)
    async with client:
        with pytest.raises(ClientClosed, match="Nobody knows the user"):
            await client.online()
        with pytest.raises(ClientClosed):
            client.send_private_message("2", "a")


async def test_tries_a_new_token_when_one_is_refused(quick):
    tokens = iter([quick.token("nobody"), quick.token(1)])
    async with joined(quick, 1, quick.url, get_token=lambda: next(tokens)) as (alice, _):
        assert alice.user.user_id == "1"


async def test_a_source_of_tokens_in_trouble_is_asked_again(quick):
    # The third is asked for when the server has refused the second.
    refused = quick.token("nobody")
    answers = iter([RuntimeError("secret"), refused, RuntimeError("secret"), quick.token(1)])

    def get_token():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with joined(quick, 1, quick.url, get_token=get_token) as (_, heard):
        for change in [await heard.state(State.WAITING, times) for times in (1, 2)]:
            assert change.reason == "no token: RuntimeError"


@pytest.mark.parametrize("frame", [BINARY_FRAME, BAD_TEXT_FRAME, RESERVED_FRAME])
async def test_a_final_close_code_ends_the_client(quick, wire, frame):
    async with joined(quick, 1, wire.url) as (alice, heard):
        sent = alice.send_private_message("2", "a")
        await sent
        wire.inject(frame)
        change = await heard.state(State.CLOSED)
        assert change.reason
        with pytest.raises(ClientClosed):
            await alice.ping()
    assert wire.connections == 1


async def test_waits_half_a_minute_where_the_address_is_at_its_limit(start_chat):
    chat = await start_chat(MAX_CONNECTIONS_PER_IP="1")
    await chat.guest()
    async with Client(chat.url, lambda: chat.token(1), delay=lambda attempt: 1.5) as client:
        change = await Heard(client).state(State.WAITING)
        assert (change.close_code, change.reason) == (1008, "Connection limit exceeded")
        assert change.retry_in == 31.5


async def test_comes_back_to_a_server_that_was_full(start_chat):
    chat = await start_chat(MAX_CONNECTIONS="1")
    guest = await chat.guest()
    client = Client(chat.url, lambda: chat.token(1), delay=lambda attempt: 0.02)
    heard = Heard(client)
    async with client:
        assert (await heard.state(State.WAITING)).close_code == 1013
        await guest.close()
        async with asyncio.timeout(BOUND):
            await client.online()


async def test_a_message_that_is_too_big_is_not_sent_again(start_chat):
    chat = await start_chat(MAX_PAYLOAD_SIZE="2048")
    async with joined(chat, 1, chat.url) as (alice, heard):
        big = alice.send_private_message("2", "x" * 3000)
        small = alice.send_private_message("3", "y")
        with pytest.raises(MessageTooBig):
            await big
        assert (await heard.state(State.WAITING)).close_code == 1009
        assert (await small).message.content == "y"


async def test_sends_again_when_the_limit_allows(start_chat):
    chat = await start_chat(MESSAGE_RATE_LIMIT="2")
    async with joined(chat, 1, chat.url) as (alice, heard):
        await asyncio.gather(*(alice.send_private_message("2", text) for text in "ab"))
        late = alice.send_private_message("2", "c")
        delayed = await heard.first(SendDelayed)
        assert delayed.code == "RATE_LIMIT_EXCEEDED"
        assert 1.0 <= delayed.retry_in <= 60.0
        assert (alice.waiting, late.done()) == (1, False)
    with pytest.raises(ClientClosed):
        await late


async def test_a_url_that_is_none_is_final_and_one_where_nobody_listens_is_not(start_chat):
    chat = await start_chat()
    async with Client("ws://127.0.0.1:1", lambda: chat.token(1)) as client:
        change = await Heard(client).state(State.WAITING)
        assert change.close_code == 1006
    async with Client("http://127.0.0.1", lambda: chat.token(1)) as client:
        with pytest.raises(ClientClosed, match="expected a ws:// or wss:// URL"):
            await client.online()
