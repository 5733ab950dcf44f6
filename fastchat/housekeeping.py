"""What is cleared away every half minute, so that neither memory nor tables grow for ever.

Chores run one after the other. One that has much to do does it in slices, so that the event loop
and the database are free in between.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator

from fastchat.errors import ServiceUnavailable

INTERVAL = 30.0  # seconds; requirements, "Cleanup Intervals"

# Monotonic seconds → how many were cleared away, or how many in each slice.
Chore = Callable[[float], Awaitable[int] | Iterator[int]]

log = logging.getLogger(__name__)


class Housekeeping:
    """Runs the chores.

    Attributes:
        cleared: What each chore has cleared away so far.
        runs: Rounds that were finished.
    """

    def __init__(
        self,
        chores: dict[str, Chore],
        *,
        interval: float = INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the chores by name, seconds between two rounds, and monotonic seconds."""
        self._chores = chores
        self._interval = interval
        self._clock = clock
        self.cleared = dict.fromkeys(chores, 0)
        self.runs = 0

    async def run(self) -> None:
        """Do a round now and then, for ever."""
        while True:
            await asyncio.sleep(self._interval)
            await self.do_round()

    async def do_round(self) -> None:
        """Do each chore once; one that fails does not keep the others from being done."""
        for name, chore in self._chores.items():
            try:
                work = chore(self._clock())
                if isinstance(work, Awaitable):
                    self.cleared[name] += await work
                else:
                    for done in work:
                        self.cleared[name] += done
                        await asyncio.sleep(0)
            except ServiceUnavailable:
                log.info("the database is away, %s wait for the next round", name)
            except Exception:
                log.exception("clearing away %s failed by a bug", name)
            await asyncio.sleep(0)
        self.runs += 1
