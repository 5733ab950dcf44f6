"""Who hears of what: callbacks by type of event, and streams to be read with ``async for``."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from fastchat.client.errors import StreamOverflow

MOST_UNREAD = 10_000  # events of a stream

E = TypeVar("E")


class Listeners:
    """Callbacks; one for a base class hears all that are derived from it."""

    def __init__(self) -> None:
        """Nobody listens."""
        self._callbacks: dict[type, list[Callable[[Any], None]]] = {}
        self._streams: set[Stream[Any]] = set()

    def on(self, kind: type[E], callback: Callable[[E], None]) -> Callable[[], None]:
        """Call back for each event of a type; the returned function ends that."""
        callbacks = self._callbacks.setdefault(kind, [])
        callbacks.append(callback)

        def stop() -> None:
            if callback in callbacks:
                callbacks.remove(callback)

        return stop

    def stream(self, *kinds: type[E]) -> "Stream[E]":
        """Return a stream of the events of some types, from now on."""
        stream: Stream[E] = Stream(self._streams.discard)
        self._streams.add(stream)
        stream.stops = [self.on(kind, stream.put) for kind in kinds]
        return stream

    def emit(self, event: object) -> None:
        """Tell an event. A callback that raises harms nobody else; the loop hears of it."""
        for kind in type(event).__mro__:
            for callback in tuple(self._callbacks.get(kind, ())):
                try:
                    callback(event)
                except Exception as error:
                    context = {"message": f"a listener for {kind.__name__} failed"}
                    asyncio.get_running_loop().call_exception_handler(
                        context | {"exception": error}
                    )

    def end(self) -> None:
        """Let all streams end after what they hold."""
        for stream in tuple(self._streams):
            stream.close()


class Stream(Generic[E]):
    """Events in the order in which they came; bounded."""

    def __init__(self, forget: Callable[["Stream[E]"], None]) -> None:
        """Take what is called at the end."""
        self.stops: list[Callable[[], None]] = []
        self._forget = forget
        self._unread: deque[E] = deque()
        self._news = asyncio.Event()
        self._is_closed = False
        self._has_overflowed = False

    def put(self, event: E) -> None:
        """Append an event; a full stream ends with an error instead."""
        if len(self._unread) >= MOST_UNREAD:
            self._has_overflowed = True
            self.close()
            return
        self._unread.append(event)
        self._news.set()

    def close(self) -> None:
        """End after what is unread."""
        self._is_closed = True
        for stop in self.stops:
            stop()
        self._forget(self)
        self._news.set()

    def __aiter__(self) -> "Stream[E]":
        return self

    async def __anext__(self) -> E:
        while not self._unread:
            if self._has_overflowed:
                raise StreamOverflow(f"more than {MOST_UNREAD} events were unread")
            if self._is_closed:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._unread.popleft()
