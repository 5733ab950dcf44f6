"""A TCP proxy that loses PostgreSQL's answers, or stops passing anything on."""

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit


class CuttingProxy:
    """Passes bytes between clients and the server of ``dsn``, until it is told not to.

    ``cut_answers``: the next answer of the server is dropped and its connection closed, so that a
    COMMIT happened and nobody was told. ``cut_every``: the same again and again. After ``freeze``
    connections stay open and silent.
    """

    def __init__(self, dsn: str) -> None:
        parts = urlsplit(dsn)
        self._target = (parts.hostname, parts.port)
        self._parts = parts
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task] = set()
        self._thawed = asyncio.Event()
        self._thawed.set()
        self.cut_answers = False
        self.cut_every = 0  # pieces of answers between two cuts; 0: never
        self.cuts = 0
        self._pieces = 0

    @property
    def dsn(self) -> str:
        port = self._server.sockets[0].getsockname()[1]
        user = f"{self._parts.username}:{self._parts.password}"
        return f"postgresql://{user}@127.0.0.1:{port}{self._parts.path}?sslmode=disable"

    def freeze(self) -> None:
        self._thawed.clear()

    def thaw(self) -> None:
        self._thawed.set()

    async def __aenter__(self) -> "CuttingProxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.thaw()
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer) -> None:
        self._tasks.add(asyncio.current_task())
        try:
            answers, queries = await asyncio.open_connection(*self._target)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pass_on(reader, queries))
                    group.create_task(self._pass_on(answers, writer, are_answers=True))
            except* (OSError, EOFError):
                pass
            finally:
                queries.transport.abort()
        finally:
            writer.transport.abort()
            self._tasks.discard(asyncio.current_task())

    async def _pass_on(self, reader, writer, *, are_answers: bool = False) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._thawed.wait()
                if are_answers and self._is_cut():
                    raise EOFError
                writer.write(data)
        raise EOFError

    def _is_cut(self) -> bool:
        self._pieces += 1
        is_due = bool(self.cut_every) and self._pieces % self.cut_every == 0
        is_cut = self.cut_answers or is_due
        self.cut_answers = False
        self.cuts += is_cut
        return is_cut
