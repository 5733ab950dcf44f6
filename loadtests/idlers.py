"""Connections that are authenticated and idle, held by processes of their own.

A process may have so many open files and no more; the load has another one.
"""

import asyncio
import multiprocessing
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection

from fastchat.auth.tokens import make_token
from fastchat.bench.crowd import Crowd

MOST_EACH = 8000  # connections of one process
FIRST_ADDRESS = 1000  # of 127.0.0.0/8; those before are others'
LIFETIME = 24 * 3600.0  # seconds of a token
PATIENCE = 300.0  # seconds until all are logged in


@asynccontextmanager
async def idling(url: str, secret: bytes, first_user: int, count: int) -> AsyncIterator[None]:
    """Keep a number of users connected.

    Args:
        url: Of the server.
        secret: Its JWT_SECRET.
        first_user: Id of the first one; the others follow.
        count: How many.
    """
    context = multiprocessing.get_context("spawn")
    ours: list[Connection] = []
    for start in range(0, count, MOST_EACH):
        here, there = context.Pipe()
        size = min(MOST_EACH, count - start)
        arguments = (url, secret, first_user + start, size, FIRST_ADDRESS + start, there)
        context.Process(target=_hold, args=arguments, daemon=True).start()
        ours.append(here)
    try:
        async with asyncio.timeout(PATIENCE):
            for here in ours:
                await asyncio.to_thread(here.recv)
        yield
    finally:
        for here in ours:
            here.send(None)
            await asyncio.to_thread(here.recv)


def _hold(
    url: str, secret: bytes, first_user: int, count: int, first_address: int, there: Connection
) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_hold_all(url, secret, first_user, count, first_address, there))


async def _hold_all(
    url: str, secret: bytes, first_user: int, count: int, first_address: int, there: Connection
) -> None:
    crowd = Crowd(
        url,
        lambda user_id: make_token(secret, user_id, LIFETIME),
        [str(first_user + number) for number in range(count)],
        first_address=first_address,
    )
    await crowd.open()
    there.send(None)
    await asyncio.to_thread(there.recv)
    await crowd.close()
    there.send(None)
