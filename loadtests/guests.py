"""Who drives the documented limits: guests, users, what they expect, and how long they wait."""

import asyncio
import itertools
import time
from collections.abc import Callable
from contextlib import asynccontextmanager

from fastchat.bench.addresses import address_of
from fastchat.bench.peer import Peer, PeerError
from fastchat.bench.private_server import PrivateServer

BOUND = 30.0  # seconds for what should come soon
SPARE = 4.0  # seconds that a server which looks once a second may be late

addresses = itertools.count(10)


class Edge(AssertionError):
    """The edge was elsewhere."""


def expect(found: object, wanted: object, what: str) -> None:
    if found != wanted:
        raise Edge(f"{what}: found {found!r}, expected {wanted!r}")


def within(found: float, least: float, what: str) -> None:
    """Expect so many seconds, and not much more."""
    if not least <= found <= least + SPARE:
        raise Edge(f"{what}: found {found:.1f} s, expected {least:g} to {least + SPARE:g} s")


def new_address() -> str:
    """Return an address that nobody has come from."""
    return address_of(next(addresses), per_address=1)


@asynccontextmanager
async def guest(server: PrivateServer, address: str | None = None):
    peer = Peer("")
    await peer.connect(server.url, address or new_address())
    try:
        yield peer
    finally:
        peer.cut()


@asynccontextmanager
async def user(server: PrivateServer, user_id: int, told=None, *, pongs: bool = True):
    peer = Peer(str(user_id), told)
    await peer.connect(server.url, new_address(), pongs=pongs)
    try:
        await peer.log_in(server.token(user_id))
        yield peer
    finally:
        peer.cut()


async def send(peer: Peer, to: int, content: str = "hello") -> dict:
    return await peer.ask(type="send_private_message", recipientId=str(to), content=content)


async def enter_soon(server: PrivateServer, address: str) -> None:
    """Connect once the server has taken note that another one has left."""
    async with asyncio.timeout(BOUND):
        while True:
            try:
                async with guest(server, address):
                    return
            except PeerError:
                await asyncio.sleep(0.05)


async def until(condition: Callable[[], object], seconds: float = BOUND) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def stay(peer: Peer, moment: float) -> None:
    """Send pings until a moment of the monotonic clock, so that the server does not hang up."""
    while (left := moment - time.monotonic()) > 0:
        peer.ping()
        await asyncio.sleep(min(1.0, left))
