"""The wire between clients and a server: it can be cut, go silent, lose an answer, or add bytes."""

import asyncio
from contextlib import suppress


class Wire:
    """Passes bytes on between whoever connects to ``url`` and a server's port."""

    def __init__(self, port: int) -> None:
        self.port = port  # of the server; another one from the next connection on
        self.connections = 0
        self.is_frozen = False  # connections stay open and nothing passes
        self.is_closed = False  # whoever connects is dropped
        self.lose: bytes | None = None  # the next answer with this in it is lost, and all is cut
        self._server: asyncio.Server
        self._ends: set[asyncio.StreamWriter] = set()
        self._to_server: asyncio.StreamWriter | None = None
        self._tasks: set[asyncio.Task] = set()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> "Wire":
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    def cut(self) -> None:
        """Drop all connections without a word."""
        for end in tuple(self._ends):
            end.transport.abort()

    def inject(self, data: bytes) -> None:
        """Send bytes to the server as if the client had."""
        self._to_server.write(data)

    async def _connect(self, reader, writer) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        self.connections += 1
        self._ends.add(writer)
        try:
            if self.is_closed:
                return
            answers, self._to_server = await asyncio.open_connection("127.0.0.1", self.port)
            to_server = self._to_server
            self._ends.add(to_server)
            try:
                passing = [
                    asyncio.create_task(self._pass_on(reader, to_server)),
                    asyncio.create_task(self._pass_on(answers, writer, are_answers=True)),
                ]
                try:
                    await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for one in passing:
                        one.cancel()
                    await asyncio.gather(*passing, return_exceptions=True)
            finally:
                await _end(to_server)
                self._ends.discard(to_server)
        except OSError:
            pass
        finally:
            await _end(writer)
            self._ends.discard(writer)
            self._tasks.discard(task)

    async def _pass_on(self, reader, writer, *, are_answers: bool = False) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1 << 20):
                if are_answers and self.lose is not None and self.lose in data:
                    self.lose = None
                    self.cut()
                    return
                if not self.is_frozen:
                    writer.write(data)


async def _end(writer: asyncio.StreamWriter) -> None:
    """Let what was written go out, and end."""
    with suppress(ConnectionError, TimeoutError):
        writer.close()
        async with asyncio.timeout(0.5):
            await writer.wait_closed()
    writer.transport.abort()
