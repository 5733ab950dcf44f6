"""Who is told of a user who comes or goes."""

import asyncio
import json
from types import SimpleNamespace

import pytest

from fastchat.errors import ServiceUnavailable
from fastchat.handlers.announcing import Announcer

ALICE = SimpleNamespace(user_id="1", username="alice", display_name="Alice")


class FakeRoutes:
    def __init__(self):
        self.own = []
        self.published = []

    def connections(self, user_id):
        return self.own

    def users(self):
        return ["1", "2"]

    def publish_all(self, payload, skip, ephemeral):
        self.published.append(("all", json.loads(payload)["type"], skip, ephemeral))

    def publish(self, user_ids, payload, ephemeral):
        self.published.append((user_ids, json.loads(payload)["type"], None, ephemeral))


class FakeContacts:
    """Answers when it is let."""

    def __init__(self):
        self.answers = []

    async def contacts_of(self, user_id):
        answer = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        return await answer


@pytest.fixture
def routes():
    return FakeRoutes()


@pytest.fixture
def contacts():
    return FakeContacts()


async def turn():
    await asyncio.sleep(0.003)  # the event loop counts in milliseconds
    for _ in range(3):
        await asyncio.sleep(0)


async def test_everybody_but_the_user_himself_is_told(routes, contacts):
    announcer = Announcer(routes, contacts, "all", gathering=0)
    routes.own = ["his connection"]
    announcer.announce(ALICE, True)
    await turn()
    routes.own = []
    announcer.announce(ALICE, False)
    await turn()
    assert routes.published == [
        ("all", "user_online", "his connection", True),
        ("all", "user_offline", None, True),
    ]


async def test_a_user_with_several_connections_hears_nothing_of_himself(routes, contacts):
    announcer = Announcer(routes, contacts, "all", gathering=0)
    routes.own = ["one", "two"]
    announcer.announce(ALICE, True)
    await turn()
    assert routes.published == [(["2"], "user_online", None, True)]


async def test_who_comes_and_goes_within_a_moment_is_not_spoken_of(routes, contacts):
    announcer = Announcer(routes, contacts, "all", gathering=0)
    bob = SimpleNamespace(user_id="2", username="bob", display_name="Bob")
    announcer.announce(ALICE, True)
    announcer.announce(bob, True)
    announcer.announce(ALICE, False)
    await turn()
    assert routes.published == [("all", "user_online", None, True)]


async def test_nobody_is_told_without_a_scope(routes, contacts):
    Announcer(routes, contacts, "none", gathering=0).announce(ALICE, True)
    await turn()
    assert routes.published == []


async def test_a_change_that_was_overtaken_is_no_news(routes, contacts):
    announcer = Announcer(routes, contacts, "contacts", gathering=0)
    for is_online in (True, False, True):
        announcer.announce(ALICE, is_online)
        await turn()
    for answer in contacts.answers:
        answer.set_result({"2"})
    await turn()
    assert routes.published == [({"2"}, "user_online", None, True)]


async def test_without_the_database_nobody_is_told(routes, contacts):
    announcer = Announcer(routes, contacts, "contacts", gathering=0)
    announcer.announce(ALICE, True)
    await turn()
    contacts.answers[0].set_exception(ServiceUnavailable())
    await turn()
    assert routes.published == []


async def test_stopping_ends_what_is_under_way(routes, contacts):
    announcer = Announcer(routes, contacts, "contacts", gathering=0)
    announcer.announce(ALICE, True)
    await turn()
    await announcer.stop()
    assert contacts.answers[0].cancelled()
    assert asyncio.all_tasks() == {asyncio.current_task()}
