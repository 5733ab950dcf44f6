"""Waiting for signals and pipes without an event loop."""

import select
import signal
import socket
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import Self

from fastchat.supervisor.processes import HANDLED

_READ_SIZE = 4096


class Signals:
    """Catches the signals of a supervisor while it is entered."""

    def __init__(self) -> None:
        """Take nothing; the signals are as they were until it is entered."""
        self._before: dict[int, object] = {}
        self._reading, self._writing = socket.socketpair()
        self._reading.setblocking(False)
        self._writing.setblocking(False)

    def __enter__(self) -> Self:
        # The number of each signal is written to the socket, so that none is lost between two
        # waits; Python asks for a handler all the same.
        signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, _note) for number in HANDLED}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(-1)
        self._reading.close()
        self._writing.close()

    def wait(self, timeout: float, pipes: Iterable[int]) -> tuple[set[int], set[int]]:
        """Wait until something happens, for at most ``timeout`` seconds.

        Returns:
            The signals that came, and the pipes that can be read.
        """
        poll = select.poll()
        poll.register(self._reading, select.POLLIN)
        for pipe in pipes:
            poll.register(pipe, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(max(0.0, timeout) * 1000)}
        found: set[int] = set()
        if self._reading.fileno() in ready:
            ready.discard(self._reading.fileno())
            found.update(self._reading.recv(_READ_SIZE))
        return found, ready


def _note(number: int, frame: FrameType | None) -> None:
    """Do nothing: the number is in the socket."""
