"""Drives each documented limit to its edge, on servers of its own, and says where the edge was.

With real values wherever a minute is enough. Three spans are longer, or would be beside others, and
are shortened by their settings, which the table names: CONNECTION_TIMEOUT (5 min), EDIT_WINDOW
(5 min) and KEEP_ALIVE_TIMEOUT (60 s). The 3000 requests are driven with their real number. With
``--whole`` all of these have their real values too, until the window of 15 minutes has passed.

    python -m loadtests.documented_limits [--quick | --whole] [--only WORD]
"""

import argparse
import asyncio
import http.client
import inspect
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import uvloop

from fastchat.bench.peer import Peer, PeerError
from fastchat.bench.private_server import PrivateServer, private_database, private_server
from loadtests.documented_timeouts import (
    SHORT,
    authentication_deadline,
    edit_window,
    inactivity,
    keep_alive,
    offline_grace,
    whole_edit_window,
    whole_inactivity,
    whole_keep_alive,
)
from loadtests.guests import Edge, enter_soon, expect, guest, new_address, send, until, user

USERS = 200
FEW = {"PRESENCE_SCOPE": "none"}
WINDOW = 900.0  # seconds in which requests of an address are counted
MOST = WINDOW + 60.0  # seconds of a check
MEBIBYTE = 1 << 20


@dataclass(slots=True)
class Outcome:
    """What was found at one limit."""

    limit: str
    setting: str
    found: str
    is_right: bool


async def fill(peer: Peer, to: int, count: int, content: str = "hello") -> None:
    """Send so many messages that all are accepted."""
    for answer in await asyncio.gather(*(send(peer, to, content) for _ in range(count))):
        expect(answer["type"], "message_sent", "a message within the limit")


async def messages_per_minute(server: PrivateServer, first: int, count: int, content: str) -> str:
    async with user(server, first) as peer, user(server, first) as second:
        await fill(peer, first + 1, count, content)
        refused = await send(peer, first + 1, content)
        refused_at = time.monotonic()
        expect(refused.get("code"), "RATE_LIMIT_EXCEEDED", f"message {count + 1}")
        # The limit is the user's: another connection does not help.
        other = await send(second, first + 1, content)
        expect(other.get("code"), "RATE_LIMIT_EXCEEDED", "the same on another connection")
        wait = refused["retryAfter"]
        if not 1 <= wait <= 60:
            raise Edge(f"retryAfter: found {wait}, expected 1 to 60")
        await asyncio.sleep(refused_at + wait - time.monotonic())
        answer = await send(peer, first + 1, content)
        expect(answer["type"], "message_sent", f"a message after {wait} s")
    return f"{count} accepted, the next refused, accepted again after {wait} s"


async def short_messages(server: PrivateServer) -> str:
    """240 messages of at most 500 characters in 60 s."""
    return await messages_per_minute(server, 1, 240, "x" * 500)


async def long_messages(server: PrivateServer) -> str:
    """480 messages above 500 characters in 60 s."""
    return await messages_per_minute(server, 3, 480, "x" * 501)


async def other_commands(server: PrivateServer) -> str:
    """1200 other commands in 60 s."""
    async with user(server, 5) as peer:
        for _ in range(12):
            answers = await asyncio.gather(*(peer.ask(type="test") for _ in range(100)))
            expect({one["type"] for one in answers}, {"test_response"}, "1200 commands")
        answer = await peer.ask(type="test")
        expect(answer.get("code"), "RATE_LIMIT_EXCEEDED", "command 1201")
        answer = await peer.ask(type="ping")
        expect(answer["type"], "pong", "ping, which counts in no limit")
    return "1200 accepted, the next refused, ping still answered"


async def requests_per_address(server: PrivateServer) -> str:
    """3000 requests of an address in 15 min."""
    retry_after = await request_too_often(server, new_address())
    return f"3000 answered, the next 429 with Retry-After {retry_after}, and 1008 for WebSockets"


async def whole_requests_per_address(server: PrivateServer) -> str:
    """3000 requests of an address in 15 min, until the first has left the window."""
    address = new_address()
    began = time.monotonic()
    retry_after = await request_too_often(server, address)
    refused_at = time.monotonic()
    await asyncio.sleep(began + WINDOW - 1 - time.monotonic())
    status, _ = await asyncio.to_thread(_request, server.url, address, 0)
    expect(status, 429, f"a request {WINDOW - 1:g} s after the first")
    await asyncio.sleep(refused_at + retry_after - time.monotonic())
    status, _ = await asyncio.to_thread(_request, server.url, address, 0)
    expect(status, 401, f"a request after {retry_after} s")
    return f"3000 answered, then 429, also {WINDOW - 1:g} s after the first, until Retry-After"


async def request_too_often(server: PrivateServer, address: str) -> int:
    """Ask 3001 times; return the Retry-After of the last answer."""
    status, retry_after = await asyncio.to_thread(_request, server.url, address, 3000)
    expect(status, 429, "request 3001")
    if not WINDOW - 100 <= retry_after <= WINDOW:
        raise Edge(f"Retry-After: found {retry_after}, expected nearly {WINDOW:g}")
    peer = Peer("")
    try:
        await peer.connect(server.url, address)
    except PeerError as error:
        expect(str(error), "the server closed: 1008 Rate limit exceeded", "a connection")
    else:
        raise Edge("a connection of the same address: found open, expected refused")
    async with guest(server):
        pass
    return retry_after


def _request(url: str, address: str, count: int) -> tuple[int, int]:
    """Ask for a page so many times, and once more; return status and Retry-After of the last."""
    port = urlsplit(url).port or 80
    connection = http.client.HTTPConnection("127.0.0.1", port, source_address=(address, 0))
    status, retry_after = 0, "0"
    for number in range(count + 1):
        connection.request("GET", "/api/conversations")
        answer = connection.getresponse()
        answer.read()
        status, retry_after = answer.status, answer.headers.get("Retry-After", "0")
        if number < count:
            expect(status, 401, f"request {number + 1}")
    connection.close()
    return status, int(retry_after)


async def connections_per_address(server: PrivateServer) -> str:
    """10 connections of an address."""
    address = new_address()
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(guest(server, address)) for _ in range(10)]
        try:
            async with guest(server, address):
                raise Edge("connection 11: found open, expected closed")
        except PeerError as error:
            expect(str(error), "the server closed: 1008 Connection limit exceeded", "number 11")
        peers[0].close()
        await enter_soon(server, address)
    return "10 open, the next closed 1008, one more after one has left"


async def connections(server: PrivateServer) -> str:
    """MAX_CONNECTIONS, 50."""
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(guest(server)) for _ in range(50)]
        try:
            async with guest(server):
                raise Edge("connection 51: found open, expected closed")
        except PeerError as error:
            expect(str(error), "the server closed: 1013 Too many connections", "number 51")
        peers[0].close()
        await enter_soon(server, new_address())
    return "50 open, the next closed 1013, one more after one has left"


async def payload_size(server: PrivateServer) -> str:
    """1 MB in a message."""
    frame = json.dumps({"type": "test", "requestId": "ask-1", "padding": ""}).encode()
    padding = b"x" * (MEBIBYTE - len(frame))
    whole = frame.replace(b'""', b'"' + padding + b'"')
    expect(len(whole), MEBIBYTE, "the size of the test itself")
    async with user(server, 7) as peer:
        came: list[str] = []
        peer.told = lambda _, seen: came.append(seen.type)
        peer.send_bytes(whole)
        await until(lambda: came or not peer.is_open)
        expect(came, ["test_response"], "1 048 576 bytes")
        peer.send_bytes(whole + b" ")
        await until(lambda: len(came) > 1 or not peer.is_open)
        expect((came[1:], peer.close_code), ([], 1009), "1 048 577 bytes")
    return "1 048 576 bytes answered, one more closes 1009"


async def message_length(server: PrivateServer) -> str:
    """10 000 characters in a message."""
    async with user(server, 9) as peer:
        answer = await send(peer, 10, "ü" * 10_000)
        expect(answer["type"], "message_sent", "10 000 characters")
        answer = await send(peer, 10, "ü" * 10_001)
        expect(answer.get("code"), "VALIDATION_ERROR", "10 001 characters")
    return "10 000 stored, 10 001 refused"


async def pages(server: PrivateServer) -> str:
    """50 messages in a page, 200 at most."""
    async with user(server, 11) as peer:
        await fill(peer, 12, 201)
        command = {"type": "get_private_messages", "recipientId": "12"}
        page = await peer.ask(**command)
        expect((len(page["messages"]), page["pagination"]["hasMore"]), (50, True), "no limit named")
        page = await peer.ask(**command, limit=200)
        expect(len(page["messages"]), 200, "limit 200")
        page = await peer.ask(**command, limit=1000)
        expect(len(page["messages"]), 200, "limit 1000")
        answer = await peer.ask(**command, limit=0)
        expect(answer.get("code"), "VALIDATION_ERROR", "limit 0")
    return "50 unless named, 200 for 200 and for 1000, 0 refused"


async def batches(server: PrivateServer) -> str:
    """50 profile pictures, 50 initial members."""
    token = server.token(13)
    statuses = await asyncio.to_thread(_pictures, server.url, token, new_address())
    expect(statuses, [200, 400], "50 and 51 pictures")
    async with user(server, 13) as peer:
        for count, wanted in ((50, "group_created"), (51, "error")):
            answer = await peer.ask(
                type="create_group",
                groupName="g",
                initialMembers=[str(number + 20) for number in range(count)],
                maxMembers=100,
            )
            expect(answer["type"], wanted, f"{count} initial members")
    return "50 accepted, 51 refused, of both"


def _pictures(url: str, token: str, address: str) -> list[int]:
    port = urlsplit(url).port or 80
    found = []
    for count in (50, 51):
        connection = http.client.HTTPConnection("127.0.0.1", port, source_address=(address, 0))
        body = json.dumps({"items": [{"type": "user", "id": "1"}] * count})
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request("POST", "/api/profile-pictures/batch", body, headers)
        found.append(connection.getresponse().status)
        connection.close()
    return found


async def queued_events(server: PrivateServer) -> str:
    """1000 queued events at a log-in, 10 ms apart."""
    async with user(server, 15) as peer:
        message_id = (await send(peer, 16))["messageId"]
        # The same reaction once more takes it back: each is an event for who is not here.
        command = {"type": "add_reaction", "messageId": message_id, "reaction": "+1"}
        for _ in range(1001):
            answer = await peer.ask(**command)
            if answer["type"] == "error":
                raise Edge(f"a reaction: found {answer['code']}, expected no error")
    came: list[str] = []
    took, queued = await _drain(server, 16, came)
    expect((len(came), queued), (1000, 1000), "events at the first log-in")
    if took < 999 * 0.010:
        raise Edge(f"1000 events: found {took:.2f} s, expected at least 9.99 s")
    came = []
    _, queued = await _drain(server, 16, came)
    expect((len(came), queued), (1, 1), "events at the second log-in")
    return f"1000 of 1001 in {took:.1f} s, the last one at the next log-in"


async def _drain(server: PrivateServer, user_id: int, came: list[str]) -> tuple[float, int]:
    stamps: list[float] = []

    def told(_, seen) -> None:
        if seen.type.startswith("reaction_"):
            came.append(seen.type)
            stamps.append(time.monotonic())

    peer = Peer(str(user_id), told)
    await peer.connect(server.url, new_address())
    answer = await peer.ask(type="authenticate", token=server.token(user_id))
    peer.close()
    await peer.ended()
    return stamps[-1] - stamps[0], answer["queuedEvents"]


Check = Callable[[PrivateServer], Awaitable[str]]
REAL: tuple[Check, ...] = (
    short_messages,
    long_messages,
    other_commands,
    requests_per_address,
    connections_per_address,
    payload_size,
    message_length,
    pages,
    batches,
    queued_events,
    authentication_deadline,
)
ALONE: tuple[Check, ...] = (connections,)  # it takes all connections of its server
SHORTENED: tuple[Check, ...] = (inactivity, edit_window, keep_alive)
PRESENCE: tuple[Check, ...] = (offline_grace,)
WHOLE: tuple[Check, ...] = (
    whole_inactivity,
    whole_edit_window,
    whole_keep_alive,
    whole_requests_per_address,
)
# Server settings besides the defaults, and what is driven on it. With presence told to all, the
# others would hear of each other.
SERVERS: tuple[tuple[dict[str, str], tuple[Check, ...]], ...] = (
    (FEW, REAL),
    (FEW, ALONE),
    (FEW | SHORT, SHORTENED),
    ({}, PRESENCE),
    (FEW, WHOLE),
)
SLOW = (short_messages, long_messages, offline_grace)  # a minute each


async def drive(server: PrivateServer, checks: Iterable[Check], setting: str) -> list[Outcome]:
    async def one(check: Check) -> Outcome:
        limit = inspect.getdoc(check) or check.__name__
        try:
            async with asyncio.timeout(MOST):
                return Outcome(limit.rstrip("."), setting, await check(server), True)
        except (Edge, PeerError, TimeoutError) as error:
            return Outcome(limit.rstrip("."), setting, str(error) or "no end in time", False)

    return await asyncio.gather(*(one(check) for check in checks))


@contextmanager
def servers(chosen: Callable[[Check], bool]):
    """Start a server for each group of checks; yield server, checks and what is set."""
    with ExitStack() as stack:
        found = []
        first = None
        for settings, checks in SERVERS:
            wanted = [check for check in checks if chosen(check)]
            if not wanted:
                continue
            # One PostgreSQL, a database for each.
            dsn, _ = stack.enter_context(private_database(USERS, first))
            first = first or dsn
            server = stack.enter_context(private_server(dsn, settings))
            shortened = ", ".join(f"{name}={SHORT[name]}" for name in settings if name in SHORT)
            found.append((server, wanted, shortened or "defaults"))
        yield found


async def drive_all(found) -> list[Outcome]:
    outcomes = await asyncio.gather(*(drive(*one) for one in found))
    return [one for some in outcomes for one in some]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="without what takes a minute")
    length.add_argument("--whole", action="store_true", help="with what takes 15 minutes")
    parser.add_argument("--only", default="", metavar="WORD", help="checks with this in their name")
    args = parser.parse_args()

    def chosen(check: Check) -> bool:
        left_out = (() if args.whole else WHOLE) + (SLOW if args.quick else ())
        return args.only in check.__name__ and check not in left_out

    began = time.monotonic()
    with servers(chosen) as found:
        outcomes = uvloop.run(drive_all(found))
    for one in outcomes:
        mark = "ok  " if one.is_right else "FAIL"
        print(f"{mark}  {one.limit}: {one.found}  [{one.setting}]")
    wrong = sum(not one.is_right for one in outcomes)
    print(f"{len(outcomes)} limits, {wrong} wrong, {time.monotonic() - began:.0f} s")
    return 1 if wrong or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
