"""How many messages and commands a user may send. Hot path.

Exact sliding windows. A message counts for its user and for its connection, and for both or for
none; a long one is admitted up to twice the limit by the same windows. What is refused does not
count.

Source: docs/protocol.md, "Rate limits".
"""

from collections.abc import Callable, Iterator
from math import ceil

from fastchat._speedups import SlidingWindow
from fastchat.admission.ledger import Ledger, OwnLedger
from fastchat.errors import RateLimited
from fastchat.interfaces import Session, Window
from fastchat.slices import in_slices

WINDOW = 60.0  # seconds
LONG_MESSAGE = 500  # code points; above, the limit is doubled
LONG_FACTOR = 2


class Limits:
    """The windows of every user who was active within the last minute."""

    def __init__(self, messages: int, commands: int, ledger: Ledger | None = None) -> None:
        """Take the most messages and other commands per user and 60 seconds.

        Args:
            messages: Of a user, and of a connection.
            commands: Of a user.
            ledger: Where what a user does is counted; without one in this process alone.
        """
        self._messages = messages
        self._commands = commands
        self._ledger = ledger or OwnLedger()
        self._admit_both = self._ledger.admit_both
        self._windows: dict[str, tuple[Window, Window]] = {}
        self.message_refusals = 0
        self.command_refusals = 0

    @property
    def misses(self) -> int:
        """Decisions that were made alone although workers share the limits."""
        return self._ledger.misses

    def open_windows(self, user_id: str) -> tuple[Window, Window, Window]:
        """Return the windows a new session of the user counts in; see ``Session``."""
        found = self._windows.get(user_id)
        if found is None:
            most = self._messages * LONG_FACTOR
            found = (
                self._ledger.open_window("message", user_id, self._messages, WINDOW, most),
                self._ledger.open_window("command", user_id, self._commands, WINDOW),
            )
            self._windows[user_id] = found
        return found[0], self._connection_window(), found[1]

    def windows_of(self, user_id: str) -> tuple[Window, Window] | None:
        """Return the windows of a user's messages and commands; None: he was not here lately."""
        return self._windows.get(user_id)

    @property
    def capacities(self) -> tuple[int, int]:
        """The most that the windows of a user can hold."""
        return self._messages * LONG_FACTOR, self._commands

    def open_command_window(self) -> SlidingWindow:
        """Return the window of a connection that has no session yet."""
        return SlidingWindow(self._commands, WINDOW)

    def admit_message(self, session: Session, length: int, now: float) -> None:
        """Count one valid message of ``length`` code points.

        Raises:
            RateLimited: with ``retry_after``, the whole seconds after which one passes.
        """
        limit = self._messages * LONG_FACTOR if length > LONG_MESSAGE else self._messages
        wait = self._admit_both(session.message_window, session.connection_window, now, limit)
        if wait > 0.0:
            self.message_refusals += 1
            raise RateLimited(retry_after=max(1, ceil(wait)))

    def admit_command(self, window: Window, now: float) -> None:
        """Count one command that is no message.

        Raises:
            RateLimited: with ``retry_after``, the whole seconds after which one passes.
        """
        wait = window.take(now, self._commands)
        if wait > 0.0:
            self.command_refusals += 1
            raise RateLimited(
                "You are sending commands too quickly. Please wait before sending another one.",
                retry_after=max(1, ceil(wait)),
            )

    def sweep(self, now: float, is_here: Callable[[str], bool]) -> Iterator[int]:
        """Forget users without a session whose windows are empty; yield how many of each slice.

        Args:
            now: Monotonic seconds.
            is_here: Tells whether a user has a session at that moment.
        """
        for part in in_slices(self._windows):
            idle = [user_id for user_id in part if self._is_idle(user_id, now)]
            gone = [user_id for user_id in idle if not is_here(user_id)]
            for user_id in gone:
                for window in self._windows.pop(user_id):
                    self._ledger.close_window(window, now)
            yield len(gone)

    def _is_idle(self, user_id: str, now: float) -> bool:
        return all(window.is_idle(now) for window in self._windows[user_id])

    def _connection_window(self) -> SlidingWindow:
        return SlidingWindow(self._messages, WINDOW, self._messages * LONG_FACTOR)
