"""The seams between rooms that may not import each other, and the session that they share."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol


class Connection(Protocol):
    """One socket, as everything above the transport sees it.

    No method calls back before it returns: a connection that has to be closed is closed on a later
    turn of the event loop, so a loop over connections may send without care.
    """

    client_id: str
    remote_ip: str
    opened_at: float  # monotonic seconds
    session: "Session | None"

    @property
    def is_open(self) -> bool:
        """Whether anything sent now can still reach the client."""

    @property
    def backlog(self) -> int:
        """Bytes queued that the socket has yet to take."""

    @property
    def queued(self) -> int:
        """Bytes of frames queued so far: where the last one ends."""

    @property
    def taken(self) -> int:
        """How many of them the socket took, known also when the connection has ended."""

    @property
    def unsent(self) -> Sequence[Any]:
        """Tokens of ``Hub.publish_marked`` whose event the socket did not take, in their order."""

    def send(self, payload: bytes) -> None:
        """Queue one event; never raises. A full outbox ends the connection with 1013."""

    def send_ephemeral(self, payload: bytes) -> None:
        """Queue one event that may be dropped when the client reads slowly."""

    def send_reply(self, payload: bytes) -> None:
        """Queue one reply of up to 512 KiB; reading pauses until a large one has gone out."""

    def close(self, code: int, reason: str) -> None:
        """End the connection after what was queued before."""

    def authenticated(self) -> None:
        """Lift the authentication deadline."""

    def pause_reading(self) -> None:
        """Deliver nothing more, apart from what was received already."""

    def resume_reading(self) -> None:
        """Undo ``pause_reading``."""


class Window(Protocol):
    """A sliding window of accepted stamps; see ``SlidingWindow`` and ``SharedWindow``."""

    @property
    def counted(self) -> int:
        """How many stamps this process has ever counted in it."""

    def wait(self, now: float, limit: int) -> float:
        """Return 0.0 when one more is admitted now, else the seconds until it is."""

    def take(self, now: float, limit: int) -> float:
        """Count one more and return 0.0 when it is admitted now, else the seconds until it is."""

    def is_idle(self, now: float) -> bool:
        """Whether every stamp has left the window."""


class User(Protocol):
    """Who a session belongs to, as the database knows him."""

    @property
    def user_id(self) -> str:
        """Canonical text of the id."""

    @property
    def username(self) -> str:
        """Login name, shown beside messages."""

    @property
    def display_name(self) -> str:
        """Name for people."""


class Session:
    """An authenticated connection: who it is, until when, and the windows it counts in.

    ``expires_at`` is epoch seconds, as in the token. With ``acks`` queued events count as delivered
    when the client says so; with ``presence_batches`` it is told of presence in batches. The
    windows of the user are shared by all his sessions, those of the connection are its own.
    ``is_system`` is the server itself, on behalf of the main backend.
    """

    __slots__ = (
        "acks",
        "command_window",
        "connection",
        "connection_window",
        "expires_at",
        "is_system",
        "jti",
        "message_window",
        "presence_batches",
        "user",
        "user_id",
    )

    def __init__(
        self,
        connection: Connection,
        user: User,
        jti: str | None,
        expires_at: float,
        windows: tuple[Window, Window, Window],
        *,
        acks: bool = False,
        presence_batches: bool = False,
        is_system: bool = False,
    ) -> None:
        """Take the windows in the order: the user's messages, the connection's, commands."""
        self.connection = connection
        self.user = user
        self.user_id = user.user_id
        self.jti = jti
        self.expires_at = expires_at
        self.acks = acks
        self.presence_batches = presence_batches
        self.is_system = is_system
        self.message_window, self.connection_window, self.command_window = windows


class ConnectionInfo(NamedTuple):
    """One connection of a user, as the main backend is told; times are epoch seconds."""

    client_id: str
    remote_ip: str
    worker: int
    opened_at: float
    expires_at: float  # of its token


class Sessions(Protocol):
    """What the main backend may ask and do about users who are connected.

    ``handlers.local_sessions`` does it on this worker. What has several workers asks all of them.
    """

    async def connections(self, user_id: str) -> list[ConnectionInfo]:
        """Return the connections of a user."""

    async def disconnect(self, user_id: str, client_id: str | None = None) -> int:
        """Close the connections of a user, or one of them; return how many that were."""

    async def end_token(self, jti: str) -> int:
        """End the sessions that began with a token; return how many that were."""

    async def refresh_profile(self, user_id: str) -> None:
        """Forget what is known of a user, and read it again where he has a session.

        Raises:
            ServiceUnavailable: it could not be read; it is forgotten all the same.
        """
