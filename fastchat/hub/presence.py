"""Who is online: from a user's first session until the grace period after his last one.

The hub counts sessions per user; this module turns the count into at most one ``user_online`` and
one ``user_offline`` per change. Deadlines of users who left wait in one heap.
"""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush

from fastchat.interfaces import User


class Presence:
    """The users who count as online on this worker.

    ``announce(user, is_online)`` is called once per change, never for a user who came back within
    the grace period.
    """

    def __init__(self, grace_period: float, announce: Callable[[User, bool], None]) -> None:
        """Take the grace period in seconds and what tells others of a change."""
        self._grace_period = grace_period
        self._announce = announce
        self._users: dict[str, User] = {}
        self._leaving: dict[str, float] = {}  # user id → when he counts as offline
        self._deadlines: list[tuple[float, str]] = []
        self.peak_users = 0

    @property
    def users_online(self) -> int:
        """How many users count as online."""
        return len(self._users)

    def is_online(self, user_id: str) -> bool:
        """Whether the user has a session, or had one within the grace period."""
        return user_id in self._users

    def users(self) -> Iterator[User]:
        """Every user who counts as online, the longest first."""
        return iter(self._users.values())

    def arrive(self, user: User) -> None:
        """Take note of a new session of a user."""
        self._leaving.pop(user.user_id, None)
        is_new = user.user_id not in self._users
        self._users[user.user_id] = user
        self.peak_users = max(self.peak_users, len(self._users))
        if is_new:
            self._announce(user, True)

    def refresh(self, user: User) -> None:
        """Take note of a new profile of a user who counts as online."""
        if user.user_id in self._users:
            self._users[user.user_id] = user

    def leave(self, user_id: str, now: float) -> None:
        """Take note that a user's last session ended."""
        deadline = now + self._grace_period
        self._leaving[user_id] = deadline
        heappush(self._deadlines, (deadline, user_id))

    def sweep(self, now: float) -> int:
        """Take users offline whose grace period is over; return how many."""
        gone = 0
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, user_id = heappop(self._deadlines)
            # He may have come back, and even left again since this deadline was set.
            if self._leaving.get(user_id) == deadline:
                del self._leaving[user_id]
                self._announce(self._users.pop(user_id), False)
                gone += 1
        return gone
