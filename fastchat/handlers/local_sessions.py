"""What the main backend may ask and do about users who are connected to this worker."""

import time
from collections.abc import Callable

from fastchat.auth.revocation import RevocationWatch
from fastchat.hub.sessions import Hub
from fastchat.interfaces import ConnectionInfo
from fastchat.protocol.codes import CloseCode
from fastchat.store.pictures import Pictures
from fastchat.store.users import Users

REASON = "Disconnected by the service"


class LocalSessions:
    """The sessions of this worker; see ``interfaces.Sessions``."""

    def __init__(
        self,
        hub: Hub,
        watch: RevocationWatch,
        users: Users,
        pictures: Pictures,
        worker: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Take who is here, what is kept of users, and the number of this worker."""
        self._hub = hub
        self._watch = watch
        self._users = users
        self._pictures = pictures
        self._worker = worker
        self._clock = clock
        self._wall_clock = wall_clock

    async def connections(self, user_id: str) -> list[ConnectionInfo]:
        """Return the connections of a user here, the oldest first."""
        start = self._wall_clock() - self._clock()
        found = [
            ConnectionInfo(
                connection.client_id,
                connection.remote_ip,
                self._worker,
                start + connection.opened_at,
                connection.session.expires_at,
            )
            for connection in self._hub.open_connections(user_id)
            if connection.session is not None
        ]
        return sorted(found, key=lambda one: one.opened_at)

    async def disconnect(self, user_id: str, client_id: str | None = None) -> int:
        """Close the connections of a user, or one of them; return how many that were."""
        found = [
            connection
            for connection in self._hub.open_connections(user_id)
            if client_id in (None, connection.client_id)
        ]
        for connection in found:
            connection.close(CloseCode.POLICY_VIOLATION, REASON)
        return len(found)

    async def end_token(self, jti: str) -> int:
        """End the sessions that began with a token; return how many that were."""
        return self._watch.end_tokens((jti,))

    async def refresh_profile(self, user_id: str) -> None:
        """Forget what is known of a user, and read it again where he has a session.

        Raises:
            ServiceUnavailable: it could not be read; it is forgotten all the same.
        """
        self._users.cache.forget(user_id)
        self._pictures.cache.forget(user_id)
        if self._hub.is_online(user_id):
            profile = await self._users.find(user_id)
            if profile is not None:
                self._hub.refresh(profile)
