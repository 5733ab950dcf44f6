"""What ``fastchat doctor`` looks at in a Redis; nothing is written."""

import asyncio
from typing import Any

from fastchat.broker.redis_address import RedisAddress
from fastchat.broker.redis_connection import (
    RedisConnection,
    RedisRefusal,
    RedisTimings,
    explain,
)
from fastchat.broker.redis_probe import probe
from fastchat.cli.doctor import Finding

LEAST_BUFFER = 8 * 1024 * 1024  # bytes that a worker may be behind before it is cut off
LOOPBACK = ("localhost", "127.0.0.1", "::1")
USER = "ACL SETUSER fastchat on >PASSWORD resetchannels &fastchat:* +ping +publish +subscribe"


async def examine_redis(url: str) -> list[Finding]:
    """Return what was found; every wait is bounded."""
    address = RedisAddress.parse(url)
    try:
        found = await probe(address)
    except (OSError, RedisRefusal) as error:
        return [Finding("FAIL", "Redis", f"{address}: {explain(error)}")]
    findings = [Finding("ok", "Redis", f"{found.greeting} answers in {found.latency * 1e3:.1f} ms")]
    findings += [Finding("FAIL", "Redis", problem) for problem in found.problems]
    if found.refusal:
        findings.append(Finding("FAIL", "Redis", f"messages do not pass: {found.refusal}", USER))
    if not found.greeting.is_cluster and found.greeting.role != "master":
        text = "is a replica, expected the server that it copies"
        findings.append(Finding("warn", "Redis", text, "REPLICAOF NO ONE"))
    is_local = bool(address.path) or address.host in LOOPBACK
    if not address.credentials():
        level = "note" if is_local else "warn"
        findings.append(Finding(level, "Redis", "lets everybody in without a password", USER))
    if not is_local and address.tls_context() is None:
        text = "messages pass in the clear to another machine, expected rediss://"
        findings.append(Finding("warn", "Redis", text))
    return findings + await _examine_limits(address)


async def _examine_limits(address: RedisAddress) -> list[Finding]:
    """Look at settings, as far as the user of the address may."""
    timings = RedisTimings()
    connection = await RedisConnection.connect(
        address,
        timings,
        "fastchat:doctor",
        on_message=lambda connection, channel, payload: None,
        on_gone=lambda connection, channel: None,
        on_refusal=lambda connection, text: None,
        on_lost=lambda connection, reason: None,
    )
    try:
        async with asyncio.timeout(timings.patience):
            answer = await connection.call("CONFIG", "GET", "client-output-buffer-limit")
            who = await connection.call("ACL", "WHOAMI")
    except (OSError, RedisRefusal) as error:
        text = f"its settings cannot be looked at, which is well: {explain(error)}"
        return [Finding("ok", "Redis", text)]
    finally:
        connection.close()
    findings = []
    limit = _pubsub_limit(answer)
    if limit is not None and 0 < limit < LEAST_BUFFER:
        fix = 'CONFIG SET client-output-buffer-limit "pubsub 33554432 8388608 60"'
        text = f"a worker is cut off when it is {limit} bytes behind, expected {LEAST_BUFFER}"
        findings.append(Finding("warn", "Redis", text, fix))
    if address.credentials() and who == b"default":
        text = "fastchat is the user default, who may do everything"
        findings.append(Finding("note", "Redis", text, USER))
    return findings


def _pubsub_limit(answer: Any) -> int | None:
    """Return the hard limit of subscribers in bytes; 0: none."""
    values = list(answer.values()) if isinstance(answer, dict) else list(answer)[1:]
    words = values[0].decode().split() if values else []
    return int(words[words.index("pubsub") + 1]) if "pubsub" in words else None
