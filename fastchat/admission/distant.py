"""What counts for limits over several hosts: what is to be told of here, and what was told.

Pure: no I/O and no clock. ``handlers/counting.py`` says it to other hosts and hears it from them.

Source: docs/decisions/0002-shared-limits.md, "Several hosts".
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from fastchat.admission.connections import ConnectionRules
from fastchat.admission.limits import WINDOW, Limits
from fastchat.interfaces import Window

Counts = tuple[str, int, int]  # of a user: messages, commands; of an address: connections, requests

PART = 200  # addresses, some hundred microseconds of work


class UserCounts:
    """What users do who are connected to several hosts.

    The windows know how often this process counted in them, so a message costs nothing more. Of
    those watched here the difference is told; what others tell is counted in the same windows and
    left out of it.
    """

    def __init__(self, limits: Limits) -> None:
        """Take the windows."""
        self._limits = limits
        # The windows of each user who is watched, and how much of them was told.
        self._watched: dict[str, tuple[Window, Window, int, int]] = {}

    def watch(self, user_id: str) -> None:
        """From now on what the user does here is to be told; what he did before has been."""
        windows = self._limits.windows_of(user_id)
        if windows is not None and user_id not in self._watched:
            self._mark(user_id, *windows)

    def forget(self, user_id: str) -> None:
        """What the user does here concerns nobody any more."""
        self._watched.pop(user_id, None)

    def watched(self) -> list[str]:
        """Return the users who are watched."""
        return list(self._watched)

    def changed(self) -> list[str]:
        """Return the users of whom there is something to tell."""
        return [
            user_id
            for user_id, (messages, commands, told, told_commands) in self._watched.items()
            if messages.counted != told or commands.counted != told_commands
        ]

    def collect(self, user_id: str) -> tuple[int, int]:
        """Return how many messages and commands are to be told; they are told then."""
        watched = self._watched.get(user_id)
        if watched is None:
            return 0, 0
        messages, commands, told, told_commands = watched
        self._mark(user_id, messages, commands)
        return messages.counted - told, commands.counted - told_commands

    def add(self, user_id: str, messages: int, commands: int, now: float) -> None:
        """Count what a user did on another host just now."""
        most, counts = self._limits.capacities, (messages, commands)
        stamps = [[now] * min(count, limit) for count, limit in zip(counts, most, strict=True)]
        self._record(user_id, stamps)

    def recall(self, user_id: str, now: float) -> tuple[list[float], list[float]]:
        """Return how long ago each message and command within the window was, ascending."""
        windows = self._limits.windows_of(user_id)
        if windows is None:
            return [], []
        # Asking would give a place in the table to those who did nothing.
        messages, commands = (
            [] if window.is_idle(now) else list(_ages(window, most, now))
            for window, most in zip(windows, self._limits.capacities, strict=True)
        )
        return messages, commands

    def merge(
        self, user_id: str, messages: Sequence[float], commands: Sequence[float], now: float
    ) -> None:
        """Count what another host recalls of a user beyond what is known here.

        Whatever happens on two hosts is told to both, so that what one knows the other knows too,
        unless the user was connected to only one of them: then that one knows more, and more
        recent things. So hearing the same again changes nothing.
        """
        windows = self._limits.windows_of(user_id)
        if windows is None:
            return
        stamps = []
        capacities = self._limits.capacities
        for window, most, others in zip(windows, capacities, (messages, commands), strict=True):
            # Another worker of this host may know what this one has never asked.
            own = list(_ages(window, most, now)) if others else []
            missing = others[: max(0, len(others) - len(own))]
            # Stamps of a window never go back.
            latest = own[0] if own else WINDOW
            stamps.append([now - min(age, latest) for age in reversed(missing)])
        self._record(user_id, stamps)

    def _record(self, user_id: str, stamps: Sequence[Sequence[float]]) -> None:
        windows = self._limits.windows_of(user_id)
        if windows is None:
            return
        untold = self.collect(user_id)
        for window, most, times in zip(windows, self._limits.capacities, stamps, strict=True):
            for time in times:
                # What a full window does not take would change nothing in it.
                window.take(time, most)
        if user_id in self._watched:
            self._mark(user_id, *windows, *untold)

    def _mark(
        self,
        user_id: str,
        messages: Window,
        commands: Window,
        untold: int = 0,
        untold_commands: int = 0,
    ) -> None:
        told, told_commands = messages.counted - untold, commands.counted - untold_commands
        self._watched[user_id] = (messages, commands, told, told_commands)


class AddressCounts:
    """What addresses do on several hosts.

    A worker of each other host is told what this one has. What is told here is added to what this
    worker itself has, so that all workers of the host see it.
    """

    def __init__(self, rules: ConnectionRules) -> None:
        """Take the rules; from now on they keep what is to be told."""
        self._rules = rules
        self._rules.news = {}
        self._there: dict[str, dict[str, int]] = {}  # connections by worker and address
        self._total: dict[str, int] = {}
        self._due: dict[str, None] = {}  # addresses to be counted anew, in this order
        self._is_trusted = True

    @property
    def is_due(self) -> bool:
        """Whether there is something for ``settle`` to do."""
        return bool(self._due)

    def collect(self) -> list[Counts]:
        """Return the addresses of which there is something to tell; it is told then."""
        news, self._rules.news = self._rules.news or {}, {}
        here = self._rules.connections_by_ip
        return [(ip, here.get(ip, 0), requests) for ip, requests in news.items()]

    def recall(self) -> list[Counts]:
        """Return the connections of all addresses here."""
        return [(ip, count, 0) for ip, count in self._rules.connections_by_ip.items()]

    def take(self, peer: str, counts: Iterable[Counts], now: float, *, is_all: bool) -> None:
        """Count what another worker says; with ``is_all`` it has no other connections."""
        if is_all:
            self.forget(peer)
        there = self._there.setdefault(peer, {})
        for remote_ip, connections, requests in counts:
            self._add(remote_ip, connections - there.pop(remote_ip, 0))
            if connections:
                there[remote_ip] = connections
            self._count(remote_ip, requests, now)

    def forget(self, peer: str) -> None:
        """Another worker is gone, with all its connections; ``settle`` gives them back."""
        for remote_ip, connections in self._there.pop(peer, {}).items():
            self._add(remote_ip, -connections)
            self._due[remote_ip] = None

    def trust(self, is_trusted: bool) -> None:
        """Let what was told count, or not while it cannot be put right; ``settle`` does it."""
        if is_trusted != self._is_trusted:
            self._is_trusted = is_trusted
            self._due.update(dict.fromkeys(self._total))

    def settle(self, now: float) -> None:
        """Count some addresses anew."""
        for remote_ip in list(islice(self._due, PART)):
            self._count(remote_ip, 0, now)

    def _add(self, remote_ip: str, connections: int) -> None:
        total = self._total.get(remote_ip, 0) + connections
        if total:
            self._total[remote_ip] = total
        else:
            self._total.pop(remote_ip, None)

    def _count(self, remote_ip: str, requests: int, now: float) -> None:
        self._due.pop(remote_ip, None)
        total = self._total.get(remote_ip, 0) if self._is_trusted else 0
        self._rules.count_distant(remote_ip, total, requests, now)


def _ages(window: Window, most: int, now: float) -> Iterator[float]:
    """Yield how long ago what counts in a window was, ascending."""
    for limit in range(1, most + 1):
        wait = window.wait(now, limit)
        if wait == 0.0:
            return
        yield max(0.0, WINDOW - wait)
