"""A TCP proxy in front of PostgreSQL or Redis, which can be told to do harm."""

import asyncio
from contextlib import suppress
from typing import cast

STATEMENT = b"B"  # the first byte of PostgreSQL's Bind: a prepared statement is run


class Proxy:
    """Passes bytes on between those who connect to ``port`` and a server.

    Attributes:
        cuts: Answers that were dropped by ``cut_next_answer``.
    """

    def __init__(self, host: str, port: int, marker: bytes = b"") -> None:
        """Take the address of the server, and what those say whose answers may be cut off."""
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._links: set[Link] = set()
        self._marker = marker
        self._cuts_due = 0
        self._is_cut = False
        self.is_frozen = False
        self.cuts = 0

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Link(self).client, "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for link in list(self._links):
            link.abort()

    def cut_next_answer(self) -> None:
        """Pass the next statement on, wait for its answer, drop that and close.

        Only on a connection whose client has said the marker before: so it is known of which kind
        the statement is, and PostgreSQL answers when it has committed what the statement did.
        """
        self._cuts_due += 1

    def cut(self) -> None:
        """End all connections, and every new one at once."""
        self._is_cut = True
        for link in list(self._links):
            link.abort()

    def mend(self) -> None:
        """Let everybody through again."""
        self._is_cut = False
        self._cuts_due = 0

    def freeze(self) -> None:
        """Pass nothing on; connections stay open, and new ones silent."""
        self.is_frozen = True
        for link in self._links:
            link.freeze()

    def thaw(self) -> None:
        """Pass on what waited, and all that comes."""
        self.is_frozen = False
        for link in list(self._links):
            link.thaw()

    # For the links

    def add(self, link: "Link") -> bool:
        """Take a new link; False: it must end."""
        if self._is_cut:
            return False
        self._links.add(link)
        return True

    def remove(self, link: "Link") -> None:
        self._links.discard(link)

    @property
    def target(self) -> tuple[str, int]:
        return self._target

    def is_marked(self, data: bytes) -> bool:
        return bool(self._marker) and self._marker in data

    def takes_answer(self) -> bool:
        """Tell whether the answer that is there must be dropped."""
        if not self._cuts_due:
            return False
        self._cuts_due -= 1
        self.cuts += 1
        return True


class Half(asyncio.Protocol):
    """One of the two sockets of a link."""

    def __init__(self, link: "Link") -> None:
        self._link = link
        self.transport: asyncio.Transport | None = None
        self.peer: Half | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # not one of asyncio's, with uvloop
        self._link.connected(self)

    def data_received(self, data: bytes) -> None:
        self._link.pass_on(self, data)

    def connection_lost(self, exception: Exception | None) -> None:
        self._link.abort()

    def pause_writing(self) -> None:
        if self.peer is not None:
            self.peer.pause()

    def resume_writing(self) -> None:
        if self.peer is not None:
            self._link.resume(self.peer)

    def pause(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()


class Link:
    """A client, its server, and what is known of what they say."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.client = Half(self)
        self._server = Half(self)
        self._is_marked = False
        self._runs_statement = False
        self._connecting: asyncio.Task[None] | None = None
        self._early = b""  # from the client, before there was a server

    def connected(self, half: Half) -> None:
        if half is self._server:
            return
        assert half.transport is not None
        if not self._proxy.add(self):
            half.transport.abort()
            return
        if not self._proxy.is_frozen:
            self._begin()

    def _begin(self) -> None:
        self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            await loop.create_connection(lambda: self._server, *self._proxy.target)
            self._server.peer, self.client.peer = self.client, self._server
            assert self._server.transport is not None
            self._server.transport.write(self._early)
            if self._proxy.is_frozen:
                self.freeze()
            return
        self.abort()

    def pass_on(self, half: Half, data: bytes) -> None:
        if half is self.client:
            self._is_marked = self._is_marked or self._proxy.is_marked(data)
            if data.startswith(STATEMENT):
                self._runs_statement = True
        elif self._is_marked and self._runs_statement and self._proxy.takes_answer():
            self.abort()
            return
        else:
            self._runs_statement = False
        if half.peer is None:
            self._early += data
        elif half.peer.transport is not None:
            half.peer.transport.write(data)

    def resume(self, half: Half) -> None:
        if not self._proxy.is_frozen:
            half.resume()

    def freeze(self) -> None:
        self.client.pause()
        self._server.pause()

    def thaw(self) -> None:
        if self._connecting is None:
            self._begin()
        else:
            self.client.resume()
            self._server.resume()

    def abort(self) -> None:
        """End both sides."""
        self._proxy.remove(self)
        if self._connecting is not None:
            self._connecting.cancel()
        for half in (self.client, self._server):
            if half.transport is not None:
                half.transport.abort()
