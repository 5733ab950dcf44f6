"""What benchmarks of queries share: the cost of a call here and in PostgreSQL."""

import asyncio
import time
from contextlib import contextmanager
from pathlib import Path

from fastchat.store.lookups import QUERY_SETTINGS
from fastchat.store.pool import Pool


def processor_seconds(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


class Reader:
    """Runs queries on one connection and notes what they cost, in microseconds of CPU."""

    def __init__(self, runner: asyncio.Runner, dsn: str) -> None:
        self.run = runner.run
        self.pool = self.run(self._open(dsn))
        self.pid = self.run(self.pool.fetchrow("SELECT pg_backend_pid()"))[0]

    async def _open(self, dsn: str) -> Pool:
        arguments = {"dsn": dsn, "server_settings": QUERY_SETTINGS}
        pool = Pool(arguments, min_size=1, max_size=1)
        await pool.start()
        return pool

    def close(self) -> None:
        self.run(self.pool.stop())

    @contextmanager
    def costs(self, benchmark, count):
        """Note the costs of what is done inside, divided by ``count()``."""
        backend, own = processor_seconds(self.pid), time.process_time()
        yield
        each = 1e6 / count()
        benchmark.extra_info["postgres_us"] = round(
            (processor_seconds(self.pid) - backend) * each, 1
        )
        benchmark.extra_info["client_us"] = round((time.process_time() - own) * each, 1)
