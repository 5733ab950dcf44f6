"""Look-ups that travel together: many single questions of one turn, one query.

Hundreds of clients log in or open a conversation at the same moment, and a query for 64 keys costs
PostgreSQL little more than one for a single key. So a question waits until the turn of the event
loop ends and goes with the others; while as many queries as allowed are under way, the next ones
gather.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from itertools import islice
from typing import Generic, TypeVar

from fastchat.errors import ServiceUnavailable

DEADLINE = 4.5  # seconds; a command that asks is answered within five

# Settings of the connections that these queries run on. Planning a page costs twice what reading it
# does, and the plan is the same for all (benchmarks/test_history.py). It must be good for tables of
# any size: made on small ones, it would read them as a whole ever after. So each key is looked up
# in an index, which is what all queries of the pool want.
QUERY_SETTINGS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_material": "off",
    "jit": "off",
}

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BatchedLookup(Generic[K, V]):
    """Answers single keys by one call for all that were asked for together.

    Attributes:
        batches: Calls made.
        keys: Keys asked for in them.
        refused: Questions that were refused because too many were waiting.
    """

    def __init__(
        self,
        fetch_many: Callable[[list[K]], Awaitable[Sequence[V]]],
        *,
        max_batch: int = 256,
        max_in_flight: int = 2,
        max_waiting: int = 10_000,
        deadline: float = DEADLINE,
    ) -> None:
        """Take the call that answers many keys, in their order, and the bounds.

        Args:
            fetch_many: Gets different keys and returns one value for each.
            max_batch: Keys in one call.
            max_in_flight: Calls under way at once.
            max_waiting: Questions without an answer; beyond it they are refused.
            deadline: Seconds after which a question ends with ServiceUnavailable.
        """
        self._fetch_many = fetch_many
        self._max_batch = max_batch
        self._max_in_flight = max_in_flight
        self._max_waiting = max_waiting
        self._deadline = deadline
        self._gathering: dict[K, list[asyncio.Future[V]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_scheduled = False
        self._waiting = 0
        self.batches = 0
        self.keys = 0
        self.refused = 0

    @property
    def waiting(self) -> int:
        """How many questions have no answer yet."""
        return self._waiting

    async def get(self, key: K) -> V:
        """Return the value of a key.

        Raises:
            ServiceUnavailable: the deadline passed, or too many questions are waiting.
            Exception: whatever the call raised.
        """
        if self._waiting >= self._max_waiting:
            self.refused += 1
            raise ServiceUnavailable
        loop = asyncio.get_running_loop()
        # One future for each question: the caller that gives up must not take the answer from
        # others who asked for the same key.
        future: asyncio.Future[V] = loop.create_future()
        self._gathering.setdefault(key, []).append(future)
        if not self._is_scheduled:
            self._is_scheduled = True
            loop.call_soon(self._flush)
        timer = loop.call_later(self._deadline, _expire, future)
        self._waiting += 1
        try:
            return await future
        finally:
            self._waiting -= 1
            timer.cancel()

    async def close(self) -> None:
        """End the calls under way; whoever still waits gets ServiceUnavailable."""
        for futures in self._gathering.values():
            for future in futures:
                _expire(future)
        self._gathering.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _flush(self) -> None:
        self._is_scheduled = False
        while self._gathering and len(self._tasks) < self._max_in_flight:
            batch: dict[K, list[asyncio.Future[V]]] = {}
            for key in list(islice(self._gathering, self._max_batch)):
                futures = [future for future in self._gathering.pop(key) if not future.done()]
                if futures:
                    batch[key] = futures
            if batch:
                task = asyncio.get_running_loop().create_task(self._answer(batch))
                self._tasks.add(task)
                task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._flush()

    async def _answer(self, batch: dict[K, list[asyncio.Future[V]]]) -> None:
        self.batches += 1
        self.keys += len(batch)
        try:
            async with asyncio.timeout(self._deadline):
                values = await self._fetch_many(list(batch))
            answers = list(zip(batch.values(), values, strict=True))
        except (TimeoutError, ServiceUnavailable, asyncio.CancelledError) as error:
            for futures in batch.values():
                for future in futures:
                    _expire(future)
            if isinstance(error, asyncio.CancelledError):
                raise
        except Exception as error:
            # A bug in the query: it belongs to those who asked, this task has no reader.
            for futures in batch.values():
                for future in futures:
                    if not future.done():
                        future.set_exception(error)
        else:
            for futures, value in answers:
                for future in futures:
                    if not future.done():
                        future.set_result(value)


def _expire(future: "asyncio.Future[V]") -> None:
    if not future.done():
        # An own error for each: one that is raised in many tasks would grow with every traceback.
        future.set_exception(ServiceUnavailable())
