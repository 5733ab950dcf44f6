"""A server of several workers as processes, and how many of whom there are."""

import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.functional.client import ChatClient
from tests.functional.failure.process import ServerProcess, is_alive, until


class WorkersProcess(ServerProcess):
    """One supervisor with its workers."""

    def __init__(self, folder: Path, workers: int, **settings: str) -> None:
        super().__init__(folder, WEB_CONCURRENCY=str(workers), **settings)
        self.workers = workers

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor."""
        os.kill(self.pid, number)

    def worker_pids(self) -> set[int]:
        """Return the processes of all workers."""
        return {child for child in self._children() if child != self.postgres_pid()}

    def threads(self) -> int:
        """Return how many threads the supervisor has."""
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    async def roll(self) -> None:
        """Ask for a rolling restart and wait until it is over."""
        known = len(self.events("the rolling restart is over"))
        self.send(signal.SIGHUP)
        await until(lambda: len(self.events("the rolling restart is over")) > known)

    async def metrics(self) -> dict[str, Any]:
        """Return the figures that one of the workers tells, over a connection of its own."""
        status, body = await self.get("/metrics")
        assert status == 200
        found: dict[str, Any] = json.loads(body)
        return found

    async def pid_of(self, worker: int) -> int:
        """Return the process of a worker, by its number."""
        each = (await self.metrics())["workers"]["each"]
        (pid,) = [entry["pid"] for entry in each if entry["worker"] == worker]
        return int(pid)

    async def join_all(self, user_ids: range) -> list[ChatClient]:
        """Log users in; so many that no worker is without one, but for bad luck."""
        return [await self.join(user_id) for user_id in user_ids]

    async def close(self) -> None:
        """End everything."""
        pids = self._children() if self.is_running else set()
        await super().close()
        await until(lambda: not any(map(is_alive, pids)))

    def _children(self) -> set[int]:
        found: set[int] = set()
        for children in Path(f"/proc/{self.pid}/task").glob("*/children"):
            with suppress(OSError):
                found.update(map(int, children.read_text().split()))
        return {child for child in found if is_alive(child)}
