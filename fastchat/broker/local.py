"""Carries frames between the workers of one host, over Unix sockets. Hot path.

Each worker has a seat, and listens on a socket whose name ends with it; the names are abstract, so
nothing is left behind when everybody is killed. A connection carries one way: who opened it sends.
Both begin by saying who they are. Only processes of the same system user are listened to.
"""

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Sequence
from typing import cast

from fastchat.broker.carrier import Callbacks

AGAIN = 1.0  # seconds between two looks for workers that were not there
QUEUE = 16 * 1024 * 1024  # bytes on their way to one worker
LARGEST = 64 * 1024 * 1024  # bytes of a frame
PEER_CREDENTIALS = struct.Struct("3i")
LENGTH = struct.Struct("!I")
CLOSE_TIME = 1.0  # seconds
GREETING_TIME = 1.0  # seconds

log = logging.getLogger(__name__)


def is_own_user(connection: socket.socket) -> bool:
    """Whether the process at the other end of a Unix socket is the same user's."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER_CREDENTIALS.size)
    _, user, _ = PEER_CREDENTIALS.unpack(found)
    return int(user) == os.geteuid()


class LocalCarrier:
    """Carries frames between the seats of one host."""

    def __init__(self, own: str, callbacks: Callbacks, *, host: str, seat: int, seats: int) -> None:
        """Take the own name, the name of the host's bus, the own seat and how many there are.

        Args:
            own: Unlike the name of any other process that ever has a seat.
            callbacks: What to call.
            host: The same for all workers of one supervisor, and of no other.
            seat: From 1.
            seats: The largest number of a seat.
        """
        self._own = own
        self._callbacks = callbacks
        self._host = host
        self._seat = seat
        self._seats = [number for number in range(1, seats + 1) if number != seat]
        self._loop = asyncio.get_running_loop()
        self._outgoing: dict[int, _Outgoing] = {}  # by seat
        self._by_name: dict[str, _Outgoing] = {}
        self._incoming: set[_Incoming] = set()
        self._connecting: dict[int, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_closing = False

    @property
    def is_up(self) -> bool:
        """Sockets of one host always work."""
        return self._server is not None

    async def open(self) -> None:
        """Listen, and connect to all who are there."""
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        bound.bind(self._address(self._seat))
        self._server = await self._loop.create_unix_server(lambda: _Incoming(self), sock=bound)
        self._look()
        # The first look; whoever answers is met before this worker serves.
        await asyncio.gather(*self._connecting.values(), return_exceptions=True)
        greeted = [outgoing.greeted for outgoing in self._outgoing.values()]
        if greeted:
            await asyncio.wait(greeted, timeout=GREETING_TIME)

    def send(self, to: str, frame: bytes) -> bool:
        """Take a frame for one worker; False: it is not there, or reads too slowly."""
        outgoing = self._by_name.get(to)
        return outgoing is not None and outgoing.send(frame)

    def send_to_all(self, frame: bytes) -> bool:
        """Take a frame for every other worker."""
        refused = [outgoing for outgoing in self._by_name.values() if not outgoing.send(frame)]
        return not refused

    async def close(self) -> None:
        """End; waits until everything has gone out."""
        self._is_closing = True
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._connecting.values()):
            task.cancel()
        await asyncio.gather(*self._connecting.values(), return_exceptions=True)
        if self._server is not None:
            self._server.close()
        outgoing = list(self._outgoing.values())
        for one in outgoing:
            one.close()
        await _wait_for(outgoing)
        left = [*self._outgoing.values(), *self._incoming]
        for connection in left:
            connection.abort()
        await _wait_for(left)

    def _address(self, seat: int) -> str:
        return f"\0fastchat-{self._host}-{seat}"

    def _look(self) -> None:
        """Connect to the seats that nobody sat on the last time."""
        self._timer = self._loop.call_later(AGAIN, self._look)
        for seat in self._seats:
            self.connect(seat)

    def connect(self, seat: int) -> None:
        """Connect to a seat unless that is done already."""
        if seat in self._outgoing or seat in self._connecting or self._is_closing:
            return
        task = self._loop.create_task(self._connect(seat))
        self._connecting[seat] = task
        task.add_done_callback(lambda _: self._connecting.pop(seat, None))

    async def _connect(self, seat: int) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            # Of a Unix socket that is done at once, or refused at once.
            connection.connect(self._address(seat))
        except OSError:
            connection.close()
            return
        if not is_own_user(connection):
            log.error("seat %d of the bus belongs to another system user", seat)
            connection.close()
            return
        outgoing = self._outgoing[seat] = _Outgoing(self, seat)
        try:
            await self._loop.create_unix_connection(lambda: outgoing, sock=connection)
        except OSError:
            self._outgoing.pop(seat, None)

    @property
    def greeting(self) -> bytes:
        """What both ends of a connection say first."""
        name = f"{self._seat} {self._own}".encode()
        return LENGTH.pack(len(name)) + name

    def on_greeted(self, outgoing: "_Outgoing") -> None:
        """The worker at a seat has said who it is."""
        self._by_name[outgoing.name] = outgoing
        self._callbacks.on_up()
        for incoming in self._incoming:
            incoming.on_way_back(outgoing.name)

    def on_outgoing_lost(self, outgoing: "_Outgoing") -> None:
        """A worker no longer reads: it has ended."""
        if self._outgoing.get(outgoing.seat) is outgoing:
            del self._outgoing[outgoing.seat]
        if outgoing.name and self._by_name.get(outgoing.name) is outgoing:
            del self._by_name[outgoing.name]
            self._callbacks.on_ended(outgoing.name)

    def on_incoming(self, incoming: "_Incoming") -> None:
        """A worker has connected."""
        self._incoming.add(incoming)

    def on_incoming_lost(self, incoming: "_Incoming") -> None:
        """A worker has disconnected."""
        self._incoming.discard(incoming)

    def on_frame(self, frame: bytes) -> None:
        """A worker says something."""
        self._callbacks.on_frame(frame)

    def can_answer(self, name: str) -> bool:
        """Whether something can be sent to a worker already."""
        return name in self._by_name


class _Framed(asyncio.Protocol):
    """Cuts what is received into frames, each behind its length."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        if not buffer and len(data) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(data)
            if length == len(data) - LENGTH.size:
                # One frame and no more, as most often.
                self._take(data[LENGTH.size :])
                return
        buffer += data
        start, size = 0, len(buffer)
        while size - start >= LENGTH.size:
            (length,) = LENGTH.unpack_from(buffer, start)
            if length > LARGEST:
                log.error("a frame of %d bytes between workers is too large", length)
                self.abort()
                return
            end = start + LENGTH.size + length
            if end > size:
                break
            with memoryview(buffer) as view:
                frame = bytes(view[start + LENGTH.size : end])
            self._take(frame)
            start = end
        del buffer[:start]

    def _take(self, frame: bytes) -> None:
        raise NotImplementedError

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def close(self) -> None:
        """End when what is queued has gone out."""
        if self._transport is None:
            self.connection_lost(None)
        else:
            self._transport.close()

    def abort(self) -> None:
        """End at once."""
        if self._transport is not None:
            self._transport.abort()


class _Incoming(_Framed):
    """The end that receives."""

    def __init__(self, carrier: LocalCarrier) -> None:
        super().__init__()
        self._carrier = carrier
        self._name = ""  # of the worker, once it has said so
        self._early: list[bytes] = []  # what it said before it could be answered

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self._transport is not None
        if not is_own_user(transport.get_extra_info("socket")):
            self._transport.abort()
            return
        self._carrier.on_incoming(self)
        self._transport.write(self._carrier.greeting)

    def _take(self, frame: bytes) -> None:
        if not self._name:
            seat, self._name = _read_greeting(frame)
            if seat:
                self._carrier.connect(seat)
            else:
                self.abort()
        elif self._early or not self._carrier.can_answer(self._name):
            self._early.append(frame)
        else:
            self._carrier.on_frame(frame)

    def on_way_back(self, name: str) -> None:
        """A worker can be answered now."""
        if name == self._name:
            early, self._early = self._early, []
            for frame in early:
                self._carrier.on_frame(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._carrier.on_incoming_lost(self)


class _Outgoing(_Framed):
    """The end that sends."""

    def __init__(self, carrier: LocalCarrier, seat: int) -> None:
        super().__init__()
        self._carrier = carrier
        self.seat = seat
        self.name = ""  # of the process there, once it has said so
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self._transport is not None
        self._transport.write(self._carrier.greeting)

    def _take(self, frame: bytes) -> None:
        seat, name = _read_greeting(frame)
        if seat == self.seat and not self.name:
            self.name = name
            self.greeted.set_result(None)
            self._carrier.on_greeted(self)
        else:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if not self.greeted.done():
            self.greeted.set_result(None)
        self._carrier.on_outgoing_lost(self)

    def send(self, frame: bytes) -> bool:
        """Queue a frame; False: too much is queued."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > QUEUE:
            return False
        transport.write(LENGTH.pack(len(frame)) + frame)
        return True


async def _wait_for(connections: Sequence[_Framed]) -> None:
    """Wait until connections have ended, for a while."""
    if connections:
        await asyncio.wait([one.ended for one in connections], timeout=CLOSE_TIME)


def _read_greeting(frame: bytes) -> tuple[int, str]:
    """Return seat and name; seat 0: it is no greeting."""
    seat, _, name = frame.decode("utf-8", "replace").partition(" ")
    return (int(seat), name) if seat.isascii() and seat.isdigit() and name else (0, "")
