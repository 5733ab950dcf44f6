"""What serves the devices of a run.

devices ── hosts (each with workers) ── a proxy for each ── PostgreSQL
"""

from pathlib import Path

from tests.faults.database import Database, HostDatabase
from tests.faults.host import Host
from tests.faults.proxy import Proxy
from tests.functional.broker.redis_process import KINDS, RedisProcess

LANE = b"lane_commits"  # what a connection says that stores messages


class Servers:
    """Some hosts that share one database, and where there are several one Redis."""

    def __init__(self, folder: Path, *, hosts: int = 1, workers: int = 1) -> None:
        """Take a folder that everybody can reach, and how many workers each host has."""
        self.redis = RedisProcess(folder / "redis", KINDS[-1]) if hosts > 1 else None
        self.redis_proxies: list[Proxy] = []
        self.database = Database(folder / "database")
        self.hosts: list[Host] = []
        self.database_proxies: list[Proxy] = []
        self._folder = folder
        self._host_count = hosts
        self._workers = workers

    async def start(self) -> None:
        await self.database.start()
        if self.redis is not None:
            await self.redis.start()
        for number in range(self._host_count):
            settings = {"DATABASE_URL": await self._proxied_database()}
            if self.redis is not None:
                settings["REDIS_URL"] = await self._proxied_redis(self.redis)
            host = Host(self._folder / f"host-{number}", self._workers, **settings)
            self.hosts.append(host)
            await host.start()

    async def _proxied_database(self) -> str:
        proxy = Proxy("127.0.0.1", self.database.port, LANE)
        await proxy.start()
        self.database_proxies.append(proxy)
        return self.database.dsn.replace(f":{self.database.port}/", f":{proxy.port}/")

    async def _proxied_redis(self, redis: RedisProcess) -> str:
        proxy = Proxy("127.0.0.1", redis.port)
        await proxy.start()
        self.redis_proxies.append(proxy)
        return f"redis://127.0.0.1:{proxy.port}"

    async def stop(self) -> None:
        for host in self.hosts:
            await host.stop()
        for proxy in (*self.database_proxies, *self.redis_proxies):
            await proxy.stop()
        if self.redis is not None:
            self.redis.kill()
        self.database.stop()


class EmbeddedServers:
    """One host in development, with the database that it starts by itself."""

    def __init__(self, folder: Path, *, workers: int = 1) -> None:
        """Take a folder that everybody can reach."""
        host = Host(folder / "host", workers, NODE_ENV="development")
        self.hosts = [host]
        self.database = HostDatabase(host)

    async def start(self) -> None:
        await self.hosts[0].start()
        await self.database.start()

    async def stop(self) -> None:
        await self.hosts[0].stop()
