"""The pages on the chat's own port."""

import asyncio
import re

import aiohttp
import pytest

from tests.functional.chat.talking import assert_error, database_away, page, say, say_id


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def get_json(http, url, status=200):
    async with http.get(url) as response:
        assert response.status == status
        assert response.content_type == "application/json"
        return await response.json()


async def get_samples(http, chat):
    """Every sample of the Prometheus page, by its name with labels."""
    async with http.get(f"{chat.http_url}/metrics/prometheus") as response:
        assert response.status == 200
        text = await response.text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


async def talk(chat):
    """Two users, two messages, one repeat, one edit, one page, one error, one refusal."""
    alice, bob = await chat.join(1), await chat.join(2)
    message_id = await say_id(alice, "2", clientMessageId="c-1")
    await say(alice, "2", clientMessageId="c-1")
    await say_id(bob, "1")
    await alice.request(type="edit_message", messageId=message_id, content="edited")
    await page(alice, "2")
    assert_error(await alice.request(type="no_such_command"), "UNKNOWN_TYPE")
    for number in range(9):
        await say(alice, "2", str(number))
    assert_error(await say(alice, "2"), "RATE_LIMIT_EXCEEDED")


async def test_health_tells_how_the_server_is(chat, http):
    await chat.join(1)
    health = await get_json(http, f"{chat.http_url}/health")
    assert health["status"] == "healthy"
    assert health["timestamp"].endswith("Z")
    assert health["uptime"] >= 0
    assert health["connections"] == {"active": 1, "peak": 1, "limit": 1000}
    assert health["memory"]["rss"] > 1_000_000
    database = health["database"]
    assert database["connected"] is True
    assert database["poolSize"] >= database["idleConnections"] >= 1
    assert health["redis"] == {"connected": False}
    assert health["workers"] == {"total": 1, "healthy": 1}
    names = {"messagesSent", "messagesReceived", "errors", "averageResponseTime"}
    assert set(health["metrics"]) == names


async def test_ready_and_live_answer_monitors(chat, http):
    assert (await get_json(http, f"{chat.http_url}/ready"))["status"] == "ready"
    assert (await get_json(http, f"{chat.http_url}/live"))["status"] == "live"


async def test_without_the_database_the_server_is_alive_but_not_ready(chat, http):
    alice = await chat.join(1)
    async with database_away(chat):
        # Somebody has to notice.
        assert_error(await page(alice, "2"), "SERVICE_UNAVAILABLE")
        async with asyncio.timeout(5):
            while chat.server.pool.is_connected:
                await asyncio.sleep(0.01)
        ready = await get_json(http, f"{chat.http_url}/ready", 503)
        assert ready["database"] == {"connected": False}
        health = await get_json(http, f"{chat.http_url}/health")
        assert health["status"] == "unhealthy"
        await get_json(http, f"{chat.http_url}/live")


async def test_the_figures_as_json(start_chat, http):
    chat = await start_chat(MESSAGE_RATE_LIMIT="11", COMMAND_RATE_LIMIT="100")
    await talk(chat)
    found = await get_json(http, f"{chat.http_url}/metrics")
    assert found["connections"] == found["peakConnections"] == 2
    assert found["activeUsers"] == found["peakConcurrentUsers"] == 2
    assert found["messagesReceived"] == 18
    assert found["messagesSent"] >= 30
    assert found["errors"] == 2
    assert found["errorsByCode"] == {"RATE_LIMIT_EXCEEDED": 1, "UNKNOWN_TYPE": 1}
    assert found["rateLimitHits"] == found["rateLimitHitsByLimit"]["message"] == 1
    assert found["startTime"].endswith("Z")
    assert found["conversations"] == 1
    assert found["averageResponseTime"] > 0
    assert found["totalDataTransferred"] > 3000
    assert found["timeouts"] == {"inactivity": 0, "keep_alive": 0, "authentication": 0}
    top = [{"ip": "127.0.0.1", "connections": 2}]
    assert found["ipConnections"] == {"addresses": 1, "highest": 2, "top": top}
    assert found["latency"]["sendToAck"]["count"] == 11
    assert found["latency"]["sendToDelivery"]["count"] == 11
    assert found["database"]["connected"] is True
    assert found["database"]["queries"] > 3
    assert found["writer"]["messages"] == 11
    assert found["writer"]["duplicates"] == 1
    assert found["writer"]["averageBatchSize"] > 0
    assert found["writer"]["depth"] == found["outboxSheds"] == found["slowConsumers"] == 0
    assert set(found["eventLoopLag"]) == {"latest", "worst"}
    assert found["memory"]["rss"] > 1_000_000


async def test_every_figure_is_there_for_prometheus(start_chat, http):
    chat = await start_chat(MESSAGE_RATE_LIMIT="11", COMMAND_RATE_LIMIT="100")
    await talk(chat)
    found = await get_samples(http, chat)
    for name, value in {
        "connections": 2,
        "connections_peak": 2,
        "connections_opened_total": 2,
        "connections_closed_total": 0,
        'timeouts_total{kind="inactivity"}': 0,
        'timeouts_total{kind="keep_alive"}': 0,
        'timeouts_total{kind="authentication"}': 0,
        "ip_addresses": 1,
        "ip_connections_highest": 2,
        "messages_in_total": 18,
        "commands_total": 18,
        "send_to_ack_seconds_count": 11,
        "send_to_delivery_seconds_count": 11,
        'errors_total{code="UNKNOWN_TYPE"}': 1,
        'rate_limit_hits_total{limit="message"}': 1,
        'rate_limit_hits_total{limit="command"}': 0,
        'rate_limit_hits_total{limit="ip"}': 0,
        "limit_misses_total": 0,
        "messages_stored_total": 11,
        "messages_duplicate_total": 1,
        "lane_depth": 0,
        "outbox_sheds_total": 0,
        "slow_consumers_total": 0,
        "pool_connected": 1,
        "pool_waiting": 0,
        "users_online": 2,
        "conversations": 1,
    }.items():
        assert found[f"fastchat_{name}"] == value, name
    for name in (
        "messages_out_total",
        "bytes_in_total",
        "bytes_out_total",
        "send_to_ack_seconds_sum",
        'send_to_ack_seconds_bucket{le="+Inf"}',
        "batches_total",
        "batch_size_messages_count",
        "commit_seconds_total",
        "pool_size",
        "pool_queries_total",
        "pool_query_seconds_total",
        'query_seconds_count{query="users"}',
        'query_seconds_count{query="history"}',
        "resident_memory_bytes",
        "start_time_seconds",
    ):
        assert found[f"fastchat_{name}"] > 0, name
    for name in ("event_loop_lag_seconds", "event_loop_lag_worst_seconds", "pool_idle"):
        assert found[f"fastchat_{name}"] >= 0, name
    assert any(name.startswith("fastchat_build_info{") for name in found)


async def test_metrics_come_as_text_when_text_is_accepted(chat, http):
    url = f"{chat.http_url}/metrics"
    for accept in ("text/plain;version=0.0.4", "application/openmetrics-text, text/plain;q=0.5"):
        async with http.get(url, headers={"Accept": accept}) as response:
            assert response.content_type == "text/plain"
            assert re.search(r"^fastchat_connections 0\.0$", await response.text(), re.M)
    for accept in ("*/*", "application/json", ""):
        async with http.get(url, headers={"Accept": accept}) as response:
            assert response.content_type == "application/json"


async def test_head_is_answered_like_get_without_a_body(chat, http):
    for path in ("/health", "/ready", "/live", "/metrics", "/metrics/prometheus"):
        async with http.head(chat.http_url + path) as response:
            assert response.status == 200
            assert int(response.headers["Content-Length"]) > 0
            assert await response.read() == b""


async def test_other_pages_and_methods_are_refused(chat, http):
    for method, path, status, code in (
        ("GET", "/", 404, "RESOURCE_NOT_FOUND"),
        ("GET", "/health/", 404, "RESOURCE_NOT_FOUND"),
        ("GET", "/metrics/other", 404, "RESOURCE_NOT_FOUND"),
        ("POST", "/nowhere", 404, "RESOURCE_NOT_FOUND"),
        ("POST", "/health", 405, "VALIDATION_ERROR"),
        ("DELETE", "/metrics", 405, "VALIDATION_ERROR"),
        ("PUT", "/live", 405, "VALIDATION_ERROR"),
    ):
        async with http.request(method, chat.http_url + path, data=b"x") as response:
            assert response.status == status, path
            body = await response.json()
        assert body["status"] == "error"
        assert body["code"] == code
        assert body["message"]
        assert body["details"]
        if status == 405:
            assert response.headers["Allow"] == "GET, HEAD"
    alice = await chat.join(1)
    assert (await alice.request(type="ping"))["type"] == "pong"
