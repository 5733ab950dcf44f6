"""The bounds of one endpoint, in seconds and bytes."""

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointLimits:
    """What a connection may take and for how long; the defaults are those of docs/protocol.md.

    Attributes:
        max_message: largest message, reassembled, before and after inflating.
        keep_alive: silence after which a ping is sent, and after which an unanswered one ends it.
        inactivity: a connection without messages or pings is closed after this.
        authentication: deadline for ``Connection.authenticated``.
        close: time for the closing handshake; then the socket is dropped.
        outbox_mark: backlog above which reading pauses and ephemeral events are shed.
        outbox_limit: backlog of messages above which the connection is closed.
        burst: time in which a backlog that has just begun may be larger, up to ``burst_limit``.
        burst_limit: that limit.
        replies_limit: replies that wait for earlier ones; more close the connection.
        pinned_limit: unfinished messages, and read buffers beyond their first size, of all
            connections together; above it the idlest are closed.
        deflate_from: smallest message worth compressing.
    """

    max_message: int = MIB
    keep_alive: float = 60.0
    inactivity: float = 300.0
    authentication: float = 10.0
    close: float = 2.0
    outbox_mark: int = 64 * KIB
    outbox_limit: int = 256 * KIB
    burst: float = 0.5
    burst_limit: int = 4 * MIB
    replies_limit: int = 4 * MIB
    pinned_limit: int = 64 * MIB
    deflate_from: int = KIB
