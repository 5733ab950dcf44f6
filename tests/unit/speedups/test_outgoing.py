"""What is to be said to other workers, on each twin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastchat import _speedups
from fastchat._speedups import outgoing_c, outgoing_py
from fastchat._speedups.outgoing_py import LARGEST_IN_RUN, LONGEST_RUN
from fastchat.broker.messages import Event, EventKind, Wake

TWINS = [outgoing_py, outgoing_c]
PLACES = {"1": ("b",), "2": ("b",), "3": ("c",), "4": ("b", "c"), "5": ("gone",)}
MESSAGE, CHANGE = EventKind.MESSAGE, EventKind.CHANGE


class Said:
    """Messages to ``b`` and ``c``; ``firsts``: how often nothing was there before."""

    def __init__(self, twin):
        self.firsts = 0
        self.outgoing = twin.Outgoing(self._count, Event, MESSAGE)
        for peer in "bc":
            self.outgoing.open(peer)

    def _count(self):
        self.firsts += 1

    def tell(self, rev, payload=b"", *, users=("1",), room_id=7, kind=MESSAGE, group_rev=0):
        self.outgoing.tell(PLACES, users, room_id, rev, group_rev, kind, payload)

    def take(self):
        return [(peer, one) for peer, said in self.outgoing.take().items() for one in said]


@pytest.fixture(params=TWINS, ids=["pure", "compiled"])
def said(request):
    """Each twin in turn, so that every test states the contract for both."""
    return Said(request.param)


def event(rev, *payloads, kind=MESSAGE):
    return Event(7, rev, 0, kind, list(payloads), ["1"])


def test_the_compiled_one_is_in_use():
    assert _speedups.Outgoing is outgoing_c.Outgoing


def test_events_of_a_room_in_a_row_are_one_message(said):
    for rev in (4, 5, 6):
        said.tell(rev, b"%d" % rev)
    assert said.outgoing.waiting == 1
    assert said.take() == [("b", event(4, b"4", b"5", b"6"))]
    assert said.firsts == 1


@pytest.mark.parametrize(
    "other",
    [
        {"rev": 6},
        {"rev": 4},
        {"rev": 5, "room_id": 8},
        {"rev": 5, "users": ("1", "2")},
        {"rev": 5, "group_rev": 1},
        {"rev": 5, "kind": CHANGE},
    ],
)
def test_other_events_are_messages_of_their_own(said, other):
    said.tell(4, b"first")
    said.tell(payload=b"second", **other)
    said.tell(rev=9, payload=b"third")
    assert [message.payloads for _, message in said.take()] == [[b"first"], [b"second"], [b"third"]]


def test_what_is_on_its_way_is_not_added_to(said):
    said.tell(4, b"first")
    ((_, sent),) = said.take()
    said.tell(5, b"second")
    assert sent == event(4, b"first")
    assert said.take() == [("b", event(5, b"second"))]
    assert said.firsts == 2


def test_something_else_in_between_ends_a_row(said):
    said.tell(4, b"4")
    said.outgoing.post("b", Wake(["2"]))
    said.tell(5, b"5")
    assert said.take() == [("b", event(4, b"4")), ("b", Wake(["2"])), ("b", event(5, b"5"))]


def test_changes_are_not_added_to(said):
    said.tell(4, b"first", kind=CHANGE)
    said.tell(5, b"second", kind=CHANGE)
    assert len(said.take()) == 2


def test_a_row_has_an_end(said):
    for rev in range(1, LONGEST_RUN + 2):
        said.tell(rev, b"x")
    assert [len(message.payloads) for _, message in said.take()] == [LONGEST_RUN, 1]


def test_large_events_are_messages_of_their_own(said):
    said.tell(1, b"x")
    said.tell(2, b"x" * LARGEST_IN_RUN)
    said.tell(3, b"x" * (LARGEST_IN_RUN + 1))
    assert [len(message.payloads) for _, message in said.take()] == [2, 1]


def test_each_worker_has_rows_of_its_own(said):
    said.tell(4, b"4", users=("1", "3"))
    said.tell(5, b"5", users=("1", "3"))
    found = {peer: message.payloads for peer, message in said.take()}
    assert found == {"b": [b"4", b"5"], "c": [b"4", b"5"]}


def test_nothing_is_said_to_who_is_not_open(said):
    said.tell(4, users=("5", "6"))
    said.outgoing.post("gone", Wake(["1"]))
    assert (said.outgoing.waiting, said.firsts) == (0, 0)
    assert said.take() == []


def test_what_was_to_be_said_is_dropped_with_the_worker(said):
    said.tell(4, users=("1", "3"))
    said.outgoing.close("b")
    said.outgoing.open("b")
    said.tell(5, users=("1",))
    assert [(peer, message.rev) for peer, message in said.take()] == [("c", 4), ("b", 5)]


EVENTS = st.tuples(
    st.lists(st.sampled_from("123456"), max_size=4, unique=True),
    st.integers(1, 2),  # room
    st.integers(1, 4),  # rev
    st.integers(0, 1),  # group_rev
    st.sampled_from([MESSAGE, CHANGE]),
)


@pytest.mark.parametrize("twin", TWINS, ids=["pure", "compiled"])
@given(st.lists(EVENTS, max_size=30))
def test_each_worker_is_told_all_that_concerns_its_users_in_its_order(twin, events):
    said = Said(twin)
    expected = {"b": [], "c": []}
    for number, (users, room_id, rev, group_rev, kind) in enumerate(events):
        payload = b"%d" % number
        said.tell(rev, payload, users=users, room_id=room_id, kind=kind, group_rev=group_rev)
        for peer, told in expected.items():
            there = [user_id for user_id in users if peer in PLACES.get(user_id, ())]
            if there:
                told.append((room_id, rev, group_rev, kind, payload, there))
    found = {"b": [], "c": []}
    for peer, message in said.take():
        for rev, payload in enumerate(message.payloads, message.rev):
            found[peer].append(
                (message.room_id, rev, message.group_rev, message.kind, payload, message.user_ids)
            )
    assert found == expected
