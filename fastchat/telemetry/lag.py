"""How late the event loop is: a timer that measures by how much it is late itself."""

import asyncio
from collections import deque


class LoopLag:
    """Sample the lateness of the event loop once per ``interval`` seconds."""

    def __init__(self, interval: float = 0.5, keep: float = 60.0) -> None:
        """Take the interval and for how many seconds a sample counts as recent."""
        self.latest = 0.0
        self._interval = interval
        self._recent: deque[float] = deque(maxlen=max(1, round(keep / interval)))
        self._timer: asyncio.TimerHandle | None = None

    @property
    def worst(self) -> float:
        """The largest lateness among the recent samples, in seconds."""
        return max(self._recent, default=0.0)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to sample; cost: one timer call per interval."""
        self._arm(loop)

    def stop(self) -> None:
        """Stop sampling; the figures stay."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + self._interval
        self._timer = loop.call_at(due, self._sample, loop, due)

    def _sample(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self.latest = max(0.0, loop.time() - due)
        self._recent.append(self.latest)
        self._arm(loop)
