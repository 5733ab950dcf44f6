"""The figures of /metrics, as JSON and as Prometheus text, from hand-written sources."""

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fastchat.telemetry.figures import resident_bytes
from fastchat.telemetry.metrics import quantile
from fastchat.telemetry.snapshot import Buckets
from tests.unit.telemetry.fakes import FakeServer


@pytest.fixture
def server():
    return FakeServer()


@pytest.fixture
def metrics(server):
    return server.metrics


def samples(metrics):
    families = text_string_to_metric_families(metrics.prometheus().decode())
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def test_json_has_the_published_fields(metrics):
    body = metrics.json()
    published = {
        "connections": 7,
        "messagesSent": 200,
        "messagesReceived": 100,
        "errors": 3,
        "startTime": "2023-11-14T22:13:20.000Z",
        "activeUsers": 5,
        "conversations": 11,
        "peakConcurrentUsers": 6,
        "averageResponseTime": 100.0,
        "totalDataTransferred": 3000,
        "rateLimitHits": 10,
    }
    assert {name: body[name] for name in published} == published


def test_json_is_plain(metrics):
    body = metrics.json()
    assert json.loads(json.dumps(body, allow_nan=False)) == body


def test_json_shows_how_many_ips_and_the_busiest_ones(metrics):
    shown = metrics.json()["ipConnections"]
    assert (shown["addresses"], shown["highest"]) == (7, 7)
    assert [row["connections"] for row in shown["top"]] == [7, 6, 5, 4, 3]


def test_json_shows_how_often_memory_had_the_answer(metrics):
    assert metrics.json()["caches"] == {
        "pages": {"entries": 2, "hits": 3, "misses": 1, "hitRate": 0.75}
    }


def test_json_shows_what_became_of_events_for_those_who_are_not_here(metrics):
    assert metrics.json()["events"] == {
        "queued": 21,
        "delivered": 17,
        "dropped": 1,
        "waiting": 2,
        "undelivered": 4,
        "oldestAge": 90_500,
    }


def test_prometheus_counters_gauges_and_labels_carry_the_sources_figures(metrics):
    found = samples(metrics)
    expected = {
        ("fastchat_connections",): 7,
        ("fastchat_messages_in_total",): 100,
        ("fastchat_messages_stored_total",): 40,
        ("fastchat_lane_depth",): 8,
        ("fastchat_pool_connected",): 1,
        ("fastchat_events_queued_total",): 21,
        ("fastchat_events_delivered_total",): 17,
        ("fastchat_events_undelivered",): 4,
        ("fastchat_events_oldest_seconds",): 90.5,
        ("fastchat_errors_total", ("code", "AUTH_REQUIRED")): 1,
        ("fastchat_rate_limit_hits_total", ("limit", "connections")): 4,
        ("fastchat_limit_misses_total",): 8,
        ("fastchat_timeouts_total", ("kind", "keep_alive")): 5,
        ("fastchat_ip_connections_highest",): 7,
        ("fastchat_cache_hits_total", ("cache", "pages")): 3,
        ("fastchat_cache_misses_total", ("cache", "pages")): 1,
        ("fastchat_cache_entries", ("cache", "pages")): 2,
        ("fastchat_cleared_total", ("kind", "pictures")): 4,
        ("fastchat_build_info", ("compiled", "yes"), ("version", "1.2.3")): 1,
    }
    assert {name: found[name] for name in expected} == expected


def test_prometheus_histograms_are_cumulated(metrics):
    found = samples(metrics)
    name = "fastchat_send_to_ack_seconds"
    buckets = [found[f"{name}_bucket", ("le", le)] for le in ("0.001", "0.01", "0.1", "+Inf")]
    assert buckets == [1, 3, 4, 5]
    assert (found[f"{name}_count",], found[f"{name}_sum",]) == (5, 0.5)


def test_query_times_are_labelled_by_query(metrics):
    found = samples(metrics)
    assert found["fastchat_query_seconds_count", ("query", "login")] == 3


def test_every_prometheus_metric_has_a_help_text_and_the_prefix(metrics):
    for family in text_string_to_metric_families(metrics.prometheus().decode()):
        assert family.documentation
        assert family.name.startswith("fastchat_")


def test_figures_are_read_anew_each_time(server, metrics):
    server.sources[1].transport.messages_in += 1
    assert metrics.json()["messagesReceived"] == 101
    assert samples(metrics)["fastchat_messages_in_total",] == 101


def test_means_before_the_first_observation_are_zero(metrics):
    assert metrics.json()["latency"]["sendToDelivery"] == {
        "count": 0,
        "mean": 0.0,
        "p50": 0.0,
        "p99": 0.0,
    }


def test_sums_maxima_and_histograms_cover_all_workers():
    server = FakeServer(workers=2)
    server.sources[2].lag.latest = 0.25
    server.sources[2].pool.is_connected = False
    server.census[2].publish()
    for metrics in (server.metrics, server.metrics_of(2)):
        found = samples(metrics)
        expected = {
            ("fastchat_connections",): 14,
            ("fastchat_messages_in_total",): 200,
            ("fastchat_errors_total", ("code", "VALIDATION_ERROR")): 4,
            ("fastchat_cache_entries", ("cache", "pages")): 4,
            ("fastchat_send_to_ack_seconds_count",): 10,
            ("fastchat_send_to_ack_seconds_bucket", ("le", "0.01")): 6,
            ("fastchat_query_seconds_count", ("query", "login")): 6,
            ("fastchat_event_loop_lag_seconds",): 0.25,
            ("fastchat_pool_connected",): 0,
            ("fastchat_ip_connections_highest",): 7,
            ("fastchat_workers",): 2,
            ("fastchat_workers_healthy",): 1,
            ("fastchat_worker_connections", ("worker", "1")): 7,
            ("fastchat_worker_connections", ("worker", "2")): 7,
        }
        assert {name: found[name] for name in expected} == expected
        body = metrics.json()
        assert body["messagesSent"] == 400
        assert body["latency"]["sendToAck"]["count"] == 10
        assert body["ipConnections"]["top"][0] == {"ip": "10.0.0.7", "connections": 14}
        assert [each["connections"] for each in body["workers"]["each"]] == [7, 7]


def test_two_processes_of_one_worker_are_one_worker():
    server = FakeServer()
    server.join(worker=1, seat=2, run=2)
    assert samples(server.metrics)["fastchat_worker_connections", ("worker", "1")] == 14


def test_quantile_is_interpolated_and_ends_at_the_last_bound():
    histogram = Buckets([1.0, 2.0], [2, 2, 1], 0.0)
    assert quantile(histogram, 0.4) == pytest.approx(1.0)
    assert quantile(histogram, 0.6) == pytest.approx(1.5)
    assert quantile(histogram, 0.99) == pytest.approx(2.0)


def test_resident_memory_is_that_of_a_python_process():
    assert 5_000_000 < resident_bytes() < 10_000_000_000
