"""The checker finds what is planted in a right history, and nothing in a right one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.checker import Checker, Kind
from tests.faults.history import NEVER, Acked, Login, Read, Received, Sent, Stored
from tests.faults.worlds import GROUP, GUEST, PAIR, World, happen


@given(st.data())
def test_right_histories_have_no_violation(data):
    world, checker = World(), Checker()
    for _ in range(3):
        happen(world, data)
        assert world.check(checker) == []


@pytest.fixture
def world():
    """Messages in both rooms, one of them read after an absence; the guest came and went."""
    world = World()
    for answered in (True, True, False):
        world.send("a1", PAIR, answered)
        world.send("a1", GROUP, answered)
        world.send("c1", GROUP, answered)
    world.leave("b1")
    world.send("a1", PAIR, True)
    world.send("a1", GROUP, True)
    world.settle()
    world.move_guest()
    world.send("a1", GROUP, True)
    world.send("a1", GROUP, True)
    world.move_guest()
    world.send("a1", GROUP, True)
    world.send("a1", GROUP, True)
    return world


def kinds(world):
    return {violation.kind for violation in world.check(Checker())}


def test_the_history_that_things_are_planted_in_is_right(world):
    assert kinds(world) == set()


def places(world, device, kind, room):
    """Where in the history of a device events of a kind and room are."""
    events = world.devices[device].events
    return [
        index
        for index, event in enumerate(events)
        if isinstance(event, kind) and event.room == room
    ]


@pytest.mark.parametrize("room", [PAIR, GROUP])
@pytest.mark.parametrize(
    ("device", "kind"), [("b1", Received), ("b1", Read), ("a2", Received)], ids=str
)
def test_finds_what_never_came(world, room, device, kind):
    events = world.devices[device].events
    del events[places(world, device, kind, room)[-1]]
    assert kinds(world) == {Kind.LOST}


def test_finds_what_a_guest_missed_who_is_still_there(world):
    world.move_guest()
    world.send("a1", GROUP, True)
    world.send("a1", GROUP, True)
    events = world.devices["guest1"].events
    del events[places(world, "guest1", Received, GROUP)[-1]]
    assert kinds(world) == {Kind.LOST}


def test_what_a_guest_missed_who_has_left_is_no_violation(world):
    events = world.devices["guest1"].events
    del events[places(world, "guest1", Received, GROUP)[-1]]
    assert kinds(world) == set()


@pytest.mark.parametrize(("kind", "found"), [(Received, {Kind.TRESPASS}), (Read, set())])
def test_what_was_before_a_guest_came_he_may_read_but_is_not_told(world, kind, found):
    row = max(row for row in world.stored if row.room == GROUP)
    world.move_guest()
    world.note("guest1", kind, row.name, row.room, row.seq)
    assert kinds(world) == found


def test_finds_what_was_acknowledged_and_is_not_stored(world):
    # The last one: nothing else shows that it is missing, once nobody got it.
    row = max(row for row in world.stored if row.room == PAIR)
    world.stored.remove(row)
    for device in world.devices.values():
        device.events = [
            event
            for event in device.events
            if not (isinstance(event, Received | Read) and event.name == row.name)
        ]
    assert kinds(world) == {Kind.LOST}


def test_finds_what_was_never_acknowledged(world):
    events = world.devices["c1"].events
    del events[places(world, "c1", Acked, GROUP)[0]]
    assert Kind.LOST in kinds(world)


def test_finds_an_empty_position(world):
    world.stored = [
        row._replace(seq=row.seq + 1) if row.room == PAIR else row for row in world.stored
    ]
    assert Kind.LOST in kinds(world)


def test_finds_what_came_twice_over_one_connection(world):
    events = world.devices["a2"].events
    index = places(world, "a2", Received, PAIR)[-1]
    events.insert(index + 1, events[index])
    assert kinds(world) == {Kind.DUPLICATED}


def test_what_comes_again_over_another_connection_is_no_violation(world):
    events = world.devices["a2"].events
    events += [Login(world.tick()), events[places(world, "a2", Received, PAIR)[-1]]]
    assert kinds(world) == set()


def test_finds_what_is_stored_twice(world):
    row = next(row for row in world.stored if row.room == PAIR)
    top = max(row.seq for row in world.stored if row.room == PAIR)
    world.stored.append(row._replace(seq=top + 1))
    for device in ("a1", "a2", "b1"):
        world.note(device, Read, row.name, PAIR, top + 1)
    assert kinds(world) == {Kind.DUPLICATED}


def test_finds_two_acknowledgements_that_differ(world):
    ack = next(event for event in world.devices["a1"].events if isinstance(event, Acked))
    world.devices["a1"].events.append(ack._replace(seq=ack.seq + 1))
    assert kinds(world) == {Kind.DUPLICATED}


def test_finds_a_position_that_two_messages_have(world):
    row = world.stored[0]
    world.note("a1", Sent, "other", row.room)
    world.note("a1", Acked, "other", row.room, row.seq)
    world.stored.append(row._replace(name="other"))
    assert Kind.DUPLICATED in kinds(world)


@pytest.mark.parametrize("room", [PAIR, GROUP])
def test_finds_events_in_another_order(world, room):
    events = world.devices["a2"].events
    first, second = places(world, "a2", Received, room)[-2:]
    events[first], events[second] = events[second], events[first]
    assert kinds(world) == {Kind.REORDERED}


def test_finds_an_event_that_comes_after_later_ones_of_an_earlier_part(world):
    checker = Checker()
    late = world.devices["a2"].events.pop(places(world, "a2", Received, PAIR)[-2])
    world.check(checker)
    world.devices["a2"].events.append(late)
    assert [violation.kind for violation in world.check(checker)] == [Kind.REORDERED]


def test_finds_messages_that_are_not_stored_in_the_order_of_sending(world):
    events = world.devices["a1"].events
    first, second = places(world, "a1", Sent, PAIR)[:2]
    events.insert(first, events.pop(second))
    assert kinds(world) == {Kind.REORDERED}


@pytest.mark.parametrize("kind", [Received, Read])
def test_finds_a_message_that_nobody_sent(world, kind):
    world.note("b1", kind, "invented", PAIR, 99)
    assert kinds(world) == {Kind.PHANTOM}


@pytest.mark.parametrize("kind", [Received, Read])
def test_finds_a_message_in_the_place_of_another(world, kind):
    events = world.devices["b1"].events
    index = places(world, "b1", kind, PAIR)[-1]
    events[index] = events[index]._replace(name="invented")
    assert kinds(world) == {Kind.PHANTOM}


def test_finds_a_message_that_is_stored_and_that_nobody_sent(world):
    top = max(row.seq for row in world.stored if row.room == PAIR)
    world.stored.append(Stored(PAIR, top + 1, "a", "invented"))
    assert kinds(world) == {Kind.PHANTOM}


def test_finds_a_message_that_is_stored_in_the_name_of_another_user(world):
    index = next(index for index, row in enumerate(world.stored) if row.room == PAIR)
    world.stored[index] = world.stored[index]._replace(sender="b")
    assert kinds(world) == {Kind.PHANTOM}


def test_finds_an_acknowledgement_of_something_that_nobody_sent(world):
    world.note("b1", Acked, "invented", PAIR, 1)
    assert kinds(world) == {Kind.PHANTOM}


@pytest.mark.parametrize("kind", [Received, Read])
def test_finds_a_message_that_a_stranger_got(world, kind):
    row = next(row for row in world.stored if row.room == PAIR)
    world.note("c1", kind, row.name, row.room, row.seq)
    assert kinds(world) == {Kind.TRESPASS}


@pytest.mark.parametrize("kind", [Received, Read])
def test_finds_a_message_that_was_sent_after_the_receiver_had_gone(world, kind):
    row = max(row for row in world.stored if row.room == GROUP)
    world.note("guest1", kind, row.name, row.room, row.seq)
    assert kinds(world) == {Kind.TRESPASS}


def test_finds_a_message_that_came_before_the_receiver_was_asked_in(world):
    row = min(row for row in world.stored if row.room == GROUP)
    world.devices["guest1"].events.insert(1, Received(row.name, row.room, row.seq, 0.5))
    assert kinds(world) == {Kind.TRESPASS}


def test_a_message_that_was_sent_while_the_receiver_was_coming_may_come_or_not(world):
    own = world.stays[GROUP][GUEST]
    own[-1] = own[-1]._replace(since=world.now, leaving=NEVER, until=NEVER)
    del world.devices["guest1"].events[1:]
    assert kinds(world) == set()


@given(st.data())
def test_finds_any_one_event_that_is_missing(data):
    world = World()
    happen(world, data)
    told = [
        (device, index)
        for device in world.devices.values()
        for index, event in enumerate(device.events)
        if isinstance(event, Received | Read) and device.user != GUEST
    ]
    if not told:
        return
    device, index = data.draw(st.sampled_from(told))
    event = device.events.pop(index)
    is_known_otherwise = any(
        not isinstance(other, Login | Sent) and other.name == event.name for other in device.events
    )
    assert bool(kinds(world)) == (not is_known_otherwise)
