"""Users who chat as people do: they write, read, react, type, and now and then lose the connection.

Two neighbours (1 and 2, 3 and 4 …) write to each other, ten to a group. Reported are connect,
log-in, the time from a send to its acknowledgement and to its delivery at the other user, and what
was lost, doubled or out of order, each of which is a failure.

    make loadtest
    JWT_SECRET=… locust -f loadtests/locustfile.py --host ws://127.0.0.1:3001
"""

import contextlib
import itertools
import json
import random
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import gevent
import msgspec
import websocket
from gevent.event import AsyncResult
from locust import User, between, events, task
from locust.env import Environment
from locust.exception import StopUser

from fastchat.bench.addresses import address_of
from fastchat.bench.peer import SeenMessage
from fastchat.bench.tally import Tally
from loadtests.arguments import first_user, token

TIMEOUT = 15.0  # seconds for a connection or an answer
TRIES = 5
FAREWELL = 5.0  # seconds for what is still on its way to a user
GROUP = 10  # users in a group


class Room:
    """What the users of this process share: who sent what when, and what came."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.sent: dict[str, tuple[float, set[str]]] = {}  # by clientMessageId: when, to whom
        self.groups: dict[int, str] = {}
        self.numbers = itertools.count()
        self.prefix = f"{random.getrandbits(40):x}-"

    def deliver(self, receiver: str, name: str) -> float | None:
        """A message came to a user; return how long it took, None if that is not known."""
        began, receivers = self.sent.get(name, (0.0, set()))
        if receiver not in receivers:
            return None
        receivers.discard(receiver)
        if not receivers:
            del self.sent[name]
        return time.monotonic() - began

    def waits_for(self, receiver: str) -> bool:
        return any(receiver in receivers for _, receivers in self.sent.values())


room = Room()


class ChatUser(User):
    """One person at one device."""

    # Not constant_throughput: users who missed their turn would send in bunches.
    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        self.number = next(room.numbers)
        self.first = first_user(self.environment)
        self.user_id = str(self.first + self.number)
        self.other_id = str(self.first + (self.number ^ 1))
        self.answers: dict[str, AsyncResult] = {}
        self.last_message_id = ""
        self.is_leaving = False
        self.come_in()

    def on_stop(self) -> None:
        if self.is_leaving:
            self.enter()  # it was stopped while it was away
        end = time.monotonic() + FAREWELL
        while room.waits_for(self.user_id) and time.monotonic() < end:
            gevent.sleep(0.05)
        present.discard(self.user_id)  # what others write from now on is not waited for
        self.leave()

    @task(10)
    def write_to_the_other(self) -> None:
        answer = self.send("direct", {self.other_id}, recipientId=self.other_id)
        if answer is not None:
            self.last_message_id = answer["messageId"]

    @task(3)
    def write_to_the_group(self) -> None:
        members = self.members()
        group_id = room.groups.get(self.number // GROUP) or self.make_group(members)
        if group_id:
            self.send("group", set(members) - {self.user_id}, groupId=group_id)

    @task(3)
    def read_the_history(self) -> None:
        self.ask("history", type="get_private_messages", recipientId=self.other_id)

    @task(2)
    def react(self) -> None:
        if self.last_message_id:
            self.ask("reaction", type="add_reaction", messageId=self.last_message_id, reaction="+1")

    @task(3)
    def type_something(self) -> None:
        for is_typing in (True, False):
            self.put(type="typing", isTyping=is_typing, recipientId=self.other_id)

    @task(1)
    def lose_the_connection(self) -> None:
        self.leave()
        gevent.sleep(random.uniform(0.0, 1.0))
        self.come_in()

    def come_in(self) -> None:
        """Enter, if need be at the fifth try; each that fails is reported."""
        for _ in range(TRIES):
            if self.enter():
                return
            gevent.sleep(random.uniform(0.0, 2.0))
        raise StopUser

    def enter(self) -> bool:
        """Connect, log in, and read what was missed."""
        parts = urlsplit(self.host or "")
        address = None
        if self.environment.parsed_options.spread:
            address = (address_of(int(self.user_id)), 0)
        self.is_leaving = False
        began = time.monotonic()
        try:
            sock = socket.create_connection((parts.hostname, parts.port or 80), TIMEOUT, address)
            self.websocket = websocket.create_connection(self.host, TIMEOUT, socket=sock)
            self.websocket.recv()  # the greeting
        except (OSError, websocket.WebSocketException) as error:
            self.report("CONNECT", "connect", began, error=error)
            self.is_leaving = True
            return False
        self.report("CONNECT", "connect", began)
        self.websocket.settimeout(None)
        self.reader = gevent.spawn(self.read, self.websocket)
        if self.ask("log-in", type="authenticate", token=token(self.user_id)) is None:
            self.leave()
            return False
        if self.user_id in present:
            self.catch_up()
        present.add(self.user_id)
        return True

    def leave(self) -> None:
        # Not close(): it would read the answer, which the reader does.
        self.is_leaving = True
        with contextlib.suppress(OSError, websocket.WebSocketException):
            self.websocket.send_close()
        self.reader.join(TIMEOUT)
        self.websocket.shutdown()

    def catch_up(self) -> None:
        """Read what was missed, also in a conversation that began meanwhile."""
        known = room.tally.known(self.user_id)
        direct = [seq for name, seq in known.items() if not name.startswith("group_")]
        self.read_missed(
            max(direct, default=0), type="get_private_messages", recipientId=self.other_id
        )
        group_id = room.groups.get(self.number // GROUP)
        if group_id:
            self.read_missed(known.get(group_id, 0), type="get_group_messages", groupId=group_id)

    def read_missed(self, seq: int, **where: str) -> None:
        has_more = True
        while has_more:
            page = self.ask("what was missed", **where, after=seq, limit=200)
            if page is None:
                return
            for message in page["messages"]:
                seq = message["seq"]
                room.tally.note_missed(self.user_id, msgspec.convert(message, SeenMessage))
                room.deliver(self.user_id, message.get("clientMessageId", ""))
            has_more = page["pagination"]["hasMore"]

    def members(self) -> list[str]:
        first = self.first + self.number // GROUP * GROUP
        return [str(first + number) for number in range(GROUP)]

    def make_group(self, members: list[str]) -> str:
        """Let the first of ten make the group of all; the others wait until there is one."""
        if self.number % GROUP == 0:
            answer = self.ask(
                "group", type="create_group", groupName="load", initialMembers=members
            )
            if answer is not None:
                room.groups[self.number // GROUP] = answer["group"]["groupId"]
        return room.groups.get(self.number // GROUP, "")

    def send(self, name: str, receivers: set[str], **where: str) -> dict[str, Any] | None:
        """Send a message and wait for its acknowledgement."""
        message_name = f"{room.prefix}{next(room.numbers)}"
        # Who has not begun yet, or has gone, hears of it later or never.
        if waiting := receivers & present:
            room.sent[message_name] = time.monotonic(), waiting
        kind = "send_group_message" if "groupId" in where else "send_private_message"
        answer = self.ask(
            f"{name} ack", type=kind, content="x" * 100, clientMessageId=message_name, **where
        )
        if answer is None:
            room.sent.pop(message_name, None)
        return answer

    def ask(self, name: str, **command: Any) -> dict[str, Any] | None:
        """Send a command, wait for its answer, report the time; None when it failed."""
        request_id = f"r{next(room.numbers)}"
        self.answers[request_id] = answer = AsyncResult()
        began = time.monotonic()
        try:
            self.put(**command, requestId=request_id)
            found: dict[str, Any] = answer.get(timeout=TIMEOUT)
        except (OSError, websocket.WebSocketException, gevent.Timeout) as error:
            self.report("ASK", name, began, error=error)
            return None
        finally:
            del self.answers[request_id]
        if found["type"] in ("error", "auth_error"):
            self.report("ASK", name, began, error=RuntimeError(f"{found['code']}"))
            return None
        self.report("ASK", name, began)
        return found

    def put(self, **command: Any) -> None:
        self.websocket.send(json.dumps(command))

    def read(self, connection: websocket.WebSocket) -> None:
        """Take what comes until the end; runs beside the tasks."""
        try:
            while text := connection.recv():
                self.take(json.loads(text))
        except (OSError, websocket.WebSocketException) as error:
            if not self.is_leaving:
                self.report("CONNECT", "stay connected", time.monotonic(), error=error)

    def take(self, event: dict[str, Any]) -> None:
        answer = self.answers.get(event.get("requestId", ""))
        if event["type"].endswith("message_sent"):
            # Here and not where it is waited for: the next message may be here by then.
            room.tally.note(self.user_id, msgspec.convert(event["message"], SeenMessage))
        if answer is not None:
            answer.set(event)
        elif event["type"] in ("new_private_message", "new_group_message"):
            message = msgspec.convert(event["message"], SeenMessage)
            if room.tally.note(self.user_id, message):
                took = room.deliver(self.user_id, message.client_message_id)
                if took is not None:
                    name = "group delivery" if "groupId" in event else "direct delivery"
                    self.report("DELIVERY", name, time.monotonic() - took)

    def report(
        self, kind: str, name: str, began: float, *, error: BaseException | None = None
    ) -> None:
        self.environment.events.request.fire(
            request_type=kind,
            name=name,
            response_time=(time.monotonic() - began) * 1000,
            response_length=0,
            exception=error,
            context={},
        )


present: set[str] = set()  # users who have entered


@events.test_stop.add_listener
def judge(environment: Environment, **_: Any) -> None:
    """Count what never came among the failures."""
    figures = room.tally.report() | {"never delivered": len(room.sent)}
    print(", ".join(f"{name}: {count}" for name, count in figures.items()))
    for name, count in figures.items():
        for _number in range(count):
            environment.events.request.fire(
                request_type="CHECK",
                name=name,
                response_time=0,
                response_length=0,
                exception=AssertionError(name),
                context={},
            )
