"""One worker's slot: the process that serves, the one that takes over from it, the one that leaves.

Decides and notes; the supervisor forks and reaps. Time is passed in.
"""

import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from fastchat.supervisor.backoff import Backoff

log = logging.getLogger("fastchat")


@dataclass(slots=True, eq=False)
class Process:
    """A process of a worker."""

    pid: int
    run: int  # its number
    seat: int
    reports: int  # the pipe it reports to
    ready_at: float | None = None  # monotonic seconds
    kill_at: float | None = None  # it was asked to end, and has until then

    def ask_to_end(self, deadline: float) -> None:
        """Send SIGTERM; the first deadline holds."""
        if self.kill_at is None:
            self.kill_at = deadline
            self.send(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """Send a signal; the process was not reaped yet, so its number is still its own."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


class Slot:
    """The processes of one worker."""

    def __init__(self, worker: int, start: Callable[[int], Process], backoff: Backoff) -> None:
        """Take the number of the worker, what forks a process for it, and the back-off.

        ``start`` may raise ``OSError``; it is then called again later.
        """
        self.worker = worker
        self.current: Process | None = None
        self.coming: Process | None = None  # takes over from the current one when it is ready
        self.leaving: Process | None = None
        self.was_killed = False  # a process did not end in time when the slot was stopped
        self.has_failed_roll = False
        self._start = start
        self._backoff = backoff
        self._start_at: float | None = 0.0  # None: not at all

    @property
    def processes(self) -> list[Process]:
        """All that run."""
        return [p for p in (self.current, self.coming, self.leaving) if p is not None]

    @property
    def is_ready(self) -> bool:
        """Whether a process serves."""
        return self.current is not None and self.current.ready_at is not None

    @property
    def is_rolling(self) -> bool:
        """Whether one process takes over from another."""
        return self.coming is not None or self.leaving is not None

    def next_deadline(self) -> float | None:
        """When ``tick`` has something to do next."""
        times = [p.kill_at for p in self.processes if p.kill_at is not None]
        if self.current is None and self._start_at is not None:
            times.append(self._start_at)
        return min(times, default=None)

    def tick(self, now: float) -> None:
        """Start what is due, kill what did not end in time."""
        if self.current is None and self._start_at is not None and now >= self._start_at:
            self.current = self._try_to_start()
            if self.current is None:
                self._start_at = now + self._backoff.delay(0.0)
        for process in self.processes:
            if process.kill_at is not None and now >= process.kill_at:
                process.kill_at = now + 1.0
                self.was_killed = True
                log.error("worker %d does not end and is killed", self.worker)
                process.send(signal.SIGKILL)

    def roll(self) -> None:
        """Start a process that takes over from the current one."""
        self.coming = self._try_to_start()
        self.has_failed_roll = self.coming is None

    def note_ready(self, process: Process, now: float, patience: float) -> None:
        """Note that a process serves; the one before has ``patience`` seconds to drain."""
        process.ready_at = now
        if process is self.coming:
            self.current, self.coming, self.leaving = process, None, self.current
            if self.leaving is not None:
                self.leaving.ask_to_end(now + patience)

    def note_end(self, process: Process, now: float) -> float | None:
        """Note that a process has ended.

        Returns:
            After how many seconds another is started; None: not because of this one.
        """
        if process is self.leaving:
            self.leaving = None
        elif process is self.coming:
            self.coming = None
            self.has_failed_roll = True
        elif process is self.current and self.coming is not None:
            self.current, self.coming = self.coming, None
        elif process is self.current:
            self.current = None
            if self._start_at is not None:
                uptime = 0.0 if process.ready_at is None else now - process.ready_at
                delay = self._backoff.delay(uptime)
                self._start_at = now + delay
                return delay
        return None

    def _try_to_start(self) -> Process | None:
        """Start a process; the system may be out of processes, memory or files for it."""
        try:
            return self._start(self.worker)
        except OSError as error:
            log.error("worker %d cannot be started: %s", self.worker, error.strerror)
            return None

    def stop(self, now: float, patience: float) -> None:
        """Ask all processes to end, and start no more."""
        self._start_at = None
        self.was_killed = False
        for process in self.processes:
            process.ask_to_end(now + patience)
