"""The spine with handlers made for the test; time is passed in."""

import asyncio
import json

import pytest

from fastchat.admission.limits import Limits
from fastchat.dispatch import MOST_AT_ONCE, Dispatcher, GuestRoute, Route
from fastchat.errors import Disconnect, ResourceNotFound
from fastchat.handlers.answers import Answers
from fastchat.interfaces import Session
from fastchat.protocol import commands
from fastchat.protocol.codec import Codec
from fastchat.protocol.command import Bounds

DEADLINE = 0.05  # seconds
TEXT = "a secret"


class FakeConnection:
    def __init__(self):
        self.client_id = "c"
        self.remote_ip = "192.0.2.1"
        self.session = None
        self.is_open = True
        self.is_reading = True
        self.events = []
        self.closed = None

    def send(self, payload):
        self.events.append(json.loads(payload))

    send_reply = send

    def close(self, code, reason):
        self.closed = (code, reason)

    def pause_reading(self):
        self.is_reading = False

    def resume_reading(self):
        self.is_reading = True


class FakeUser:
    user_id, username, display_name = "1", "user", "User"


class Spine:
    """A dispatcher whose handlers do what the test says."""

    def __init__(self, commands_per_minute=1000):
        self.answers = Answers()
        self.limits = Limits(1000, commands_per_minute)
        self.handle = self.handle_page = lambda session, command, now: b'{"type":"done"}'
        self.dispatcher = Dispatcher(
            Codec(Bounds(100, 500)),
            self.limits,
            self.answers,
            {
                commands.Ping: GuestRoute(lambda *_: b'{"type":"pong"}', is_counted=False),
                commands.Test: GuestRoute(lambda *_: b'{"type":"tested"}'),
            },
            {
                commands.GetOnlineUsers: Route(lambda *call: self.handle(*call)),
                commands.GetPrivateMessages: Route(
                    lambda *call: self.handle_page(*call), is_exclusive=True
                ),
                commands.SendPrivateMessage: Route(
                    lambda *call: self.handle(*call), length=lambda command: len(command.content)
                ),
            },
            deadline=DEADLINE,
            clock=lambda: 100.0,
        )
        self.guest = FakeConnection()
        self.connection = FakeConnection()
        windows = self.limits.open_windows("1")
        self.connection.session = Session(self.connection, FakeUser(), None, 1e12, windows)

    def receive(self, connection=None, **command):
        self.dispatcher.on_message(connection or self.connection, json.dumps(command).encode())

    def ask(self, request_id=None):
        self.receive(type="get_online_users", requestId=request_id)

    def ask_page(self, number=1):
        self.receive(type="get_private_messages", recipientId="2", requestId=str(number))


@pytest.fixture
async def spine():
    made = Spine()
    yield made
    await made.dispatcher.stop()


async def settle(spine):
    assert await spine.dispatcher.drain(5.0)


def only(connection):
    assert len(connection.events) == 1, connection.events
    return connection.events[0]


async def test_a_reply_carries_the_id_of_its_request(spine):
    spine.ask("r-1")
    assert only(spine.connection) == {"type": "done", "requestId": "r-1"}


async def test_a_handler_may_answer_later_by_itself(spine):
    spine.handle = lambda *_: None
    spine.ask()
    assert spine.connection.events == []
    assert spine.dispatcher.waiting == 0


async def test_a_coroutine_is_answered_when_it_returns(spine):
    async def work(session, command, now):
        return b'{"type":"worked"}'

    spine.handle = work
    spine.ask("r-1")
    assert spine.dispatcher.waiting == 1
    await settle(spine)
    assert only(spine.connection) == {"type": "worked", "requestId": "r-1"}


async def test_a_refusal_answers_the_command_now_or_later(spine):
    async def refuse_later(session, command, now):
        raise ResourceNotFound

    def refuse(session, command, now):
        raise ResourceNotFound

    for spine.handle in (refuse, refuse_later):
        spine.ask("r-1")
        await settle(spine)
        error = spine.connection.events.pop()
        assert (error["code"], error["requestId"]) == ("RESOURCE_NOT_FOUND", "r-1")
    assert spine.answers.errors_by_code == {"RESOURCE_NOT_FOUND": 2}


async def test_a_bug_is_answered_with_an_id_and_tells_nothing(spine, caplog):
    async def fail_later(session, command, now):
        raise KeyError(TEXT)

    def fail(session, command, now):
        raise KeyError(TEXT)

    for spine.handle in (fail, fail_later):
        caplog.clear()
        spine.ask("r-1")
        await settle(spine)
        error = spine.connection.events.pop()
        assert (error["code"], error["requestId"]) == ("INTERNAL_ERROR", "r-1")
        assert error["errorId"] in caplog.text
        assert TEXT not in json.dumps(error) + caplog.text
    assert spine.connection.closed is None


async def test_a_disconnect_closes_now_or_later(spine):
    async def leave_later(session, command, now):
        raise Disconnect("enough", 1008)

    def leave(session, command, now):
        raise Disconnect("enough", 1008)

    for spine.handle in (leave, leave_later):
        spine.connection.closed = None
        spine.ask()
        await settle(spine)
        assert spine.connection.closed == (1008, "enough")


async def test_work_that_takes_too_long_is_answered_in_time_and_goes_on(spine):
    release = asyncio.Event()

    async def work(session, command, now):
        await release.wait()
        return b'{"type":"worked"}'

    spine.handle = work
    spine.ask("r-1")
    async with asyncio.timeout(5):
        while not spine.connection.events:
            await asyncio.sleep(DEADLINE)
    error = spine.connection.events.pop()
    assert (error["code"], error["requestId"]) == ("SERVICE_UNAVAILABLE", "r-1")
    assert error["retryAfter"] >= 1
    release.set()
    await settle(spine)
    # The news, but not as the answer to what was answered already.
    assert only(spine.connection) == {"type": "worked"}


async def test_a_late_refusal_is_not_told(spine):
    release = asyncio.Event()

    async def work(session, command, now):
        await release.wait()
        raise ResourceNotFound

    spine.handle = work
    spine.ask()
    async with asyncio.timeout(5):
        while not spine.connection.events:
            await asyncio.sleep(DEADLINE)
    release.set()
    await settle(spine)
    assert only(spine.connection)["code"] == "SERVICE_UNAVAILABLE"


async def test_exclusive_commands_run_one_at_a_time_and_in_order(spine):
    running, order = [], []

    async def work(session, command, now):
        running.append(command.request_id)
        assert len(running) == 1
        await asyncio.sleep(0)
        order.append(running.pop())
        return b'{"type":"page"}'

    spine.handle_page = work
    for number in range(5):
        spine.ask_page(number)
    assert not spine.connection.is_reading
    await settle(spine)
    assert order == ["0", "1", "2", "3", "4"]
    assert spine.connection.is_reading
    assert len(spine.connection.events) == 5


async def test_a_connection_with_much_waiting_is_not_read(spine):
    release = asyncio.Event()

    async def work(session, command, now):
        await release.wait()

    spine.handle = work
    for _ in range(MOST_AT_ONCE - 1):
        spine.ask()
    assert spine.connection.is_reading
    spine.ask()
    assert not spine.connection.is_reading
    release.set()
    await settle(spine)
    assert spine.connection.is_reading


async def test_draining_tells_whether_all_was_answered(spine):
    release = asyncio.Event()

    async def work(session, command, now):
        await release.wait()

    spine.handle = work
    spine.ask()
    assert not await spine.dispatcher.drain(0.01)
    release.set()
    assert await spine.dispatcher.drain(5.0)


async def test_a_guest_may_only_do_what_needs_no_session(spine):
    spine.receive(spine.guest, type="ping")
    spine.receive(spine.guest, type="get_online_users")
    assert [event.get("code") for event in spine.guest.events] == [None, "AUTH_REQUIRED"]


async def test_guests_have_a_window_that_ends_with_the_connection():
    spine = Spine(commands_per_minute=1)
    for _ in range(2):
        spine.receive(spine.guest, type="test")
        spine.receive(spine.guest, type="ping")
    codes = [event.get("code") for event in spine.guest.events]
    assert codes == [None, None, "RATE_LIMIT_EXCEEDED", None]
    spine.dispatcher.on_close(spine.guest)
    spine.receive(spine.guest, type="test")
    assert spine.guest.events[-1] == {"type": "tested"}


async def test_messages_and_commands_count_in_windows_of_their_own():
    spine = Spine(commands_per_minute=1)
    for _ in range(3):
        spine.receive(type="send_private_message", recipientId="2", content="x")
    spine.ask()
    spine.receive(type="no_such_command", requestId="r-1")
    codes = [event.get("code") for event in spine.connection.events]
    assert codes == [None, None, None, None, "RATE_LIMIT_EXCEEDED"]
    assert spine.connection.events[-1]["requestId"] == "r-1"
