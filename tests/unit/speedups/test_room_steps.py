"""How far rooms have been told, and what other workers say of them, on each twin."""

from collections import OrderedDict
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastchat import _speedups
from fastchat._speedups import room_steps_c, room_steps_py
from fastchat.broker.messages import Event, EventKind, Forget, Wake

TWINS = [room_steps_py, room_steps_c]
MESSAGE, CHANGE, MENTION = EventKind


class World:
    """Rooms 7 and 8, of which all up to 4 was told."""

    def __init__(self, twin):
        self.rooms = OrderedDict()
        for room_id in (7, 8):
            self.rooms[room_id] = twin.RoomStep()
            self.rooms[room_id].last = 4
        self.told = []
        self.followed = []
        self.noted = []
        self.passed_on = []
        self.errors = 0
        self.known = {"b"}
        self.kept = set()
        self.steps = twin.RoomSteps(self.rooms, self.publish, self.followed.append)
        self.arrivals = twin.Arrivals(
            self.steps,
            Event,
            MENTION,
            kept=[self.kept, {8}],
            note=lambda room_id, group_rev: self.noted.append((room_id, group_rev)),
            is_known_by=self.known.__contains__,
            on_other=self.pass_on,
            on_error=self.count_error,
        )

    def publish(self, user_ids, payload, skip):
        self.told.append((tuple(user_ids), payload, skip))
        return len(user_ids)

    def pass_on(self, peer, message):
        self.passed_on.append((peer, message))
        if isinstance(message, Wake):
            self.known.update(message.user_ids)
        if isinstance(message, Forget):
            raise ValueError("a bug")

    def count_error(self):
        self.errors += 1


@pytest.fixture(params=TWINS, ids=["pure", "compiled"])
def world(request):
    """Each twin in turn, so that every test states the contract for both."""
    return World(request.param)


def event(rev, *payloads, room_id=7, kind=MESSAGE, group_rev=0):
    return Event(room_id, rev, group_rev, kind, list(payloads), ["1", "2"])


def test_the_compiled_ones_are_in_use():
    assert _speedups.RoomSteps is room_steps_c.RoomSteps
    assert _speedups.Arrivals is room_steps_c.Arrivals


def test_a_new_room_knows_nothing(world):
    room = type(world.rooms[7])()
    assert (room.last, room.told_at, room.held, room.is_halted) == (None, float("-inf"), {}, False)


def test_a_step_is_noted(world):
    room = world.steps.advance(7, 5, 3, 12.5)
    assert room is world.rooms[7]
    assert (room.last, room.told_at) == (7, 12.5)
    assert list(world.rooms) == [8, 7]


@pytest.mark.parametrize(("room_id", "rev"), [(7, 4), (7, 6), (7, 0), (9, 1)])
def test_what_is_not_next_changes_nothing(world, room_id, rev):
    assert world.steps.advance(room_id, rev, 1, 12.5) is None
    assert world.steps.publish(room_id, rev, ["1"], b"x", None, 12.5) == -1
    assert world.steps.publish_run(room_id, rev, ["1"], [b"x"], 12.5) is False
    assert not world.told
    assert (list(world.rooms), world.rooms[7].last) == ([7, 8], 4)


def test_a_halted_or_unknown_room_has_no_next(world):
    world.rooms[7].is_halted = True
    world.rooms[8].last = None
    assert world.steps.advance(7, 5, 1, 0.0) is None
    assert world.steps.advance(8, 1, 1, 0.0) is None


def test_what_is_next_is_published(world):
    skip = object()
    assert world.steps.publish(7, 5, ("1", "2"), b"five", skip, 1.0) == 2
    assert world.told == [(("1", "2"), b"five", skip)]
    assert world.rooms[7].last == 5
    assert not world.followed


def test_what_is_held_follows(world):
    world.rooms[7].held[7] = ["held"]
    assert world.steps.publish(7, 5, ["1"], b"five", None, 1.0) == 1
    assert world.steps.publish_run(7, 6, ["1"], [b"six"], 1.0) is True
    assert world.followed == [world.rooms[7]] * 2


def test_events_that_arrive_in_their_turn_are_told(world):
    world.arrivals.take("b", [event(5, b"5", b"6"), event(7, b"7", kind=CHANGE)], 3.0)
    assert world.told == [(("1", "2"), payload, None) for payload in (b"5", b"6", b"7")]
    assert (world.rooms[7].last, world.rooms[7].told_at) == (7, 3.0)
    assert not world.passed_on


def test_the_rest_is_passed_on_in_its_order(world):
    messages = [event(6, b"6"), event(5, b"at", kind=MENTION), Wake(["1"]), event(5, b"5")]
    world.arrivals.take("b", messages, 3.0)
    assert world.passed_on == [("b", message) for message in messages[:3]]
    assert world.told == [(("1", "2"), b"5", None)]


def test_nothing_is_told_for_who_does_not_know_all_who_are_here(world):
    messages = [event(5, b"5"), Wake(["c"]), event(5, b"5")]
    world.arrivals.take("c", messages, 3.0)
    assert world.passed_on == [("c", message) for message in messages[:2]]
    assert world.told == [(("1", "2"), b"5", None)]


def test_what_is_remembered_of_a_room_is_dropped(world):
    world.arrivals.take("b", [event(5, b"5"), event(5, b"5", room_id=8)], 3.0)
    assert world.noted == [(8, 0)]
    world.kept.add(7)
    world.arrivals.take("b", [event(6, b"6"), event(6, b"6", room_id=8, group_rev=2)], 3.0)
    assert world.noted[1:] == [(7, 0), (8, 2)]


def test_a_bug_does_not_stop_the_next_message(world):
    world.arrivals.take("b", [Forget(7, None), event(5, b"5")], 3.0)
    assert world.errors == 1
    assert world.told == [(("1", "2"), b"5", None)]


def test_a_message_that_is_none_is_a_bug_of_its_own(world):
    broken = SimpleNamespace()
    world.arrivals.take("b", [broken, event(5, b"5")], 3.0)
    assert world.passed_on == [("b", broken)]
    assert len(world.told) == 1


STEPS = st.lists(st.tuples(st.sampled_from([7, 8, 9]), st.integers(0, 12), st.integers(1, 3)))


@given(STEPS)
def test_the_twins_take_the_same_steps(steps):
    pure, compiled = map(World, TWINS)
    for now, (room_id, rev, count) in enumerate(steps):
        for world in (pure, compiled):
            payloads = [b"%d" % (rev + index) for index in range(count)]
            message = Event(room_id, rev, 0, MESSAGE, payloads, ["1"])
            world.arrivals.take("b", [message], float(now))
    assert compiled.told == pure.told
    assert compiled.passed_on == pure.passed_on
    for room_id, room in pure.rooms.items():
        twin = compiled.rooms[room_id]
        assert (twin.last, twin.told_at) == (room.last, room.told_at)
    assert list(compiled.rooms) == list(pure.rooms)
