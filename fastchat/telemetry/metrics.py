"""The figures of ``/metrics``, as JSON and as Prometheus text.

Nothing is counted here: when somebody asks, the counters of the hot objects are read.
"""

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from prometheus_client import generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector, CollectorRegistry

from fastchat.telemetry.sources import CacheCounters, Histogram, Sources

PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MOST_IPS_SHOWN = 5

Reading = Callable[[Sources], float]

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
    ("conversations", "Conversations in memory", lambda s: len(s.conversations)),
    ("lane_depth", "Messages that wait for their commit", lambda s: s.writer.depth),
    ("pool_connected", "1: the database answers", lambda s: s.pool.is_connected),
    ("pool_size", "Open database connections of the pool", lambda s: s.pool.size),
    ("pool_idle", "Idle database connections of the pool", lambda s: s.pool.idle),
    ("pool_waiting", "Calls that wait for a database connection", lambda s: s.pool.waiting),
    ("ip_addresses", "IP addresses with an open connection", lambda s: _ip_counts(s)[0]),
    (
        "ip_connections_highest",
        "Most open connections of one IP address",
        lambda s: _ip_counts(s)[1],
    ),
    ("event_loop_lag_seconds", "Latest lateness of the event loop", lambda s: s.lag.latest),
    (
        "event_loop_lag_worst_seconds",
        "Largest lateness of the event loop in the last minute",
        lambda s: s.lag.worst,
    ),
    ("resident_memory_bytes", "Resident memory of this process", lambda _: resident_bytes()),
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


CACHES: tuple[tuple[str, str, Callable[[CacheCounters], int]], ...] = (
    ("cache_hits", "Look-ups that memory answered", lambda cache: cache.hits),
    ("cache_misses", "Look-ups that memory could not answer", lambda cache: cache.misses),
)


class Metrics(Collector):
    """Reads the sources when asked; a collector for prometheus-client."""

    def __init__(
        self,
        sources: Sources,
        *,
        compiled: bool,
        version: str,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Take what to read, whether the kernels are compiled, and a clock (Unix seconds)."""
        self.sources = sources
        self.started_at = wall_clock()
        self._wall_clock = wall_clock
        self._build = {"version": version, "compiled": "yes" if compiled else "no"}
        # Without the automatic describe: it would read everything at start.
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def uptime(self) -> float:
        """Seconds since the start."""
        return max(0.0, self._wall_clock() - self.started_at)

    def timestamp(self) -> str:
        """Now, as ISO 8601 UTC with milliseconds."""
        return iso_time(self._wall_clock())

    def prometheus(self) -> bytes:
        """Everything in the text format of Prometheus."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; prometheus-client calls this."""
        sources = self.sources
        for name, text, read in COUNTERS:
            yield CounterMetricFamily(f"fastchat_{name}", text, value=read(sources))
        for name, text, read in GAUGES:
            yield GaugeMetricFamily(f"fastchat_{name}", text, value=float(read(sources)))
        for name, text, find in HISTOGRAMS:
            family = HistogramMetricFamily(f"fastchat_{name}", text)
            _add_histogram(family, [], find(sources))
            yield family
        queries = HistogramMetricFamily(
            "fastchat_query_seconds", "Seconds per query of the pool", labels=["query"]
        )
        for query, histogram in sorted(sources.pool.query_times.items()):
            _add_histogram(queries, [query], histogram)
        yield queries
        yield _labelled("errors", "Commands answered with an error", "code", error_counts(sources))
        yield _labelled("rate_limit_hits", "Refused by a limit", "limit", refusals(sources))
        for name, text, count in CACHES:
            yield _labelled(name, text, "cache", {k: count(v) for k, v in sources.caches.items()})
        entries = GaugeMetricFamily("fastchat_cache_entries", "Values kept", labels=["cache"])
        for name, cache in sources.caches.items():
            entries.add_metric([name], len(cache))
        yield entries
        yield _labelled("cleared", "Cleared away", "kind", dict(sources.cleared))
        yield _labelled("timeouts", "Connections closed by a timeout", "kind", timeouts(sources))
        labels = list(self._build)
        build = GaugeMetricFamily("fastchat_build_info", "Version and build", labels=labels)
        build.add_metric(list(self._build.values()), 1.0)
        yield build
        yield GaugeMetricFamily(
            "fastchat_start_time_seconds", "Start of this process (Unix)", value=self.started_at
        )

    def json(self) -> dict[str, object]:
        """The body of ``/metrics``; times in milliseconds, as on the rest of the wire."""
        sources = self.sources
        transport, pool, writer, spine = (
            sources.transport,
            sources.pool,
            sources.writer,
            sources.spine,
        )
        addresses, highest = _ip_counts(sources)
        return {
            "connections": transport.connections,
            "messagesSent": transport.messages_out,
            "messagesReceived": transport.messages_in,
            "errors": sum(spine.errors_by_code.values()),
            "startTime": iso_time(self.started_at),
            "activeUsers": sources.hub.users_online,
            "conversations": len(sources.conversations),
            "peakConcurrentUsers": sources.hub.peak_users,
            "averageResponseTime": average_response_ms(sources),
            "totalDataTransferred": transport.bytes_in + transport.bytes_out,
            "rateLimitHits": sum(refusals(sources).values()),
            "uptime": round(self.uptime(), 3),
            "peakConnections": transport.peak_connections,
            "timeouts": timeouts(sources),
            "errorsByCode": error_counts(sources),
            "rateLimitHitsByLimit": refusals(sources),
            "ipConnections": {
                "addresses": addresses,
                "highest": highest,
                "top": _busiest_ips(sources),
            },
            "latency": {
                "sendToAck": _summary_ms(spine.send_to_ack),
                "sendToDelivery": _summary_ms(spine.send_to_delivery),
            },
            "database": {
                "connected": pool.is_connected,
                "poolSize": pool.size,
                "idleConnections": pool.idle,
                "waiting": pool.waiting,
                "queries": pool.queries,
                "averageQueryTime": _mean(pool.query_seconds, pool.queries, 1000),
                "timeouts": pool.timeouts,
                "errors": pool.errors,
            },
            "writer": {
                "batches": writer.batches,
                "messages": writer.messages,
                "averageBatchSize": _mean(writer.messages, writer.batches),
                "averageCommitTime": _mean(writer.commit_seconds, writer.batches, 1000),
                "depth": writer.depth,
                "duplicates": writer.duplicates,
                "refused": writer.refused,
                "retries": writer.retries,
                "unknownOutcomes": writer.unknown_outcomes,
                "blockCheckFailOpens": writer.block_check_fail_opens,
            },
            "caches": {
                name: {
                    "entries": len(cache),
                    "hits": cache.hits,
                    "misses": cache.misses,
                    "hitRate": _mean(cache.hits, cache.hits + cache.misses),
                }
                for name, cache in sources.caches.items()
            },
            "cleared": dict(sources.cleared),
            "outboxSheds": transport.ephemeral_sheds,
            "slowConsumers": transport.slow_consumers,
            "eventLoopLag": {
                "latest": round(sources.lag.latest * 1000, 3),
                "worst": round(sources.lag.worst * 1000, 3),
            },
            "memory": {"rss": resident_bytes(), "pinnedReadBuffers": transport.pinned_bytes},
            "compiled": self._build["compiled"] == "yes",
            "version": self._build["version"],
        }


def error_counts(sources: Sources) -> dict[str, int]:
    """Errors by code, sorted."""
    return dict(sorted(sources.spine.errors_by_code.items()))


def refusals(sources: Sources) -> dict[str, int]:
    """What the limits refused, by limit."""
    return {
        "message": sources.limits.message_refusals,
        "command": sources.limits.command_refusals,
        "ip": sources.connections.ip_refusals,
        "connections": sources.connections.connection_refusals,
    }


def timeouts(sources: Sources) -> dict[str, int]:
    """Connections closed by a timeout, by kind."""
    transport = sources.transport
    return {
        "inactivity": transport.inactivity_timeouts,
        "keep_alive": transport.keep_alive_timeouts,
        "authentication": transport.authentication_timeouts,
    }


def average_response_ms(sources: Sources) -> float:
    """Mean milliseconds from a send to its acknowledgement; 0.0 before the first one."""
    return _mean(sources.spine.send_to_ack.sum, sources.spine.send_to_ack.count, 1000)


def resident_bytes() -> int:
    """Resident memory of this process; 0 where /proc is missing."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def iso_time(seconds: float) -> str:
    """Unix seconds as ISO 8601 UTC with milliseconds and ``Z``."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def quantile(histogram: Histogram, share: float) -> float:
    """The value below which a share of the observations lies, interpolated within its bucket.

    Above the last bound nothing is known but the bound, which is then the answer.
    """
    wanted = share * histogram.count
    below = 0
    lower = 0.0
    for bound, count in zip(histogram.bounds, histogram.counts, strict=False):
        if count and below + count >= wanted:
            return lower + (bound - lower) * (wanted - below) / count
        below += count
        lower = bound
    return lower if histogram.count else 0.0


def _summary_ms(histogram: Histogram) -> dict[str, float]:
    return {
        "count": histogram.count,
        "mean": _mean(histogram.sum, histogram.count, 1000),
        "p50": round(quantile(histogram, 0.5) * 1000, 3),
        "p99": round(quantile(histogram, 0.99) * 1000, 3),
    }


def _mean(total: float, count: int, scale: float = 1.0) -> float:
    return round(total / count * scale, 3) if count else 0.0


def _ip_counts(sources: Sources) -> tuple[int, int]:
    counts = sources.connections.connections_by_ip
    return len(counts), max(counts.values(), default=0)


def _busiest_ips(sources: Sources) -> list[dict[str, object]]:
    counts = sources.connections.connections_by_ip.items()
    busiest = sorted(counts, key=lambda item: (-item[1], item[0]))[:MOST_IPS_SHOWN]
    return [{"ip": ip, "connections": count} for ip, count in busiest]


def _labelled(name: str, text: str, label: str, counts: dict[str, int]) -> Metric:
    family = CounterMetricFamily(f"fastchat_{name}", text, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family


def _add_histogram(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    buckets: list[tuple[str, float]] = []
    below = 0
    for bound, count in zip(histogram.bounds, histogram.counts, strict=False):
        below += count
        buckets.append((repr(float(bound)), below))
    buckets.append(("+Inf", histogram.count))
    family.add_metric(labels, buckets, histogram.sum)
