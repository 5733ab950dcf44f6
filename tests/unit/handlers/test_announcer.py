"""Who is told of a user who comes or goes."""

import asyncio
import json
from itertools import count, pairwise
from types import SimpleNamespace

import pytest

from fastchat._speedups.routing import RoutingTable
from fastchat.errors import ServiceUnavailable
from fastchat.handlers.announcing import RESTS, Announcer
from fastchat.protocol.events import describe_presence
from tests.strict import check_event

ALICE, BOB, CAROL, DAVE = (
    SimpleNamespace(user_id=str(number), username=name.lower(), display_name=name)
    for number, name in enumerate(("Alice", "Bob", "Carol", "Dave"), 1)
)


class FakeTable:
    """The part of the routing table that is told; one connection for each user, or more."""

    def __init__(self):
        self.rows = {}
        self.published = []
        self.times = []

    def __len__(self):
        return len(self.rows)

    def __contains__(self, user_id):
        return user_id in self.rows

    def connections(self, user_id):
        return self.rows.get(user_id, [])

    def users(self):
        return list(self.rows)

    def publish_all(self, payload, skip=None, ephemeral=False):
        self._note("all", payload, skip, ephemeral)

    def publish(self, user_ids, payload, skip=None, ephemeral=False):
        here = {user_id for user_id in user_ids if user_id in self.rows}
        if here:
            self._note(here, payload, skip, ephemeral)

    def _note(self, whom, payload, skip, ephemeral):
        assert ephemeral
        self.times.append(asyncio.get_running_loop().time())
        event = json.loads(payload)
        check_event(event)
        if event["type"] == "presence_changes":
            online, offline = ([user["id"] for user in event[name]] for name in PARTS)
            self.published.append((whom, online, offline))
        else:
            self.published.append((whom, event["type"], event["user"]["id"], skip))


PARTS = ("online", "offline")


class FakeContacts:
    """Answers when it is let."""

    def __init__(self):
        self.answers = []

    async def contacts_of(self, user_id):
        answer = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        return await answer

    def answer(self, *known):
        """Answer everything that was asked, in its order."""
        asked, self.answers = self.answers, []
        for answer, user_ids in zip(asked, known, strict=True):
            answer.set_result(user_ids)


@pytest.fixture
def audience():
    return SimpleNamespace(singly=FakeTable(), in_batches=FakeTable())


@pytest.fixture
def singly(audience):
    audience.singly.rows = {"2": ["bob's"]}
    return audience.singly


@pytest.fixture
def in_batches(audience):
    audience.in_batches.rows = {"2": ["bob's"], "3": ["carol's"], "4": ["dave's"]}
    return audience.in_batches


@pytest.fixture
def contacts():
    return FakeContacts()


@pytest.fixture
def start(audience, contacts):
    def start(scope, **bounds):
        return Announcer(audience, contacts, scope, gathering=0, **bounds)

    return start


async def turn():
    await asyncio.sleep(0.005)  # the event loop counts in milliseconds
    for _ in range(5):
        await asyncio.sleep(0)


def test_the_fake_has_what_the_routing_table_has():
    names = {name for name in vars(FakeTable) if not name.startswith("_")}
    assert all(hasattr(RoutingTable, name) for name in names)


async def test_everybody_but_the_user_himself_is_told(singly, start):
    announcer = start("all")
    singly.rows["1"] = ["his connection"]
    announcer.announce(ALICE, True)
    await turn()
    del singly.rows["1"]
    announcer.announce(ALICE, False)
    await turn()
    assert singly.published == [
        ("all", "user_online", "1", "his connection"),
        ("all", "user_offline", "1", None),
    ]


async def test_a_user_with_several_connections_hears_nothing_of_himself(singly, start):
    singly.rows["1"] = ["one", "two"]
    start("all").announce(ALICE, True)
    await turn()
    assert singly.published == [({"2"}, "user_online", "1", None)]


async def test_of_who_comes_and_goes_within_a_moment_only_the_last_is_told(
    singly, in_batches, start
):
    announcer = start("all")
    announcer.announce(ALICE, True)
    announcer.announce(CAROL, True)
    announcer.announce(ALICE, False)
    await turn()
    assert singly.published == [
        ("all", "user_offline", "1", None),
        ("all", "user_online", "3", None),
    ]
    assert in_batches.published == [("all", ["3"], ["1"])]


async def test_a_batch_is_one_frame_for_all_who_take_batches(singly, in_batches, start):
    announcer = start("all")
    announcer.announce(ALICE, True)
    announcer.announce(CAROL, False)
    announcer.announce(DAVE, True)
    await turn()
    assert in_batches.published == [("all", ["1", "4"], ["3"])]
    assert [event[1:3] for event in singly.published] == [
        ("user_online", "1"),
        ("user_offline", "3"),
        ("user_online", "4"),
    ]


async def test_nothing_is_published_where_nobody_is(audience, contacts, start):
    for scope in ("all", "contacts"):
        start(scope).announce(ALICE, True)
    await turn()
    contacts.answer({"2"})
    await turn()
    assert (audience.singly.published, audience.in_batches.published) == ([], [])


async def test_tellings_are_at_least_a_gathering_apart(audience, in_batches, contacts):
    announcer = Announcer(audience, contacts, "all", gathering=0.01)
    for number in range(200):
        announcer.announce(ALICE, number % 2 == 0)
        announcer.announce(SimpleNamespace(**vars(BOB) | {"user_id": f"b{number}"}), True)
        await asyncio.sleep(0.0005)
    await announcer.stop()
    times = in_batches.times
    assert len(times) > 2
    assert all(later - earlier >= 0.01 for earlier, later in pairwise(times))


async def test_the_more_work_a_telling_was_the_longer_it_rests(in_batches, start):
    seconds = count()
    announcer = start("all", clock=lambda: next(seconds) / 100)
    announcer.announce(ALICE, True)
    await turn()
    announcer.announce(BOB, True)
    while len(in_batches.times) < 2:
        await turn()
    first, second = in_batches.times
    assert second - first >= RESTS / 100
    await announcer.stop()


async def test_a_crowd_is_told_in_frames_that_have_a_bound(singly, in_batches, start):
    size = len(describe_presence(ALICE)) + 1
    announcer = start("all", frame_size=2 * size)
    crowd = [SimpleNamespace(**vars(ALICE) | {"user_id": str(number)}) for number in range(5)]
    for user in crowd:
        announcer.announce(user, True)
    long = SimpleNamespace(user_id="9", username="x" * 3 * size, display_name="")
    announcer.announce(long, True)
    while len(in_batches.published) < 4:
        await turn()
    assert in_batches.published == [
        ("all", ["0", "1"], []),
        ("all", ["2", "3"], []),
        ("all", ["4"], []),
        ("all", ["9"], []),
    ]
    assert len(singly.published) == 6


async def test_nobody_is_told_without_a_scope(singly, start):
    start("none").announce(ALICE, True)
    await turn()
    assert singly.published == []


async def test_each_contact_gets_one_frame_with_what_concerns_him(
    singly, in_batches, contacts, start
):
    announcer = start("contacts")
    announcer.announce(ALICE, True)
    announcer.announce(BOB, True)
    announcer.announce(CAROL, False)
    await turn()
    contacts.answer({"2", "3", "4", "away"}, {"3", "4"}, {"1", "2"})
    await turn()
    assert len(in_batches.published) == 2
    assert ({"3", "4"}, ["1", "2"], []) in in_batches.published
    assert ({"2"}, ["1"], ["3"]) in in_batches.published
    assert singly.published == [
        ({"2"}, "user_online", "1", None),
        ({"2"}, "user_offline", "3", None),
    ]


async def test_the_next_telling_waits_until_all_contacts_are_known(in_batches, contacts, start):
    announcer = start("contacts")
    announcer.announce(ALICE, True)
    await turn()
    announcer.announce(BOB, True)
    announcer.announce(CAROL, True)
    await turn()
    assert len(contacts.answers) == 1
    contacts.answer({"4"})
    await turn()
    assert len(contacts.answers) == 2
    contacts.answer({"4"}, {"4"})
    await turn()
    assert in_batches.published == [({"4"}, ["1"], []), ({"4"}, ["2", "3"], [])]


async def test_a_change_that_was_overtaken_is_left_out_and_the_later_one_told(
    in_batches, contacts, start
):
    announcer = start("contacts")
    announcer.announce(ALICE, True)
    announcer.announce(BOB, True)
    await turn()
    announcer.announce(ALICE, False)
    await turn()
    contacts.answer({"3"}, {"3"})
    await turn()
    contacts.answer({"3"})
    await turn()
    assert in_batches.published == [({"3"}, ["2"], []), ({"3"}, [], ["1"])]


async def test_without_the_database_nobody_is_told(singly, contacts, start):
    announcer = start("contacts")
    announcer.announce(ALICE, True)
    await turn()
    contacts.answers.pop().set_exception(ServiceUnavailable())
    await turn()
    assert singly.published == []
    announcer.announce(CAROL, True)
    await turn()
    contacts.answer({"2"})
    await turn()
    assert singly.published == [({"2"}, "user_online", "3", None)]


async def test_stopping_ends_what_is_under_way(contacts, start):
    announcer = start("contacts")
    announcer.announce(ALICE, True)
    await turn()
    announcer.announce(BOB, True)
    await announcer.stop()
    assert contacts.answers[0].cancelled()
    await turn()
    assert len(contacts.answers) == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}
