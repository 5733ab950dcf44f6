"""A TCP proxy between a client and the server that can be cut, frozen, or made to lose answers."""

import asyncio
from contextlib import suppress


class Wire:
    """Passes bytes on to a port of this machine, as its state says.

    ``mend``: passes everything on. ``cut``: ends what is open and takes nothing new. ``freeze``:
    connections stay open and silent. ``mute``: only what the server says is lost.
    """

    STATES = ("mend", "cut", "freeze", "mute")

    def __init__(self, find_port) -> None:
        self._find_port = find_port  # called for each connection: the server may move
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._state = "mend"

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    def turn(self, state: str) -> None:
        assert state in self.STATES, state
        self._state = state
        if state == "cut":
            for writer in self._writers:
                writer.transport.abort()

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer) -> None:
        self._tasks.add(asyncio.current_task())
        try:
            if self._state == "cut":
                return
            answers, questions = await asyncio.open_connection("127.0.0.1", self._find_port())
            self._writers |= {writer, questions}
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pass_on(reader, questions, {"freeze"}))
                    group.create_task(self._pass_on(answers, writer, {"freeze", "mute"}))
            finally:
                self._writers -= {writer, questions}
                questions.transport.abort()
        except* (OSError, EOFError):
            pass
        finally:
            writer.transport.abort()
            self._tasks.discard(asyncio.current_task())

    async def _pass_on(self, reader, writer, lost_while) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if self._state not in lost_while:
                    writer.write(data)
            with suppress(ConnectionError):
                await writer.drain()
        raise EOFError
