"""Histories in which everything is right, made up step by step."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.faults.checker import Checker, Violation
from tests.faults.history import Acked, DeviceHistory, Login, Read, Received, Sent, Stay, Stored

PAIR, GROUP = "pair", "group"
GUEST = "guest"  # comes and goes
USERS = {"a1": "a", "a2": "a", "b1": "b", "c1": "c", "guest1": GUEST}


class World:
    """A server that makes no mistake, and its clients."""

    def __init__(self) -> None:
        """Begin with everybody online and the guest in no room."""
        self.now = 0.0
        self.devices = {name: DeviceHistory(name, user) for name, user in USERS.items()}
        self.stored: list[Stored] = []
        self.stays: dict[str, dict[str, list[Stay]]] = {
            PAIR: {"a": [Stay()], "b": [Stay()]},
            GROUP: {"a": [Stay()], "b": [Stay()], "c": [Stay()], GUEST: []},
        }
        self._tops = {PAIR: 0, GROUP: 0}
        self._sent = 0
        self._missed: dict[str, list[Stored]] = {}  # by the devices that are offline
        for device in self.devices:
            self.note(device, Login)

    def tick(self) -> float:
        self.now += 1.0
        return self.now

    def note(self, device: str, kind: Callable[..., Any], *fields: object) -> None:
        self.devices[device].events.append(kind(*fields, self.tick()))

    def is_in(self, device: str, room: str) -> bool:
        return any(stay.until > self.now for stay in self.stays[room].get(USERS[device], ()))

    def send(self, device: str, room: str, is_answered: bool) -> None:
        """Send a message; without an answer the connection is lost and it is sent again."""
        if device in self._missed or not self.is_in(device, room):
            return
        self._sent += 1
        self._tops[room] += 1
        name, seq = f"message-{self._sent}", self._tops[room]
        self.note(device, Sent, name, room)
        row = Stored(room, seq, USERS[device], name)
        self.stored.append(row)
        for other in self.devices:
            if other != device and self.is_in(other, room):
                if other in self._missed:
                    self._missed[other].append(row)
                else:
                    self.note(other, Received, name, room, seq)
        if not is_answered:
            self.note(device, Login)
            self.note(device, Read, name, room, seq)
            self.note(device, Sent, name, room)
        self.note(device, Acked, name, room, seq)

    def leave(self, device: str) -> None:
        """Lose the connection."""
        self._missed.setdefault(device, [])

    def come_back(self, device: str) -> None:
        """Log in and catch up."""
        if device in self._missed:
            self.note(device, Login)
            for row in self._missed.pop(device):
                if self.is_in(device, row.room):
                    self.note(device, Read, row.name, row.room, row.seq)

    def move_guest(self) -> None:
        """Take the guest into the group, or out of it."""
        own = self.stays[GROUP][GUEST]
        if own and own[-1].until > self.now:
            own[-1] = own[-1]._replace(leaving=self.tick())
            own[-1] = own[-1]._replace(until=self.tick())
        else:
            own.append(Stay(self.tick(), self.tick()))

    def settle(self) -> None:
        """Bring everybody back."""
        for device in self.devices:
            self.come_back(device)

    def check(self, checker: Checker) -> list[Violation]:
        """Check what happened since the last time, and forget it."""
        found = checker.check(list(self.devices.values()), sorted(self.stored), self.stays)
        self.stored = []
        for device in self.devices.values():
            device.events = []
        return found


def steps(world: World) -> st.SearchStrategy[tuple[Any, ...]]:
    """Return what may happen next: a function and its arguments."""
    devices = st.sampled_from(list(USERS))
    answers = st.sampled_from([True, True, True, False])
    return st.one_of(
        st.tuples(st.just(world.send), devices, st.sampled_from([PAIR, GROUP]), answers),
        st.tuples(st.just(world.leave), devices),
        st.tuples(st.just(world.come_back), devices),
        st.tuples(st.just(world.move_guest)),
    )


def happen(world: World, data: st.DataObject, max_steps: int = 30) -> None:
    """Let some things happen and bring everybody back."""
    for step, *arguments in data.draw(st.lists(steps(world), max_size=max_steps)):
        step(*arguments)
    world.settle()
