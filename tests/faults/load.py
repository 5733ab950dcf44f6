"""Messages at an even rate from random devices, and guests who come and go."""

import asyncio
import random
from collections.abc import Sequence

from tests.faults.device import Device, Refused
from tests.faults.history import NEVER, Stay

TICK = 0.01  # seconds
OUTBOX = 16  # messages that a device has on their way at most
LONG_SHARE = 0.01
REST = (0.1, 4.0)  # seconds that a guest stays, or stays away
PAUSE = 0.2  # seconds before a command is tried again


class Load:
    """Sends while it is on.

    Attributes:
        sent: Messages of this part.
        is_on: Set while it sends.
    """

    def __init__(self, devices: Sequence[Device], rate: float, chance: random.Random) -> None:
        """Take messages per second."""
        self._devices = [device for device in devices if device.targets]
        self._rate = rate
        self._chance = chance
        self.is_on = asyncio.Event()
        self.sent = 0

    def turn_on(self) -> None:
        self.is_on.set()

    def turn_off(self) -> None:
        self.is_on.clear()

    async def run(self) -> None:
        """Send until it is cancelled."""
        loop = asyncio.get_running_loop()
        due = 0.0
        before = loop.time()
        while True:
            await asyncio.sleep(TICK)
            await self.is_on.wait()
            now = loop.time()
            # What could not be sent in time is not made up for at once.
            due = min(due + (now - before) * self._rate, 20 * TICK * self._rate)
            before = now
            while due >= 1.0:
                due -= 1.0
                device = self._chance.choice(self._devices)
                if device.may_send and len(device.outbox) < OUTBOX:
                    is_long = self._chance.random() < LONG_SHARE
                    device.send(self._chance.choice(device.targets), is_long=is_long)
                    self.sent += 1


class Guest:
    """A user whom the owner of a group takes in and out."""

    def __init__(self, owner: Device, group_id: str, user_id: str, stays: list[Stay]) -> None:
        """Take where his stays are to be written down."""
        self._owner = owner
        self._group_id = group_id
        self._user_id = user_id
        self._stays = stays

    async def run(self, chance: random.Random, may_move: asyncio.Event) -> None:
        """Come and go until cancelled."""
        while True:
            await self._rest(chance, may_move)
            self._stays.append(Stay(self._owner.now(), since=NEVER))
            await self._ask("add_group_member")
            self._stays[-1] = self._stays[-1]._replace(since=self._owner.now())
            await self._rest(chance, may_move)
            self._stays[-1] = self._stays[-1]._replace(leaving=self._owner.now())
            await self._ask("remove_group_member")
            self._stays[-1] = self._stays[-1]._replace(until=self._owner.now())

    async def _rest(self, chance: random.Random, may_move: asyncio.Event) -> None:
        await asyncio.sleep(chance.uniform(*REST))
        await may_move.wait()

    def forget(self) -> None:
        """Drop the stays that are over, but for the latest ones."""
        del self._stays[:-8]

    async def _ask(self, command: str) -> None:
        """Ask until it is known to be done; asking twice does nothing more."""
        while True:
            try:
                await self._owner.request(
                    type=command, groupId=self._group_id, userId=self._user_id
                )
                return
            except (Refused, ConnectionError):
                await asyncio.sleep(PAUSE)
