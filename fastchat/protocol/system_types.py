"""What the server says about connections, sessions, errors and who is online.

Source: docs/protocol.md.
"""

from typing import Literal

from msgspec import UNSET, UnsetType

from fastchat.protocol.command import UserId
from fastchat.protocol.event import Count, Event, Millis, Reply, Seconds, Shape, Time

ErrorCode = Literal[
    "AUTH_REQUIRED",
    "INVALID_JSON",
    "UNKNOWN_TYPE",
    "VALIDATION_ERROR",
    "RATE_LIMIT_EXCEEDED",
    "USER_BLOCKED",
    "EDIT_WINDOW_EXPIRED",
    "PERMISSION_DENIED",
    "RESOURCE_NOT_FOUND",
    "GROUP_FULL",
    "OWNER_CANNOT_LEAVE",
    "MAX_CONNECTIONS_EXCEEDED",
    "SERVICE_UNAVAILABLE",
    "INTERNAL_ERROR",
]
AuthErrorCode = Literal["AUTH_FAILED", "SESSION_EXPIRED", "SESSION_REVOKED", "SERVICE_UNAVAILABLE"]


class Person(Shape):
    """What others see of a user."""

    user_id: UserId
    username: str
    display_name: str


class PersonOnline(Person):
    """A user whose presence changed; the id is there twice."""

    id: UserId


class Account(PersonOnline):
    """What a user sees of himself."""

    email: str | None
    first_name: str | None
    last_name: str | None


class Welcome(Event, tag="connected"):
    """The first event of every connection: it waits for ``authenticate``."""

    client_id: str
    message: str
    requires_auth: Literal[True]
    timestamp: Time


class Connected(Reply, tag="connected"):
    """The session exists; so many events that waited for the user came before."""

    client_id: str
    user: Account
    queued_events: Count
    timestamp: Time


class TokenRefreshed(Reply, tag="token_refreshed"):
    """A newer token extends the session."""

    expires_at: Time


class AuthError(Reply, tag="auth_error"):
    """The token was refused, or the session ended."""

    message: str
    details: str
    code: AuthErrorCode
    retry_after: Seconds | UnsetType = UNSET


class ServerDraining(Event, tag="server_draining"):
    """The server stops: connect again after so many seconds."""

    retry_after: Count


class Error(Reply, tag="error"):
    """A command was refused; ``code`` is for programs, the sentences are for people."""

    message: str
    details: str
    code: ErrorCode
    field: str | UnsetType = UNSET
    retry_after: Seconds | UnsetType = UNSET
    requires_auth: Literal[True] | UnsetType = UNSET
    error_id: str | UnsetType = UNSET


class Pong(Reply, tag="pong"):
    """A sign of life."""

    timestamp: Millis


class TestResponse(Reply, tag="test_response"):
    """Commands are answered."""

    message: str
    timestamp: Millis


class OnlineUsers(Reply, tag="online_users"):
    """Who is online, without oneself and those with a block in between."""

    users: list[Person]
    count: Count


class UserOnline(Event, tag="user_online"):
    """A user came."""

    user: PersonOnline
    timestamp: Time


class UserOffline(Event, tag="user_offline"):
    """A user went, and did not come back within the grace period."""

    user: PersonOnline
    timestamp: Time


class PresenceChanges(Event, tag="presence_changes"):
    """Users came and went: in place of single events, where `presenceBatches` was asked for."""

    online: list[PersonOnline]
    offline: list[PersonOnline]
    timestamp: Time


class EventsAcked(Reply, tag="events_acked"):
    """So many queued events had not been acknowledged before."""

    count: Count


SYSTEM_EVENTS: tuple[type[Event], ...] = (
    Welcome,
    Connected,
    TokenRefreshed,
    AuthError,
    ServerDraining,
    Error,
    Pong,
    TestResponse,
    OnlineUsers,
    UserOnline,
    UserOffline,
    PresenceChanges,
    EventsAcked,
)
