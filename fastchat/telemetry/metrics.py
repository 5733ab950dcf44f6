"""The figures of ``/metrics``, as JSON and as Prometheus text, over all workers of the server."""

import time
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector, CollectorRegistry

from fastchat.protocol.times import iso_time
from fastchat.telemetry.census import Census, View
from fastchat.telemetry.figures import COUNTERS, GAUGES, HISTOGRAMS, LABELLED, LEVELS, QUERY_TIMES
from fastchat.telemetry.snapshot import Buckets, Number, Totals

PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MOST_IPS_SHOWN = 5


class Metrics(Collector):
    """Writes the figures when asked; a collector for prometheus-client."""

    def __init__(
        self,
        figures: Census,
        *,
        compiled: bool,
        version: str,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the figures, whether the kernels are compiled, and a clock (Unix seconds)."""
        self._figures = figures
        self._wall_clock = wall_clock
        self._build = {"version": version, "compiled": "yes" if compiled else "no"}
        # Without the automatic describe: it would read everything at start.
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def view(self) -> View:
        """Read the figures of all workers."""
        return self._figures.view()

    def uptime(self, view: View) -> float:
        """Seconds since the start of the server."""
        return round(max(0.0, self._wall_clock() - view.record.started_at), 3)

    def timestamp(self) -> str:
        """Now, as ISO 8601 UTC with milliseconds."""
        return iso_time(self._wall_clock())

    def prometheus(self) -> bytes:
        """Everything in the text format of Prometheus."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; prometheus-client calls this."""
        view = self.view()
        totals = view.totals
        for name, text, _ in COUNTERS:
            value = totals.counters.get(name, 0)
            yield CounterMetricFamily(f"fastchat_{name}", text, value=value)
        for name, text, _ in GAUGES:
            yield GaugeMetricFamily(f"fastchat_{name}", text, value=float(view.gauges[name]))
        for name, text, _ in HISTOGRAMS:
            family = HistogramMetricFamily(f"fastchat_{name}", text)
            _add_histogram(family, [], totals.histograms[name][""])
            yield family
        queries = HistogramMetricFamily(
            f"fastchat_{QUERY_TIMES}", "Seconds per query of the pool", labels=["query"]
        )
        for query, histogram in totals.histograms[QUERY_TIMES].items():
            _add_histogram(queries, [query], histogram)
        yield queries
        for name, label, text, _ in LABELLED:
            yield _add_values(
                CounterMetricFamily(f"fastchat_{name}", text, labels=[label]),
                totals.labelled.get(name, {}),
            )
        for name, label, text, _ in LEVELS:
            yield _add_values(
                GaugeMetricFamily(f"fastchat_{name}", text, labels=[label]),
                view.levels.get(name, {}),
            )
        yield from _worker_metrics(view)
        labels = list(self._build)
        build = GaugeMetricFamily("fastchat_build_info", "Version and build", labels=labels)
        build.add_metric(list(self._build.values()), 1.0)
        yield build
        yield GaugeMetricFamily(
            "fastchat_start_time_seconds",
            "Start of this server (Unix)",
            value=view.record.started_at,
        )

    def json(self) -> dict[str, object]:
        """The body of ``/metrics``; times in milliseconds, as on the rest of the wire."""
        view = self.view()
        gauges, levels = view.gauges, view.levels
        counters, labelled = view.totals.counters, view.totals.labelled
        histograms = view.totals.histograms
        return {
            "connections": gauges["connections"],
            "messagesSent": counters["messages_out"],
            "messagesReceived": counters["messages_in"],
            "errors": sum(labelled["errors"].values()),
            "startTime": iso_time(view.record.started_at),
            "activeUsers": gauges["users_online"],
            "conversations": gauges["conversations"],
            "peakConcurrentUsers": gauges["users_online_peak"],
            "averageResponseTime": average_response_ms(view.totals),
            "totalDataTransferred": counters["bytes_in"] + counters["bytes_out"],
            "rateLimitHits": sum(labelled["rate_limit_hits"].values()),
            "uptime": self.uptime(view),
            "peakConnections": gauges["connections_peak"],
            "timeouts": labelled["timeouts"],
            "errorsByCode": dict(sorted(labelled["errors"].items())),
            "rateLimitHitsByLimit": labelled["rate_limit_hits"],
            "ipConnections": {
                "addresses": gauges["ip_addresses"],
                "highest": gauges["ip_connections_highest"],
                "top": _busiest_ips(view),
            },
            "latency": {
                "sendToAck": _summary_ms(histograms["send_to_ack_seconds"][""]),
                "sendToDelivery": _summary_ms(histograms["send_to_delivery_seconds"][""]),
            },
            "database": {
                "connected": bool(gauges["pool_connected"]),
                "poolSize": gauges["pool_size"],
                "idleConnections": gauges["pool_idle"],
                "waiting": gauges["pool_waiting"],
                "queries": counters["pool_queries"],
                "averageQueryTime": _mean(
                    counters["pool_query_seconds"], counters["pool_queries"], 1000
                ),
                "timeouts": counters["pool_timeouts"],
                "errors": counters["pool_errors"],
            },
            "writer": {
                "batches": counters["batches"],
                "messages": counters["messages_stored"],
                "averageBatchSize": _mean(counters["messages_stored"], counters["batches"]),
                "averageCommitTime": _mean(counters["commit_seconds"], counters["batches"], 1000),
                "depth": gauges["lane_depth"],
                "duplicates": counters["messages_duplicate"],
                "refused": counters["messages_refused"],
                "retries": counters["batch_retries"],
                "unknownOutcomes": counters["batch_unknown_outcomes"],
                "blockCheckFailOpens": counters["block_check_fail_opens"],
            },
            "events": {
                "queued": counters["events_queued"],
                "delivered": counters["events_delivered"],
                "dropped": counters["events_dropped"],
                "waiting": gauges["events_waiting"],
                "undelivered": gauges["events_undelivered"],
                "oldestAge": round(gauges["events_oldest_seconds"] * 1000),
            },
            "webhooks": {
                "stored": counters["webhooks_stored"],
                "delivered": counters["webhooks_delivered"],
                "failures": counters["webhook_failures"],
                "lost": counters["webhooks_lost"],
                "waiting": gauges["webhooks_waiting"],
            },
            "bus": {
                "up": bool(gauges["bus_up"]),
                "peers": gauges["bus_peers"],
                "messagesSent": counters["bus_messages_out"],
                "messagesReceived": counters["bus_messages_in"],
                "frames": counters["bus_frames_out"],
                "refused": counters["bus_refused"],
                "losses": counters["bus_losses"],
                "recoveries": counters["bus_recoveries"],
                "held": gauges["events_held"],
                "recovered": counters["events_recovered"],
                "unanswered": counters["events_unanswered"],
            },
            "caches": {
                name: {
                    "entries": levels["cache_entries"].get(name, 0),
                    "hits": hits,
                    "misses": labelled["cache_misses"][name],
                    "hitRate": _mean(hits, hits + labelled["cache_misses"][name]),
                }
                for name, hits in labelled["cache_hits"].items()
            },
            "cleared": labelled["cleared"],
            "outboxSheds": counters["outbox_sheds"],
            "slowConsumers": counters["slow_consumers"],
            "eventLoopLag": {
                "latest": round(gauges["event_loop_lag_seconds"] * 1000, 3),
                "worst": round(gauges["event_loop_lag_worst_seconds"] * 1000, 3),
            },
            "memory": {
                "rss": gauges["resident_memory_bytes"],
                "pinnedReadBuffers": gauges["read_buffer_pinned_bytes"],
            },
            "workers": {
                "total": view.record.workers,
                "healthy": view.healthy,
                "restarts": view.record.restarts,
                "each": [
                    {
                        "worker": snapshot.worker,
                        "pid": snapshot.pid,
                        "draining": snapshot.is_draining,
                        "connections": snapshot.gauges["connections"],
                        "rss": snapshot.gauges["resident_memory_bytes"],
                    }
                    for snapshot in view.workers
                ],
            },
            "compiled": self._build["compiled"] == "yes",
            "version": self._build["version"],
        }


def average_response_ms(totals: Totals) -> float:
    """Mean milliseconds from a send to its acknowledgement; 0.0 before the first one."""
    histogram = totals.histograms["send_to_ack_seconds"][""]
    return _mean(histogram.sum, histogram.count, 1000)


def quantile(histogram: Buckets, share: float) -> float:
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


def _summary_ms(histogram: Buckets) -> dict[str, float]:
    return {
        "count": histogram.count,
        "mean": _mean(histogram.sum, histogram.count, 1000),
        "p50": round(quantile(histogram, 0.5) * 1000, 3),
        "p99": round(quantile(histogram, 0.99) * 1000, 3),
    }


def _mean(total: Number, count: Number, scale: float = 1.0) -> float:
    return round(total / count * scale, 3) if count else 0.0


def _busiest_ips(view: View) -> list[dict[str, object]]:
    counts: dict[str, int] = {}
    for snapshot in view.workers:
        for ip, count in snapshot.addresses.items():
            counts[ip] = counts.get(ip, 0) + count
    busiest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_IPS_SHOWN]
    return [{"ip": ip, "connections": count} for ip, count in busiest]


def _worker_metrics(view: View) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "fastchat_workers", "Workers that should run", value=view.record.workers
    )
    yield GaugeMetricFamily(
        "fastchat_workers_healthy",
        "Workers that serve and reach the database",
        value=view.healthy,
    )
    yield CounterMetricFamily(
        "fastchat_worker_restarts", "Workers that died", value=view.record.restarts
    )
    for name, text, gauge in (
        ("connections", "Open WebSocket connections of a worker", "connections"),
        ("resident_memory_bytes", "Resident memory of a worker", "resident_memory_bytes"),
    ):
        # Two processes of one worker while one takes over from the other.
        values: dict[str, Number] = {}
        for snapshot in view.workers:
            number = str(snapshot.worker)
            values[number] = values.get(number, 0) + snapshot.gauges[gauge]
        yield _add_values(
            GaugeMetricFamily(f"fastchat_worker_{name}", text, labels=["worker"]), values
        )


def _add_values(
    family: CounterMetricFamily | GaugeMetricFamily, values: Mapping[str, Number]
) -> Metric:
    for value, count in values.items():
        family.add_metric([value], count)
    return family


def _add_histogram(family: HistogramMetricFamily, labels: list[str], histogram: Buckets) -> None:
    buckets: list[tuple[str, float]] = []
    below = 0
    for bound, count in zip(histogram.bounds, histogram.counts, strict=False):
        below += count
        buckets.append((repr(float(bound)), below))
    buckets.append(("+Inf", histogram.count))
    family.add_metric(labels, buckets, histogram.sum)
