"""An event loop beside the greenlets of Locust, and the way between the two.

Clients live on the loop, in a native thread of their own; a greenlet waits for what it asked for
there and keeps no other greenlet from running.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop
from gevent import get_hub
from gevent.event import AsyncResult, Event

T = TypeVar("T")


class Bridge:
    """One event loop; made, asked and ended by greenlets of one thread."""

    def __init__(self) -> None:
        """Start the loop."""
        self._hub = get_hub()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        began = Event()
        self._thread = self._hub.threadpool.spawn(uvloop.run, self._live(began))
        began.wait()

    def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and return its result, or raise what it raised.

        A greenlet that is killed meanwhile cancels it.
        """
        assert self._loop is not None
        result: AsyncResult = AsyncResult()
        tasks: list[asyncio.Task[T]] = []

        def begin() -> None:
            task = asyncio.ensure_future(work)
            tasks.append(task)
            task.add_done_callback(lambda task: self.tell(result.set, task))

        self._loop.call_soon_threadsafe(begin)
        try:
            task: asyncio.Task[T] = result.get()
        except BaseException:
            self._loop.call_soon_threadsafe(lambda: tasks[0].cancel())
            raise
        return task.result()

    def tell(self, callback: Callable[..., object], *arguments: object) -> None:
        """Call a function among the greenlets; called on the loop."""
        self._hub.loop.run_callback_threadsafe(callback, *arguments)

    def stop(self) -> None:
        """End the loop, on which nobody is any more."""
        if self._loop is not None and self._end is not None:
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.get()

    async def _live(self, began: Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self.tell(began.set)
        await self._end.wait()
