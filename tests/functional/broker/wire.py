"""A TCP proxy in front of a server: a wire that can be cut, fall silent, or hold bytes back."""

import asyncio
import ssl
from contextlib import suppress


class Wire:
    """Passes bytes on between clients and a port, with TLS towards the clients if asked."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._target = port
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task] = set()
        self._passing = asyncio.Event()  # of the connections that are made from now on
        self._passing.set()
        self._held: list[asyncio.Event] = []
        self.port = 0

    async def __aenter__(self) -> "Wire":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """Break all connections; new ones may be made."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hold(self) -> None:
        """Keep back what is under way on the present connections, and do not even tell of ends."""
        self._passing.clear()
        self._held.append(self._passing)
        self._passing = asyncio.Event()
        self._passing.set()

    def release(self) -> None:
        """Let it arrive after all."""
        for passing in self._held:
            passing.set()

    async def _serve(self, reader, writer) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        passing = self._passing
        try:
            answers, questions = await asyncio.open_connection("127.0.0.1", self._target)
            try:
                await asyncio.gather(
                    self._pass_on(reader, questions, passing),
                    self._pass_on(answers, writer, passing),
                )
            finally:
                questions.transport.abort()
        except (OSError, asyncio.CancelledError):
            pass  # cut, or one of the two is gone
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _pass_on(self, reader, writer, passing) -> None:
        while data := await reader.read(65536):
            await passing.wait()
            with suppress(OSError):
                writer.write(data)
                await writer.drain()
        await passing.wait()
        writer.close()
