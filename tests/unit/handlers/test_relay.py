"""Events of rooms on their way to other workers, and what comes from there."""

import pytest

from fastchat._speedups import Outgoing
from fastchat.broker.messages import Event, EventKind
from fastchat.handlers.ordering import RoomOrder
from fastchat.handlers.relay import Relay
from fastchat.hub.directory import Directory
from fastchat.store.missed import Gap


class FakeBus:
    def __init__(self):
        self._outgoing = Outgoing(lambda: None, Event, EventKind.MESSAGE)
        self.post, self.tell = self._outgoing.post, self._outgoing.tell
        for peer in "bc":
            self._outgoing.open(peer)

    def flush(self):
        return [(peer, one) for peer, said in self._outgoing.take().items() for one in said]


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
    order = RoomOrder(hub.publish, NobodyMissed(), None, lambda user_ids: 3600.0)
    relay = Relay(
        FakeBus(), hub, directory, order, Forgetful(), Forgetful(), is_known_by=lambda peer: True
    )
    yield relay
    await order.stop()


def tell(relay, rev, payload, *, users=("1",), room_id=7, kind=EventKind.MESSAGE, group_rev=0):
    relay.tell(users, room_id, rev, group_rev, kind, payload)


def event(rev, *payloads, kind=EventKind.MESSAGE):
    return Event(7, rev, 0, kind, list(payloads), ["1"])


async def test_others_are_told_of_what_concerns_users_there(relay):
    tell(relay, 4, b"4", users=("1", "2", "5"))
    tell(relay, 5, b"5", users=("1", "3"))
    assert relay._bus.flush() == [
        ("b", Event(7, 4, 0, EventKind.MESSAGE, [b"4"], ["1", "2"])),
        ("b", event(5, b"5")),
        ("c", Event(7, 5, 0, EventKind.MESSAGE, [b"5"], ["3"])),
    ]


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
