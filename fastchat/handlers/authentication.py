"""Connections come, log in and go."""

import time
from collections.abc import Callable, Coroutine
from typing import Any

from fastchat.admission.limits import Limits
from fastchat.auth.revocation import SESSION_EXPIRED, RevocationWatch
from fastchat.auth.tokens import TokenChecker, TokenClaims
from fastchat.errors import AuthFailed, ServiceUnavailable
from fastchat.handlers.answers import Answers
from fastchat.handlers.offline import OfflineEvents
from fastchat.hub.sessions import Hub
from fastchat.interfaces import Connection, Session
from fastchat.protocol.codes import CloseCode
from fastchat.protocol.commands import Authenticate
from fastchat.protocol.events import (
    encode_auth_error,
    encode_connected,
    encode_token_refreshed,
    encode_welcome,
    with_request_id,
)
from fastchat.store.users import Revoked, UserProfile, Users

SESSION_ENDED = {
    SESSION_EXPIRED: "Session expired. Please log in again.",
    "SESSION_REVOKED": "Session revoked. Please log in again.",
}


class Authentication:
    """Makes sessions of tokens, and ends them."""

    def __init__(
        self,
        tokens: TokenChecker,
        users: Users,
        limits: Limits,
        hub: Hub,
        watch: RevocationWatch,
        offline: OfflineEvents,
        answers: Answers,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Take who knows tokens and users, who has to know of sessions, and who counts errors."""
        self._tokens = tokens
        self._users = users
        self._limits = limits
        self._hub = hub
        self._watch = watch
        self._offline = offline
        self._answers = answers
        self._clock = clock
        self._wall_clock = wall_clock

    def greet(self, connection: Connection) -> None:
        """Say what is expected of a new connection."""
        connection.send(encode_welcome(connection.client_id, self._wall_clock()))

    def leave(self, connection: Connection) -> str | None:
        """End the session of a connection that is gone; return its user if he has none left."""
        session, connection.session = connection.session, None
        if session is None:
            return None
        self._watch.forget(session)
        is_last = self._hub.leave(session, self._clock())
        self._offline.leave(session, connection.unsent)
        return session.user_id if is_last else None

    def authenticate(
        self, connection: Connection, command: Authenticate, now: float
    ) -> Coroutine[Any, Any, bytes | None]:
        """Check the token; answer ``connected``, ``token_refreshed`` or ``auth_error``.

        Where events wait for the user, ``connected`` comes behind them, however long that takes.
        """
        return self._authenticate(connection, command)

    def end(self, session: Session, code: str) -> None:
        """End a session whose token is no longer good, and its connection."""
        error = AuthFailed(SESSION_ENDED[code], code=code)
        self._answers.count(error.code)
        session.connection.send(encode_auth_error(error))
        session.connection.close(CloseCode.POLICY_VIOLATION, error.details)

    async def check_token(self, token: object) -> tuple[TokenClaims, UserProfile]:
        """Return what a good token says and whose it is; every way in asks here.

        Raises:
            AuthFailed: the token is not good, or could not be checked (``SERVICE_UNAVAILABLE``).
        """
        claims = self._tokens.check(token, self._wall_clock())
        return claims, await self._find_user(claims)

    async def _authenticate(self, connection: Connection, command: Authenticate) -> bytes | None:
        try:
            claims, profile = await self.check_token(command.token)
            if not connection.is_open:
                return None
            if connection.session is None:
                return await self._begin(connection, claims, profile, command)
            return self._extend(connection.session, claims, profile)
        except AuthFailed as error:
            self._answers.count(error.code)
            return encode_auth_error(error)

    async def _find_user(self, claims: TokenClaims) -> UserProfile:
        try:
            found = await self._users.authenticate(claims.jti, claims.user_id)
        except ServiceUnavailable as error:
            raise AuthFailed(
                "The token could not be checked. Please try again.",
                code=error.code,
                retry_after=error.retry_after,
            ) from None
        if isinstance(found, Revoked):
            raise AuthFailed("The token was revoked.")
        if found is None:
            raise AuthFailed("Nobody knows the user of this token.")
        return found

    async def _begin(
        self,
        connection: Connection,
        claims: TokenClaims,
        profile: UserProfile,
        command: Authenticate,
    ) -> bytes | None:
        windows = self._limits.open_windows(profile.user_id)
        session = Session(
            connection,
            profile,
            claims.jti,
            claims.expires_at,
            windows,
            acks=command.acks,
            presence_batches=command.presence_batches,
        )
        connection.session = session
        connection.authenticated()
        self._watch.watch(session)
        self._hub.join(session)
        await self._hub.until_known(profile.user_id)
        if not connection.is_open:
            return None

        def answer(queued_events: int) -> bytes:
            now = self._wall_clock()
            return encode_connected(connection.client_id, profile, queued_events, now)

        def finish(queued_events: int) -> None:
            connection.send(with_request_id(answer(queued_events), command.request_id))

        is_later = self._offline.begin(session, profile.has_events, finish)
        return None if is_later else answer(0)

    def _extend(self, session: Session, claims: TokenClaims, profile: UserProfile) -> bytes:
        if profile.user_id != session.user_id:
            raise AuthFailed("The token is another user's than that of this session.")
        # An older token must not cut a session short.
        if claims.expires_at >= session.expires_at:
            session.jti, session.expires_at = claims.jti, claims.expires_at
            session.user = profile
            self._watch.watch(session)
        return encode_token_refreshed(session.expires_at)
