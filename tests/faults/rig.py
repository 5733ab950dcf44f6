"""Servers, devices that chat through them, and the history of it all.

Users write to some others and to groups; every third user has two devices, and their sockets are
spread over all workers of all hosts. After each part of a run ``settle`` waits until everything
that was sent is answered and everything stored has arrived, and has it checked.
"""

import asyncio
import random
from collections.abc import Callable

from tests.faults.checker import Checker, Kind, Violation, collect, due
from tests.faults.device import Device
from tests.faults.history import Stay, Stored
from tests.faults.load import OUTBOX, Guest, Load
from tests.faults.servers import EmbeddedServers, Servers
from tests.faults.wire import Target
from tests.functional.failure.process import POLL, token
from tests.functional.grouping import make_group

MEMBERS = 8  # of a group, the guest not counted
PARTNERS = 4  # whom a user writes to
TOKEN_LIFE = 400 * 86400.0  # seconds; longer than any step of a clock
BACK_WITHIN = 60.0  # seconds after the last fault until everybody has his answers
ARRIVED_WITHIN = 15.0  # and everything; the server promises 5 without any bus


class Rig:
    """A run.

    Attributes:
        messages: How many were sent and checked.
        late: Seconds that the last ``settle`` waited for what was on its way.
        notes: What each device looked like when something was wrong.
    """

    def __init__(
        self,
        servers: Servers | EmbeddedServers,
        *,
        users: int = 36,
        groups: int = 4,
        rate: float = 2500.0,
        seed: int = 0,
    ) -> None:
        """Take what serves, how many chat, and messages per second."""
        self.chance = random.Random(seed)
        self.servers = servers
        self.devices: list[Device] = []
        self.messages = 0
        self.late = 0.0
        self.notes: list[str] = []
        self.now = asyncio.get_running_loop().time
        self._users = [str(number) for number in range(1, users + 1)]
        self._group_count = groups
        self._rate = rate
        self._checker = Checker()
        self._stays: dict[str, dict[str, list[Stay]]] = {}
        self._tops: dict[str, int] = {}
        self._guests: list[Guest] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start everything and wait until all devices are logged in."""
        await self.servers.start()
        self._add_devices()
        self._add_pairs()
        await self._add_groups()
        for device in self.devices:
            device.start()
        problem = await wait(self._are_back, BACK_WITHIN)
        assert problem is None, problem
        self.load = Load(self.devices, self._rate, self.chance)
        self._run(self.load.run())
        for guest in self._guests:
            self._run(guest.run(random.Random(self.chance.random()), self.load.is_on))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(device.stop() for device in self.devices))
        await self.servers.stop()

    async def further(self, messages: int, patience: float = BACK_WITHIN) -> None:
        """Wait until so many more were sent."""
        goal = self.load.sent + messages
        await wait(lambda: None if self.load.sent >= goal else "too few", patience)

    async def settle(self) -> list[Violation]:
        """End a part: wait for everything, check it, forget it; return what is wrong."""
        self.load.turn_off()
        violations = []
        if problem := await wait(self._are_back, BACK_WITHIN):
            violations.append(Violation(Kind.LOST, problem))
        stored = await self.servers.database.stored(self._tops)
        await self._wait_for(stored)
        violations += self._checker.check(
            [device.history for device in self.devices], stored, self._stays
        )
        self.notes = [device.describe(stored) for device in self.devices] if violations else []
        for device in self.devices:
            violations += [Violation(Kind.PHANTOM, error) for error in device.errors]
            device.errors.clear()
            device.begin_part()
        for host in self.servers.hosts:
            host.read_log()
            violations += [
                Violation(Kind.PHANTOM, f"{str(bug)[:300]} … {str(bug)[-900:]}")
                for bug in host.bugs
            ]
            host.bugs.clear()
        for row in stored:
            self._tops[row.room] = row.seq
        for guest in self._guests:
            guest.forget()
        self.messages += len(stored)
        self.load.sent = 0
        return violations

    def write_to(self, device: Device) -> int:
        """Let everybody who can send a long message to this user; return how many did."""
        written = 0
        rooms = {target.room for target in device.targets if target.is_pair}
        for other in self.devices:
            if other.user_id != device.user_id and other.may_send and len(other.outbox) < OUTBOX:
                for target in other.targets:
                    if target.room in rooms:
                        other.send(target, is_long=True)
                        written += 1
        return written

    def _are_back(self) -> str | None:
        """Say who has not got what he waits for."""
        return next(filter(None, (device.situation for device in self.devices)), None)

    async def _wait_for(self, stored: list[Stored]) -> None:
        """Wait until all have what they must; not longer, the checker says what is missing."""
        held = {device.name: device.held for device in self.devices}
        histories = [device.history for device in self.devices]
        missing = [
            (name, (row.room, row.seq))
            for name, row in due(stored, histories, collect(histories), self._stays)
        ]

        def are_complete() -> str | None:
            nonlocal missing
            missing = [(name, place) for name, place in missing if place not in held[name]]
            return f"{len(missing)} are missing" if missing else None

        start = asyncio.get_running_loop().time()
        await wait(are_complete, ARRIVED_WITHIN)
        self.late = asyncio.get_running_loop().time() - start

    def _run(self, work) -> None:  # type: ignore[no-untyped-def]
        self._tasks.add(asyncio.create_task(work))

    def _add_devices(self) -> None:
        urls = [host.url for host in self.servers.hosts]
        for number, user in enumerate(self._users):
            for letter in "ab" if number % 3 == 0 else "a":
                chance = random.Random(self.chance.random())
                self.devices.append(
                    Device(f"{user}{letter}", user, token(user, TOKEN_LIFE), urls, chance)
                )

    def _add_pairs(self) -> None:
        for number, user in enumerate(self._users):
            for step in range(1, PARTNERS // 2 + 1):
                other = self._users[(number + step * step) % len(self._users)]
                self._join(Target.user(other, user), user)
                self._join(Target.user(user, other), other)

    async def _add_groups(self) -> None:
        for number in range(self._group_count):
            *members, guest = self.chance.sample(self._users, MEMBERS + 1)
            group_id = f"group_00000000-0000-4000-8000-{number:012}"
            roles = dict.fromkeys(members, "member") | {members[0]: "owner"}
            await make_group(self.servers.database.dsn, roles, group_id)
            for member in members:
                self._join(Target.group(group_id), member)
            stays = self._stays[group_id][guest] = []
            owner = next(device for device in self.devices if device.user_id == members[0])
            self._guests.append(Guest(owner, group_id, guest, stays))

    def _join(self, target: Target, user: str) -> None:
        """Let a user be in a room for ever, and write into it."""
        self._stays.setdefault(target.room, {})[user] = [Stay()]
        self._tops.setdefault(target.room, 0)
        for device in self.devices:
            if device.user_id == user:
                device.targets.append(target)


async def wait(problem: Callable[[], str | None], patience: float) -> str | None:
    """Wait until there is no problem; return it when it does not go away in time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + patience
    while (found := problem()) is not None and loop.time() < end:
        await asyncio.sleep(POLL)
    return found
