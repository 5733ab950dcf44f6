"""The carrier between workers of several hosts: frames through Redis. Hot path.

A frame is opaque here. Redis forgets what nobody listens to, so a frame arrives at most once; that
some were lost, those who exchange frames find out by their numbers.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

from fastchat.broker.redis_address import RedisAddress
from fastchat.broker.redis_connection import RedisConnection, RedisTimings
from fastchat.broker.redis_servers import RedisServers

SENDER_SIZE = 8  # bytes of the random name of a sender
STAMP_SIZE = SENDER_SIZE + 4  # and of its count of ways
MOST_SENDERS = 10_000  # whose ways are remembered; workers come and go
MOST_ROUTES = 10_000
OPENING_TIMEOUT = 2.0  # seconds
CLOSING_TIMEOUT = 1.0  # seconds


class RedisCarrier:
    """Carries frames from worker to worker: in their order from one to another, at most once.

    A frame to one worker and a frame to all take different ways: their order is not kept. What was
    sent before a way changed (a lost connection, a slot that moved) may still be under way when
    something newer arrives; it is then dropped.

    Callbacks run on the event loop. ``on_frame(frame)`` gets each frame of another worker, and
    those that this worker sent to its own name. ``on_up()`` is called whenever the worker can be
    reached (again); before it, frames may have been lost. ``on_down(reason)`` is called once for
    each loss, and once when the first attempt fails; the reason holds no secret. When ``close``
    has returned, nothing is called any more.
    """

    def __init__(
        self,
        address: RedisAddress,
        own: str,
        *,
        on_frame: Callable[[bytes], None],
        on_up: Callable[[], None],
        on_down: Callable[[str], None],
        queue_limit: int = 8 * 1024 * 1024,
        namespace: str = "fastchat",
        timings: RedisTimings | None = None,
    ) -> None:
        """Connect nothing yet.

        Args:
            address: The server, or any one of a cluster.
            own: Name of this worker; no other may have it.
            on_frame: See the class.
            on_up: See the class.
            on_down: See the class.
            queue_limit: Bytes that may wait for a server's socket; beyond it frames are refused.
            namespace: Workers of the same one, in the same database of the URL, hear each other.
            timings: How patient it is; for tests.
        """
        self.frames_sent = 0
        self.frames_received = 0
        self.frames_refused = 0  # not taken: down, or queue over its limit
        self.frames_late = 0  # dropped, for something newer had arrived before
        self._on_frame = on_frame
        self._queue_limit = queue_limit
        self._prefix = f"fastchat:{namespace}:{address.db}:"
        self._common = f"{self._prefix}all".encode()
        self._sender = os.urandom(SENDER_SIZE)
        self._way = 0
        self._stamp = b""
        # The newest way of each sender, of what came to us alone and of what came to all.
        self._ways: dict[bytes, bytes] = {}
        self._common_ways: dict[bytes, bytes] = {}
        self._publish_command = b""
        self._common_route: RedisConnection | None = None
        self._routes: dict[str, tuple[bytes, RedisConnection]] = {}
        self._task: asyncio.Task[None] | None = None
        self._servers = RedisServers(
            address,
            (self._channel(own), self._common),
            name=f"fastchat:{own}",
            timings=timings or RedisTimings(),
            on_message=self._received,
            on_up=on_up,
            on_down=on_down,
            on_routes=self._find_routes,
        )

    @property
    def is_up(self) -> bool:
        """Whether frames of the others arrive here."""
        return self._servers.is_up

    @property
    def reason(self) -> str:
        """Why it is not up; empty when it is."""
        return self._servers.reason

    async def open(self) -> None:
        """Start; return when the first attempt has succeeded or failed, after 2 s at most.

        From then on a lost server is looked for again for ever.
        """
        self._task = asyncio.create_task(self._servers.run(), name="redis carrier")
        with suppress(TimeoutError):
            async with asyncio.timeout(OPENING_TIMEOUT):
                await self._servers.attempted.wait()

    def send(self, to: str, frame: bytes) -> bool:
        """Send a frame to the worker of that name; several of one turn go in one write.

        Never blocks and never raises. It may be possible while this worker itself cannot be
        reached: in a cluster the two are on different servers.

        Returns:
            False when it was not taken: no connection, or too much is waiting.
        """
        route = self._routes.get(to)
        if route is None:
            route = self._route(to)
            if route is None:
                self.frames_refused += 1
                return False
        return self._publish(route[0], route[1], frame)

    def send_to_all(self, frame: bytes) -> bool:
        """Send a frame to every other worker; as ``send`` otherwise."""
        if self._common_route is None:
            self.frames_refused += 1
            return False
        return self._publish(self._common, self._common_route, frame)

    async def close(self) -> None:
        """End all connections, when what was taken has gone out, after 1 s at most."""
        task, self._task = self._task, None
        if task is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSING_TIMEOUT):
                    await self._servers.finish()
            self._servers.close()
            self._find_routes()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _channel(self, worker: str) -> bytes:
        return f"{self._prefix}worker:{worker}".encode()

    def _find_routes(self) -> None:
        self._way += 1
        self._stamp = self._sender + self._way.to_bytes(4, "big")
        self._routes.clear()
        self._publish_command = self._servers.publish_command
        self._common_route = self._servers.connection(self._common)

    def _route(self, to: str) -> tuple[bytes, RedisConnection] | None:
        channel = self._channel(to)
        connection = self._servers.connection(channel)
        if connection is None:
            return None
        if len(self._routes) >= MOST_ROUTES:
            self._routes.clear()
        self._routes[to] = route = (channel, connection)
        return route

    def _publish(self, channel: bytes, connection: RedisConnection, frame: bytes) -> bool:
        if connection.backlog + len(frame) > self._queue_limit:
            self.frames_refused += 1
            return False
        connection.publish(self._publish_command, channel, self._stamp + frame)
        self.frames_sent += 1
        return True

    def _received(self, channel: bytes, payload: bytes) -> None:
        sender = payload[:SENDER_SIZE]
        way = payload[SENDER_SIZE:STAMP_SIZE]
        if channel != self._common:
            ways = self._ways
        elif sender != self._sender:
            ways = self._common_ways
        else:
            return
        if len(way) < STAMP_SIZE - SENDER_SIZE:
            return  # a subscriber who tried whether it may publish
        newest = ways.get(sender)
        if newest != way:
            if newest is not None and way < newest:
                self.frames_late += 1
                return
            if newest is None and len(ways) >= MOST_SENDERS:
                del ways[next(iter(ways))]
            ways[sender] = way
        self.frames_received += 1
        self._on_frame(payload[STAMP_SIZE:])
