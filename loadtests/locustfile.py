"""Users who chat as people do: they write, read, react, type, and now and then lose the connection.

Two neighbours (1 and 2, 3 and 4 …) write to each other, ten to a group, each with a client as an
application has it (``fastchat.client``), which comes back and catches up by itself. Reported are
connect, log-in, the time from a send to its acknowledgement and to its delivery at the other user,
and what was lost, doubled or out of order, each of which is a failure.

    make loadtest
    JWT_SECRET=… locust -f loadtests/locustfile.py --host ws://127.0.0.1:3001
"""

import random
from collections.abc import Coroutine
from typing import Any

import gevent
from locust import User, between, events, task
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import MasterRunner

import loadtests.ending  # noqa: F401  # it listens
from fastchat.bench.addresses import address_of
from loadtests.arguments import first_user, token
from loadtests.bridge import Bridge
from loadtests.person import Person, Room

room = Room()
bridges: list[Bridge] = []  # the one of this process, while a test runs


class ChatUser(User):
    """One person at one device."""

    # Not constant_throughput: users who missed their turn would send in bunches.
    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        number = next(room.numbers)
        first = first_user(self.environment)
        token(str(first))  # says now what is missing
        address = None
        if self.environment.parsed_options.spread:
            address = address_of(first + number)
        self.person = Person(self.host or "", number, first, room, self.report, address)
        self.come_in()

    def on_stop(self) -> None:
        self.wait_for(self.person.say_goodbye())

    @task(10)
    def write_to_the_other(self) -> None:
        self.wait_for(self.person.write_to_the_other())

    @task(3)
    def write_to_the_group(self) -> None:
        self.wait_for(self.person.write_to_the_group())

    @task(3)
    def read_the_history(self) -> None:
        self.wait_for(self.person.read_the_history())

    @task(2)
    def react(self) -> None:
        self.wait_for(self.person.react())

    @task(3)
    def type_something(self) -> None:
        self.wait_for(self.person.type_something())

    @task(1)
    def lose_the_connection(self) -> None:
        self.wait_for(self.person.leave())
        gevent.sleep(random.uniform(0.0, 1.0))
        self.come_in()

    def come_in(self) -> None:
        if not self.wait_for(self.person.enter()):
            raise StopUser

    def wait_for(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do something where the clients are, and return its result."""
        return bridges[0].ask(work)

    def report(self, kind: str, name: str, seconds: float, error: Exception | None) -> None:
        """Tell Locust how long something took; called where the clients are."""
        bridges[0].tell(self.fire, kind, name, seconds, error)

    def fire(self, kind: str, name: str, seconds: float, error: Exception | None) -> None:
        self.environment.events.request.fire(
            request_type=kind,
            name=name,
            response_time=seconds * 1000,
            response_length=0,
            exception=error,
            context={},
        )


@events.test_start.add_listener
def open_bridge(environment: Environment, **_: Any) -> None:
    """Start the event loop of the clients, before anybody asks for it."""
    if not isinstance(environment.runner, MasterRunner):  # who has none
        bridges.append(Bridge())


@events.test_stop.add_listener
def judge(environment: Environment, **_: Any) -> None:
    """Count what never came among the failures."""
    if isinstance(environment.runner, MasterRunner):
        return  # the workers do
    while bridges:
        bridges.pop().stop()
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
