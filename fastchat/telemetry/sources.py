"""What telemetry reads: the plain counters that hot objects keep, as Protocols.

Counters only grow, gauges say what is now; everything is an ordinary attribute, so that counting
costs the hot path one addition and reading costs it nothing.
"""

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Protocol

from fastchat.telemetry.lag import LoopLag


class Histogram(Protocol):
    """Counts of observations per bucket; the last bucket is everything above the last bound."""

    @property
    def bounds(self) -> Sequence[float]:
        """Upper bounds, inclusive, ascending; one fewer than ``counts``."""

    @property
    def counts(self) -> Sequence[int]:
        """Observations per bucket, not cumulated."""

    @property
    def sum(self) -> float:
        """Sum of all observations."""

    @property
    def count(self) -> int:
        """Number of observations."""


class TransportCounters(Protocol):
    """Of the endpoint: connections, frames, bytes and what was closed for which reason."""

    connections: int
    peak_connections: int
    opened: int
    closed: int
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    ephemeral_sheds: int
    slow_consumers: int
    inactivity_timeouts: int
    keep_alive_timeouts: int
    authentication_timeouts: int
    pinned_bytes: int


class LimitCounters(Protocol):
    """Of the windows per user: what was refused."""

    message_refusals: int
    command_refusals: int

    @property
    def misses(self) -> int:
        """Decisions that were made alone although workers share the limits."""


class ConnectionCounters(Protocol):
    """Of the rules per IP address: what was refused, and who is connected from where."""

    ip_refusals: int
    connection_refusals: int

    @property
    def connections_by_ip(self) -> Mapping[str, int]:
        """Open connections per IP address."""


class HubCounters(Protocol):
    """Of the hub: who is here."""

    @property
    def peak_users(self) -> int:
        """The most users who counted as online at once."""

    @property
    def users_online(self) -> int:
        """Users with at least one session, or within their grace period."""


class WriterCounters(Protocol):
    """Of the batched writer."""

    @property
    def batches(self) -> int:
        """Statements that stored messages."""

    @property
    def messages(self) -> int:
        """Messages stored."""

    @property
    def duplicates(self) -> int:
        """Repeats of a client id."""

    @property
    def refused(self) -> int:
        """Messages that were not stored."""

    @property
    def retries(self) -> int:
        """Runs of a batch that had to be repeated."""

    @property
    def unknown_outcomes(self) -> int:
        """Statements whose answer was lost."""

    @property
    def block_check_fail_opens(self) -> int:
        """Times that blocks could not be read and messages passed."""

    @property
    def commit_seconds(self) -> float:
        """Time spent in storing."""

    @property
    def depth(self) -> int:
        """Messages that wait for their batch or their commit, over all lanes."""

    @property
    def batch_sizes(self) -> Histogram:
        """Messages per batch."""


class PoolCounters(Protocol):
    """Of the pool of database connections."""

    queries: int
    query_seconds: float
    timeouts: int
    errors: int

    @property
    def is_connected(self) -> bool:
        """Whether the database answered last time."""

    @property
    def size(self) -> int:
        """Open connections."""

    @property
    def idle(self) -> int:
        """Open connections that nobody uses."""

    @property
    def waiting(self) -> int:
        """Calls that wait for a connection."""

    @property
    def query_times(self) -> Mapping[str, Histogram]:
        """Seconds per query, by the caller's name for it."""


class SpineCounters(Protocol):
    """Of the dispatcher and the handlers."""

    commands: int

    @property
    def errors_by_code(self) -> Mapping[str, int]:
        """Refused or failed commands, by the code they were answered with."""

    @property
    def send_to_ack(self) -> Histogram:
        """Seconds from a message's arrival to its acknowledgement."""

    @property
    def send_to_delivery(self) -> Histogram:
        """Seconds from a message's arrival to its hand-over to the receiver's outbox."""


class CacheCounters(Protocol):
    """Of a bounded memory of look-ups."""

    hits: int
    misses: int

    def __len__(self) -> int: ...


class EventQueueCounters(Protocol):
    """Of what stores events for users who are not here; each counts for each of its users."""

    queued: int
    dropped: int

    @property
    def waiting(self) -> int:
        """Events that are not stored yet."""


class EventStoreCounters(Protocol):
    """Of what delivers them."""

    delivered: int
    depth: int
    oldest_age: float


class WebhookCounters(Protocol):
    """Of what stores and delivers webhooks; all zero where there are none."""

    @property
    def stored(self) -> int:
        """Webhooks that were stored."""

    @property
    def dropped(self) -> int:
        """Webhooks that could not be stored."""

    @property
    def delivered(self) -> int:
        """Webhooks that the main backend took."""

    @property
    def failures(self) -> int:
        """Tries in vain."""

    @property
    def given_up(self) -> int:
        """Webhooks that nobody tries again."""

    @property
    def depth(self) -> int:
        """Stored webhooks that wait, at the last look."""


class BusCounters(Protocol):
    """Of what connects this worker with the others."""

    @property
    def is_up(self) -> bool:
        """Whether every other worker can be heard."""

    @property
    def is_redis_connected(self) -> bool:
        """Whether Redis is used, and answers."""

    @property
    def peers(self) -> int:
        """The other workers."""

    @property
    def messages_out(self) -> int:
        """What was said to others."""

    @property
    def messages_in(self) -> int:
        """What others said."""

    @property
    def frames_out(self) -> int:
        """How many frames it took."""

    @property
    def refused(self) -> int:
        """Messages that could not be handed over."""

    @property
    def losses(self) -> int:
        """How often something was missing."""

    @property
    def held(self) -> int:
        """Events that wait for their predecessor."""

    @property
    def recovered(self) -> int:
        """Messages that were read from the database because the bus did not bring them."""

    @property
    def unanswered(self) -> int:
        """Events that were stored because another worker did not say that it has them."""

    @property
    def recoveries(self) -> int:
        """Looks into the database for what was lost."""


class NoBus:
    """Of a worker that is the only one."""

    is_up = True
    is_redis_connected = False
    peers = messages_out = messages_in = frames_out = refused = losses = 0
    held = recovered = unanswered = recoveries = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Everything that telemetry reads."""

    transport: TransportCounters
    limits: LimitCounters
    connections: ConnectionCounters
    hub: HubCounters
    writer: WriterCounters
    pool: PoolCounters
    spine: SpineCounters
    conversations: Sized  # rooms this worker has in memory
    event_queue: EventQueueCounters
    event_store: EventStoreCounters
    webhooks: WebhookCounters
    bus: BusCounters
    lag: LoopLag
    caches: Mapping[str, CacheCounters]
    cleared: Mapping[str, int]  # what housekeeping has cleared away, by kind
