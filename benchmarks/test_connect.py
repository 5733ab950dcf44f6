"""A connection until it may chat: TCP, the WebSocket handshake, the log-in.

Through real sockets, and beside a database that answers at once. One time is that of 16
connections that come together, as after a restart of a server, until the last answer is written.
What the clients ask the kernel for is in it, what they read and how they close is not. There are
no pure twins: the parts that are not in the connection core are the same for both.
"""

import asyncio
import json
import socket
from importlib.machinery import EXTENSION_SUFFIXES

import pytest

from benchmarks.in_process import MOST_TURNS, SECRET, InProcess, masked
from fastchat._speedups import connection_core
from fastchat.auth.tokens import make_token
from tests.functional.transport.raw_client import RawClient, upgrade_head

TOGETHER = 16
ROUNDS = 50
WARM_UP = 3
# As a browser sends them.
BROWSER = {
    "Origin": "https://chat.example.org",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "*/*",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
    "Pragma": "no-cache",
    "Cache-Control": "no-cache",
}


@pytest.fixture
def server():
    assert connection_core.__file__.endswith(tuple(EXTENSION_SUFFIXES))
    opened = InProcess(TOGETHER)
    assert type(opened.session(0).message_window).__module__.endswith("_c")
    yield opened
    opened.close()


async def connect(server, head):
    """Open a connection for each user, up to the first event of each."""
    expected = server.endpoint.messages_out + TOGETHER
    for _ in server.users:
        sock = socket.create_connection(("127.0.0.1", server.server.listener.port))
        sock.setblocking(False)
        assert sock.send(head) == len(head)
        server.clients.append(RawClient(sock))
    await server.write(expected)


async def hang_up(server):
    """Close all connections, and go on until the server has noticed."""
    for client in server.clients:
        client.close()
    server.clients.clear()
    for _ in range(MOST_TURNS):
        if not server.endpoint.connections:
            break
        await asyncio.sleep(0)
    else:
        raise RuntimeError(f"{server.endpoint.connections} are still open, expected none")


@pytest.mark.parametrize("logs_in", [False, True], ids=["handshake", "log_in"])
def test_connect(benchmark, server, logs_in):
    head = upgrade_head(**BROWSER)
    tokens = [make_token(SECRET, user, 86_400.0) for user in server.users]
    logins = [masked(json.dumps({"type": "authenticate", "token": one}).encode()) for one in tokens]

    async def come():
        await connect(server, head)
        if logs_in:
            await server.exchange(list(enumerate(logins)), TOGETHER)

    benchmark.pedantic(
        lambda: server.run(come()),
        setup=lambda: server.run(hang_up(server)),
        rounds=ROUNDS,
        warmup_rounds=WARM_UP,
    )
    benchmark.extra_info["us_per_connection"] = benchmark.stats.stats.min / TOGETHER * 1e6
    assert server.endpoint.opened == TOGETHER * (1 + WARM_UP + ROUNDS)
    assert server.endpoint.connections == TOGETHER
    # One frame each, and two of those that were there before.
    answers = TOGETHER * (2 + (WARM_UP + ROUNDS) * (2 if logs_in else 1))
    assert server.endpoint.messages_out == answers
    online = [user for user in server.users if server.server.hub.open_connections(user)]
    assert online == (server.users if logs_in else [])
