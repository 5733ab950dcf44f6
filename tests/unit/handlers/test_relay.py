"""Events of rooms on their way to other workers, and what comes from there."""

import pytest

from fastchat.broker.messages import Event, EventKind
from fastchat.handlers.ordering import RoomOrder
from fastchat.handlers.relay import LARGEST_IN_RUN, LONGEST_RUN, Relay
from fastchat.hub.directory import Directory
from fastchat.store.missed import Gap


class FakeBus:
    def __init__(self):
        self.said = []

    def last(self, peer):
        return next((message for name, message in reversed(self.said) if name == peer), None)

    def post(self, peer, message):
        self.said.append((peer, message))

    def flush(self):
        said, self.said = self.said, []
        return said


class FakeHub:
    def __init__(self):
        self.told = []

    def publish(self, user_ids, payload, skip=None):
        self.told.append((tuple(user_ids), payload))
        return 1


class NobodyMissed:
    async def first(self, room_id, after, before, age):
        return Gap(None, None)


class Forgetful:
    def forget(self, room_id):
        """Nothing is remembered."""


@pytest.fixture
async def relay():
    hub, directory = FakeHub(), Directory()
    for worker, user_id in (("b", "1"), ("b", "2"), ("c", "3")):
        directory.add(worker, user_id)
    order = RoomOrder(NobodyMissed(), None, lambda user_ids: 3600.0)
    relay = Relay(
        FakeBus(), hub, directory, order, Forgetful(), Forgetful(), is_known_by=lambda peer: True
    )
    yield relay
    await order.stop()


def tell(relay, rev, payload, *, users=("1",), room_id=7, kind=EventKind.MESSAGE, group_rev=0):
    relay.tell(users, room_id, payload, rev=rev, group_rev=group_rev, kind=kind)


def event(rev, *payloads, kind=EventKind.MESSAGE):
    return Event(7, rev, 0, kind, list(payloads), ["1"])


async def test_events_of_a_room_in_a_row_are_one_message(relay):
    for rev in (4, 5, 6):
        tell(relay, rev, b"%d" % rev)
    assert relay._bus.flush() == [("b", event(4, b"4", b"5", b"6"))]


@pytest.mark.parametrize(
    "other",
    [
        {"rev": 6},
        {"rev": 4},
        {"rev": 5, "room_id": 8},
        {"rev": 5, "users": ("1", "2")},
        {"rev": 5, "group_rev": 1},
        {"rev": 5, "kind": EventKind.CHANGE},
    ],
)
async def test_other_events_are_messages_of_their_own(relay, other):
    tell(relay, 4, b"first")
    tell(relay, payload=b"second", **other)
    assert [message.payloads for _, message in relay._bus.flush()] == [[b"first"], [b"second"]]


async def test_what_is_on_its_way_is_not_added_to(relay):
    tell(relay, 4, b"first")
    (_, sent), *_ = relay._bus.flush()
    tell(relay, 5, b"second")
    assert sent == event(4, b"first")
    assert relay._bus.flush() == [("b", event(5, b"second"))]


async def test_changes_are_not_added_to(relay):
    tell(relay, 4, b"first", kind=EventKind.CHANGE)
    tell(relay, 5, b"second", kind=EventKind.CHANGE)
    assert len(relay._bus.flush()) == 2


async def test_a_row_has_an_end(relay):
    for rev in range(1, LONGEST_RUN + 2):
        tell(relay, rev, b"x")
    assert [len(message.payloads) for _, message in relay._bus.flush()] == [LONGEST_RUN, 1]


async def test_large_events_are_messages_of_their_own(relay):
    for rev in (1, 2):
        tell(relay, rev, b"x" * (LARGEST_IN_RUN + 1))
    assert len(relay._bus.flush()) == 2


async def test_each_worker_has_rows_of_its_own(relay):
    tell(relay, 4, b"4", users=("1", "3"))
    tell(relay, 5, b"5", users=("1", "3"))
    found = {peer: message.payloads for peer, message in relay._bus.flush()}
    assert found == {"b": [b"4", b"5"], "c": [b"4", b"5"]}


def told(relay):
    return [payload for _, payload in relay._hub.told]


async def test_a_row_is_told_in_its_order(relay):
    relay.on_event("b", event(1, b"1", b"2", b"3"))
    relay.on_event("b", event(4, b"4"))
    assert told(relay) == [b"1", b"2", b"3", b"4"]
    assert relay._order.last(7) == 4


async def test_a_row_that_overtakes_waits(relay):
    relay.on_event("b", event(1, b"1"))
    relay.on_event("b", event(3, b"3", b"4"))
    assert told(relay) == [b"1"]
    assert relay._order.held == 2
    relay.on_event("c", event(2, b"2"))
    assert told(relay) == [b"1", b"2", b"3", b"4"]
    assert relay._order.held == 0


async def test_what_a_row_repeats_is_told_once(relay):
    relay.on_event("b", event(1, b"1", b"2"))
    relay.on_event("b", event(2, b"2", b"3"))
    relay.on_event("b", event(5, b"5"))
    relay.on_event("b", event(4, b"4", b"5"))
    assert told(relay) == [b"1", b"2", b"3", b"4", b"5"]
    assert relay._order.held == 0
