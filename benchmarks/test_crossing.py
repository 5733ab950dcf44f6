"""A thousand events of rooms on their way between two workers, on each twin; divide by 1000.

What is said to another worker, and what it does with it; encoding, sockets and receivers are not in
it. ``benchmarks.instructions`` counts the whole way of a message that crosses.
"""

from collections import OrderedDict

import pytest

from fastchat._speedups import outgoing_c, outgoing_py, room_steps_c, room_steps_py
from fastchat.broker.messages import Event, EventKind

EVENTS = 1000
ROOMS = 50
PAYLOAD = b"x" * 600
PLACES = {f"{room}b": ("b",) for room in range(ROOMS)}
USERS = [(f"{room}a", f"{room}b") for room in range(ROOMS)]


@pytest.mark.parametrize("twin", [outgoing_py, outgoing_c], ids=["pure", "compiled"])
@pytest.mark.parametrize("run", [1, 4])
def test_a_thousand_events_are_told(benchmark, twin, run):
    """``run``: events of a room in a row."""
    outgoing = twin.Outgoing(lambda: None, Event, EventKind.MESSAGE)
    outgoing.open("b")
    kind = EventKind.MESSAGE

    def tell():
        tell_one = outgoing.tell
        for number in range(EVENTS):
            room = number // run % ROOMS
            tell_one(PLACES, USERS[room], room, number + 1, 0, kind, PAYLOAD)
        return outgoing.take()

    (said,) = benchmark(tell).values()
    assert len(said) == EVENTS // run
    assert sum(len(event.payloads) for event in said) == EVENTS


class Receiver:
    """A worker that was told nothing yet; ``take`` brings it the events of one turn."""

    def __init__(self, twin):
        self.told = 0
        self.rooms = OrderedDict()
        for room_id in range(ROOMS):
            self.rooms[room_id] = twin.RoomStep()
        steps = twin.RoomSteps(self.rooms, self.publish, self.fail)
        self.arrivals = twin.Arrivals(
            steps,
            Event,
            EventKind.MENTION,
            kept=[set(), set()],
            note=self.fail,
            is_known_by=lambda peer: True,
            on_other=self.fail,
            on_error=self.fail,
        )

    def publish(self, user_ids, payload, skip):
        self.told += 1
        return 1

    def fail(self, *_):
        raise AssertionError("not all events came in their turn")

    def begin_anew(self):
        for room in self.rooms.values():
            room.last = 0


@pytest.mark.parametrize("twin", [room_steps_py, room_steps_c], ids=["pure", "compiled"])
@pytest.mark.parametrize("run", [1, 4])
def test_a_thousand_events_arrive(benchmark, twin, run):
    """``run``: events of a room in one message."""
    receiver = Receiver(twin)
    each = EVENTS // ROOMS
    events = [
        Event(room_id, rev, 0, EventKind.MESSAGE, [PAYLOAD] * run, [USERS[room_id][1]])
        for rev in range(1, each + 1, run)
        for room_id in range(ROOMS)
    ]
    benchmark.pedantic(
        receiver.arrivals.take,
        args=("b", events, 1.0),
        setup=receiver.begin_anew,
        rounds=200,
        warmup_rounds=5,
    )
    assert receiver.told == 205 * EVENTS
    assert all(room.last == each for room in receiver.rooms.values())
