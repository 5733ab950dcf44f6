"""The servers behind one address: a single one, or those of a cluster.

One loop brings connections and subscriptions in line with what the servers say of themselves, and
does it again whenever one of them is lost, moves, or has not been asked for a while. A single
server is a cluster in which one server has all slots.
"""

import asyncio
import random
from binascii import crc_hqx
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from fastchat.broker.redis_address import RedisAddress
from fastchat.broker.redis_connection import RedisConnection, RedisRefusal, RedisTimings, explain

SLOTS = 16384
STALE = ("MOVED", "ASK", "CLUSTERDOWN", "TRYAGAIN")  # the slots are not where we thought
FAILURES = (OSError, RedisRefusal)


def slot_of(channel: bytes) -> int:
    """Return the slot of a channel, as for keys.

    Source: Redis Cluster specification, "Key distribution model" and "Hash tags".
    """
    start = channel.find(b"{")
    if start >= 0:
        end = channel.find(b"}", start + 1)
        if end > start + 1:
            channel = channel[start + 1 : end]
    return crc_hqx(channel, 0) % SLOTS


@dataclass(frozen=True, slots=True)
class Topology:
    """Which server has which slots; without ``is_sharded`` any of them has every message."""

    starts: tuple[int, ...]  # first slots of the ranges, ascending
    owners: tuple[RedisAddress | None, ...]  # None: nobody has the slots from there on
    is_sharded: bool = False

    @classmethod
    def of_one(cls, server: RedisAddress) -> "Topology":
        """All slots on one server."""
        return cls((0,), (server,))

    @classmethod
    def of_slots(cls, asked: RedisAddress, answer: Sequence[Any]) -> "Topology":
        """Read the answer of CLUSTER SLOTS; a server without a name is the one that was asked.

        Raises:
            RedisRefusal: the answer makes no sense.
        """
        edges: dict[int, RedisAddress | None] = {0: None}
        try:
            for first, last, (name, port, *_), *_ in sorted(answer, key=itemgetter(0)):
                host = name.decode() if name not in (None, b"", b"?") else asked.host
                slots = range(first, last + 1)  # complains about anything but numbers
                edges[slots.start] = asked.at(host, port)
                edges[slots.stop] = None
        except (TypeError, ValueError):
            raise RedisRefusal("expected the slots of the cluster, found something else") from None
        return cls(tuple(edges), tuple(edges.values()), is_sharded=True)

    @property
    def servers(self) -> set[RedisAddress]:
        """All that have slots."""
        return {owner for owner in self.owners if owner is not None}

    @property
    def is_whole(self) -> bool:
        """Whether every slot has its server."""
        return all(
            owner is not None or start == SLOTS
            for start, owner in zip(self.starts, self.owners, strict=True)
        )

    def owner(self, slot: int) -> RedisAddress | None:
        """Return the server of a slot."""
        return self.owners[bisect_right(self.starts, slot) - 1]


class RedisServers:
    """Keeps a connection to every server and the subscriptions to ``channels``, for ever.

    ``on_up`` is called when all channels are subscribed to, again after each loss;
    ``on_down(reason)`` once when one no longer is, and once when the first attempt fails.
    ``on_routes`` is called when a message may from now on take another way than those before it.
    """

    def __init__(
        self,
        address: RedisAddress,
        channels: tuple[bytes, ...],
        *,
        name: str,
        timings: RedisTimings,
        on_message: Callable[[bytes, bytes], None],
        on_up: Callable[[], None],
        on_down: Callable[[str], None],
        on_routes: Callable[[], None],
    ) -> None:
        self.is_up = False
        self.reason = "not connected yet"  # why it is not up
        self.topology = Topology.of_one(address)
        self.attempted = asyncio.Event()  # once the first attempt has succeeded or failed
        self._address = address
        self._channels = channels
        self._name = name
        self._timings = timings
        self._on_message = on_message
        self._on_up = on_up
        self._on_down = on_down
        self._on_routes = on_routes
        self._connections: dict[RedisAddress, RedisConnection] = {}
        self._subscribed: dict[bytes, RedisConnection] = {}
        self._known: set[RedisAddress] = set()  # servers of the cluster, to ask when others fail
        self._stale = asyncio.Event()
        self._was_told = False  # of the present loss

    @property
    def publish_command(self) -> bytes:
        """Return the command that publishes here."""
        return b"SPUBLISH" if self.topology.is_sharded else b"PUBLISH"

    def connection(self, channel: bytes) -> RedisConnection | None:
        """Return the connection that publishes to a channel, if there is one now."""
        owner = self.topology.owner(slot_of(channel))
        return None if owner is None else self._connections.get(owner)

    async def run(self) -> None:
        """Connect, and reconnect with growing pauses; ends only when it is cancelled."""
        delay = self._timings.first_delay
        try:
            while True:
                self._stale.clear()
                started = asyncio.get_running_loop().time()
                problem = await self._establish_safely()
                if problem and not self.is_up:
                    self._tell_down(problem)
                self.attempted.set()
                if not problem:
                    await self._until_stale()
                    if asyncio.get_running_loop().time() - started >= self._timings.longest_delay:
                        delay = self._timings.first_delay
                if problem or self._stale.is_set():
                    await asyncio.sleep(delay * random.uniform(0.5, 1.0))
                    delay = min(2 * delay, self._timings.longest_delay)
        finally:
            self.close()

    async def finish(self) -> None:
        """Wait until every server has acted upon what was sent to it, or is lost."""
        async with asyncio.TaskGroup() as group:
            for connection in self._connections.values():
                group.create_task(connection.finish())

    def close(self) -> None:
        """End all connections; nothing is called from then on."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        self._subscribed.clear()
        self.is_up = False

    async def _until_stale(self) -> None:
        try:
            async with asyncio.timeout(self._timings.refresh_interval):
                await self._stale.wait()
        except TimeoutError:
            pass

    async def _establish_safely(self) -> str:
        try:
            return await self._establish()
        except Exception as error:
            # Whatever goes wrong in between, nobody else would try again.
            asyncio.get_running_loop().call_exception_handler(
                {"message": "connecting to Redis failed by a bug", "exception": error}
            )
            return f"a bug ({type(error).__name__}), see the log"

    async def _establish(self) -> str:
        """Do what is missing; return what could not be done, empty when all is well."""
        try:
            topology = await self._discover()
        except FAILURES as failure:
            return explain(failure)
        if topology != self.topology:
            self.topology = topology
            self._on_routes()
        for channel, connection in list(self._subscribed.items()):
            if connection is not self.connection(channel):
                self._gone(connection, channel)
        for server in set(self._connections) - topology.servers:
            self._connections.pop(server).close()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._attach(server)) for server in topology.servers]
        problems = [task.result() for task in tasks]
        if not topology.is_whole:
            problems.append("the cluster has slots without a server")
        return next(filter(None, problems), "")

    async def _discover(self) -> Topology:
        """Ask any server that answers which servers there are."""
        connected = list(self._connections)
        random.shuffle(connected)
        others = self._known - {*connected, self._address}
        problem = ""
        for server in (*connected, self._address, *others):
            try:
                async with asyncio.timeout(2 * self._timings.connect_timeout):
                    return await self._ask(server)
            except FAILURES as failure:
                problem = problem or f"{server}: {explain(failure)}"
        raise ConnectionError(problem)

    async def _ask(self, server: RedisAddress) -> Topology:
        connection = await self._connect(server)
        if not connection.greeting.is_cluster:
            await connection.check_role()
            return Topology.of_one(server)
        slots = Topology.of_slots(server, await connection.call("CLUSTER", "SLOTS"))
        self._known = slots.servers
        # Without sharding a cluster passes every message on to all its servers.
        return slots if connection.greeting.is_sharded else Topology.of_one(server)

    async def _connect(self, server: RedisAddress) -> RedisConnection:
        known = self._connections.get(server)
        if known is not None:
            return known
        connection = await RedisConnection.connect(
            server,
            self._timings,
            self._name,
            on_message=self._received,
            on_gone=self._gone,
            on_refusal=self._refused,
            on_lost=self._lost,
        )
        self._connections[server] = connection
        self._on_routes()
        return connection

    async def _attach(self, server: RedisAddress) -> str:
        """Connect to a server and subscribe to those of our channels that are there."""
        try:
            connection = await self._connect(server)
            for channel in self._channels:
                if (
                    self.topology.owner(slot_of(channel)) == server
                    and self._subscribed.get(channel) is not connection
                ):
                    await self._subscribe(connection, channel)
        except FAILURES as failure:
            return f"{server}: {explain(failure)}"
        if not self.is_up and len(self._subscribed) == len(self._channels):
            self.is_up, self.reason, self._was_told = True, "", False
            self._on_up()
        return ""

    async def _subscribe(self, connection: RedisConnection, channel: bytes) -> None:
        is_sharded = self.topology.is_sharded
        async with asyncio.timeout(self._timings.connect_timeout):
            await connection.call("SSUBSCRIBE" if is_sharded else "SUBSCRIBE", channel)
            # Nothing to tell: it finds out now whether we may publish at all.
            await connection.call(self.publish_command, channel, b"")
        if connection.is_open:
            self._subscribed[channel] = connection

    def _received(self, connection: RedisConnection, channel: bytes, payload: bytes) -> None:
        if self._subscribed.get(channel) is connection:
            self._on_message(channel, payload)

    def _gone(self, connection: RedisConnection, channel: bytes) -> None:
        if self._subscribed.get(channel) is connection:
            del self._subscribed[channel]
            self._stale.set()
            self._tell_down("the slot of a channel moved to another server")

    def _refused(self, connection: RedisConnection, text: str) -> None:
        if text.startswith(STALE):
            self._stale.set()
        else:
            connection.lose(text)

    def _lost(self, connection: RedisConnection, reason: str) -> None:
        for server, known in list(self._connections.items()):
            if known is connection:
                del self._connections[server]
                self._on_routes()
                reason = f"{server}: {reason}"
        self._stale.set()
        lost = [channel for channel, known in self._subscribed.items() if known is connection]
        for channel in lost:
            del self._subscribed[channel]
        if lost:
            self._tell_down(reason)

    def _tell_down(self, reason: str) -> None:
        self.is_up, self.reason = False, reason
        if not self._was_told:
            self._was_told = True
            self._on_down(reason)
