"""Which figures there are and where they are read: one table for each kind.

Nothing is counted here. Once a second, and when somebody asks, the counters of the hot objects are
read into a ``Snapshot``.
"""

import asyncio
import heapq
import os
from collections.abc import Callable, Mapping
from time import monotonic

from fastchat.telemetry.snapshot import Buckets, Number, Snapshot
from fastchat.telemetry.sources import Histogram, Sources

MOST_ADDRESSES = 20  # of the busiest IP addresses, per worker

Reading = Callable[[Sources], Number]
LabelledReading = Callable[[Sources], Mapping[str, Number]]

# Name without the ending _total, help, how to read it.
COUNTERS: tuple[tuple[str, str, Reading], ...] = (
    ("connections_opened", "WebSocket connections opened", lambda s: s.transport.opened),
    ("connections_closed", "WebSocket connections closed", lambda s: s.transport.closed),
    ("messages_in", "Text messages received", lambda s: s.transport.messages_in),
    ("messages_out", "Text messages sent", lambda s: s.transport.messages_out),
    ("bytes_in", "Bytes received in frames", lambda s: s.transport.bytes_in),
    ("bytes_out", "Bytes sent in frames", lambda s: s.transport.bytes_out),
    (
        "outbox_sheds",
        "Ephemeral events dropped because an outbox was over its mark",
        lambda s: s.transport.ephemeral_sheds,
    ),
    (
        "slow_consumers",
        "Connections closed because their outbox was full",
        lambda s: s.transport.slow_consumers,
    ),
    (
        "limit_misses",
        "Decisions on a limit that a worker made alone although all share it",
        lambda s: s.limits.misses,
    ),
    ("commands", "Commands decoded and admitted", lambda s: s.spine.commands),
    ("batches", "Batches committed", lambda s: s.writer.batches),
    ("messages_stored", "Messages committed", lambda s: s.writer.messages),
    (
        "messages_duplicate",
        "Sends that repeated a stored client message id",
        lambda s: s.writer.duplicates,
    ),
    ("messages_refused", "Sends refused by the batch statement", lambda s: s.writer.refused),
    ("batch_retries", "Batches that ran again after an error", lambda s: s.writer.retries),
    (
        "batch_unknown_outcomes",
        "Batches whose answer was lost and had to be looked up",
        lambda s: s.writer.unknown_outcomes,
    ),
    (
        "block_check_fail_opens",
        "Batches that ran without the check of blocks because it failed",
        lambda s: s.writer.block_check_fail_opens,
    ),
    (
        "commit_seconds",
        "Seconds spent waiting for batches to commit",
        lambda s: s.writer.commit_seconds,
    ),
    (
        "events_queued",
        "Events stored for users who were not here",
        lambda s: s.event_queue.queued,
    ),
    ("events_delivered", "Stored events delivered", lambda s: s.event_store.delivered),
    (
        "events_dropped",
        "Events that could not be stored for users who were not here",
        lambda s: s.event_queue.dropped,
    ),
    ("webhooks_stored", "Webhooks stored", lambda s: s.webhooks.stored),
    ("webhooks_delivered", "Webhooks that the backend took", lambda s: s.webhooks.delivered),
    (
        "webhook_failures",
        "Tries of webhooks that the backend did not take",
        lambda s: s.webhooks.failures,
    ),
    (
        "webhooks_lost",
        "Webhooks given up, or never stored",
        lambda s: s.webhooks.given_up + s.webhooks.dropped,
    ),
    ("bus_messages_out", "Messages to other workers", lambda s: s.bus.messages_out),
    ("bus_messages_in", "Messages from other workers", lambda s: s.bus.messages_in),
    ("bus_frames_out", "Frames that carried messages to other workers", lambda s: s.bus.frames_out),
    ("bus_refused", "Messages that the bus did not take", lambda s: s.bus.refused),
    ("bus_losses", "Times that messages of another worker were missing", lambda s: s.bus.losses),
    (
        "bus_recoveries",
        "Looks into the database for what the bus did not bring",
        lambda s: s.bus.recoveries,
    ),
    (
        "events_recovered",
        "Messages read from the database because the bus did not bring them in time",
        lambda s: s.bus.recovered,
    ),
    (
        "events_unanswered",
        "Events stored because another worker did not say that it has them",
        lambda s: s.bus.unanswered,
    ),
    ("pool_queries", "Queries of the pool", lambda s: s.pool.queries),
    ("pool_query_seconds", "Seconds spent in queries of the pool", lambda s: s.pool.query_seconds),
    ("pool_timeouts", "Queries that missed their deadline", lambda s: s.pool.timeouts),
    ("pool_errors", "Queries that failed", lambda s: s.pool.errors),
)

GAUGES: tuple[tuple[str, str, Reading], ...] = (
    ("connections", "Open WebSocket connections", lambda s: s.transport.connections),
    (
        "connections_peak",
        "Most WebSocket connections at once since the start",
        lambda s: s.transport.peak_connections,
    ),
    (
        "read_buffer_pinned_bytes",
        "Memory held by read buffers that grew",
        lambda s: s.transport.pinned_bytes,
    ),
    ("users_online", "Users who count as online", lambda s: s.hub.users_online),
    (
        "users_online_peak",
        "Most users online at once since the start",
        lambda s: s.hub.peak_users,
    ),
    ("bus_up", "1: every worker hears all others, or is alone", lambda s: int(s.bus.is_up)),
    (
        "redis_connected",
        "1: Redis is used and answers, every worker",
        lambda s: int(s.bus.is_redis_connected),
    ),
    ("bus_peers", "Other workers that a worker knows", lambda s: s.bus.peers),
    ("events_held", "Events that wait for their predecessor", lambda s: s.bus.held),
    ("conversations", "Conversations in memory", lambda s: len(s.conversations)),
    ("lane_depth", "Messages that wait for their commit", lambda s: s.writer.depth),
    ("events_waiting", "Events that wait for their commit", lambda s: s.event_queue.waiting),
    (
        "events_undelivered",
        "Stored events of all workers that nobody has got yet, at the last look",
        lambda s: s.event_store.depth,
    ),
    (
        "events_oldest_seconds",
        "Age of the oldest of them",
        lambda s: s.event_store.oldest_age,
    ),
    (
        "webhooks_waiting",
        "Stored webhooks of all workers that wait, at the last look",
        lambda s: s.webhooks.depth,
    ),
    ("pool_connected", "1: the database answers, every worker", lambda s: int(s.pool.is_connected)),
    ("pool_size", "Open database connections of the pool", lambda s: s.pool.size),
    ("pool_idle", "Idle database connections of the pool", lambda s: s.pool.idle),
    ("pool_waiting", "Calls that wait for a database connection", lambda s: s.pool.waiting),
    (
        "ip_addresses",
        "IP addresses with an open connection, added up over the workers",
        lambda s: len(s.connections.connections_by_ip),
    ),
    (
        "ip_connections_highest",
        "Most open connections of one IP address",
        lambda s: max(s.connections.connections_by_ip.values(), default=0),
    ),
    ("tasks", "Tasks on the event loops", lambda _: running_tasks()),
    ("event_loop_lag_seconds", "Latest lateness of the event loop", lambda s: s.lag.latest),
    (
        "event_loop_lag_worst_seconds",
        "Largest lateness of the event loop in the last minute",
        lambda s: s.lag.worst,
    ),
    ("resident_memory_bytes", "Resident memory of the workers", lambda _: resident_bytes()),
)

HISTOGRAMS: tuple[tuple[str, str, Callable[[Sources], Histogram]], ...] = (
    (
        "send_to_ack_seconds",
        "From a message's arrival to its acknowledgement",
        lambda s: s.spine.send_to_ack,
    ),
    (
        "send_to_delivery_seconds",
        "From a message's arrival to the receiver's outbox",
        lambda s: s.spine.send_to_delivery,
    ),
    ("batch_size_messages", "Messages per batch", lambda s: s.writer.batch_sizes),
)

# Name, label, help, how to read it.
LABELLED: tuple[tuple[str, str, str, LabelledReading], ...] = (
    (
        "errors",
        "code",
        "Commands and log-ins answered with an error",
        lambda s: s.spine.errors_by_code,
    ),
    ("rate_limit_hits", "limit", "Refused by a limit", lambda s: _refusals(s)),
    (
        "cache_hits",
        "cache",
        "Look-ups that memory answered",
        lambda s: {name: cache.hits for name, cache in s.caches.items()},
    ),
    (
        "cache_misses",
        "cache",
        "Look-ups that memory could not answer",
        lambda s: {name: cache.misses for name, cache in s.caches.items()},
    ),
    ("cleared", "kind", "Cleared away", lambda s: s.cleared),
    ("timeouts", "kind", "Connections closed by a timeout", lambda s: _timeouts(s)),
)

LEVELS: tuple[tuple[str, str, str, LabelledReading], ...] = (
    (
        "cache_entries",
        "cache",
        "Values kept",
        lambda s: {name: len(cache) for name, cache in s.caches.items()},
    ),
)

QUERY_TIMES = "query_seconds"

# Of several workers the largest counts, or the smallest; all others are added up.
LARGEST = frozenset(
    {
        # Every worker knows of all users.
        "users_online",
        "bus_peers",
        "ip_connections_highest",
        "event_loop_lag_seconds",
        "event_loop_lag_worst_seconds",
        # Of the whole database, whoever looked.
        "events_undelivered",
        "events_oldest_seconds",
        "webhooks_waiting",
    }
)
SMALLEST = frozenset({"pool_connected", "bus_up", "redis_connected"})
# Gauges whose largest value counts, and what that is of.
PEAKS = {"connections_peak": "connections", "users_online_peak": "users_online"}


def read_sources(sources: Sources, worker: int, run: int) -> Snapshot:
    """Read everything; costs about 50 µs, and more with very many IP addresses.

    Args:
        sources: Of this process.
        worker: Number of the worker.
        run: Number of the process.
    """
    histograms = {name: {"": _buckets(find(sources))} for name, _, find in HISTOGRAMS}
    histograms[QUERY_TIMES] = {
        query: _buckets(times) for query, times in sorted(sources.pool.query_times.items())
    }
    counts = sources.connections.connections_by_ip
    busiest = heapq.nsmallest(MOST_ADDRESSES, counts, key=lambda ip: (-counts[ip], ip))
    return Snapshot(
        worker=worker,
        run=run,
        pid=os.getpid(),
        at=monotonic(),
        counters={name: read(sources) for name, _, read in COUNTERS},
        gauges={name: read(sources) for name, _, read in GAUGES},
        labelled={name: dict(sorted(read(sources).items())) for name, _, _, read in LABELLED},
        levels={name: dict(read(sources)) for name, _, _, read in LEVELS},
        histograms=histograms,
        addresses={ip: counts[ip] for ip in busiest},
        is_connected=sources.pool.is_connected,
    )


def add_gauges(snapshots: list[Snapshot]) -> dict[str, Number]:
    """Make one value of those of all workers."""
    total: dict[str, Number] = {}
    for name, _, _ in GAUGES:
        values = [snapshot.gauges[name] for snapshot in snapshots if name in snapshot.gauges]
        if name in SMALLEST:
            total[name] = min(values, default=0)
        elif name in LARGEST or name in PEAKS:
            total[name] = max(values, default=0)
        else:
            total[name] = sum(values)
    for peak, name in PEAKS.items():
        total[peak] = max(total[peak], total[name])
    return total


def running_tasks() -> int:
    """Tasks of this event loop; 0 where none runs."""
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return 0


def resident_bytes() -> int:
    """Resident memory of this process; 0 where /proc is missing."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _refusals(sources: Sources) -> dict[str, int]:
    return {
        "message": sources.limits.message_refusals,
        "command": sources.limits.command_refusals,
        "ip": sources.connections.ip_refusals,
        "connections": sources.connections.connection_refusals,
    }


def _timeouts(sources: Sources) -> dict[str, int]:
    transport = sources.transport
    return {
        "inactivity": transport.inactivity_timeouts,
        "keep_alive": transport.keep_alive_timeouts,
        "authentication": transport.authentication_timeouts,
    }


def _buckets(histogram: Histogram) -> Buckets:
    return Buckets(list(histogram.bounds), list(histogram.counts), histogram.sum)
