"""Who messages of the system are from: a user with an id of its own, made when first needed."""

from typing import TYPE_CHECKING

from fastchat.store.lookups import DEADLINE
from fastchat.store.users import UserProfile, Users

if TYPE_CHECKING:
    from fastchat.store.pool import Pool

USERNAME = "system"
DISPLAY_NAME = "System"
MAKE = """
INSERT INTO chat_users (user_id, username, display_name) VALUES ($1, $2, $3)
ON CONFLICT (user_id) DO NOTHING
"""


class SystemUser:
    """The user of ``SYSTEM_USER_ID``; where the main backend has none of this id, one is made."""

    def __init__(self, pool: "Pool", users: Users, user_id: str) -> None:
        """Take the pool, who knows users, and the id."""
        self._pool = pool
        self._users = users
        self._user_id = user_id

    async def find(self) -> UserProfile | None:
        """Return the profile.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        profile = await self._users.find(self._user_id)
        if profile is None:
            await self._pool.execute(
                MAKE, self._user_id, USERNAME, DISPLAY_NAME, timeout=DEADLINE, name="users"
            )
            profile = await self._users.find(self._user_id)
        return profile
