"""A PostgreSQL of the rig's own, which can be hurt, and what is stored in it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from fastchat.store import migrations
from fastchat.store.embedded import EmbeddedPostgres
from tests.conftest import BACKEND_TABLES, address
from tests.faults.history import Stored
from tests.faults.host import Host
from tests.functional.failure.process import PATIENCE, POLL, is_alive, until
from tests.functional.store.freezing import frozen

NAME = "faults"
TIMEOUT = 10.0  # seconds, of a statement of ours
# Ours must work, whatever the servers' must not.
WRITES = {"default_transaction_read_only": "off"}
USERS = """
INSERT INTO users_auth
    SELECT id, 'user' || id, 'user' || id || '@example.org' FROM generate_series(1, 200) id
ON CONFLICT DO NOTHING
"""
STORED = """
SELECT coalesce(m.group_id, m.conversation_id), m.seq, m.sender_id, m.client_message_id
FROM unnest($1::text[], $2::bigint[]) AS known (room, seq)
JOIN LATERAL (
    SELECT room_id FROM dm_conversations WHERE conversation_id = known.room
    UNION ALL SELECT room_id FROM chat_groups WHERE group_id = known.room
) AS rooms ON true
JOIN chat_messages m ON m.room_id = rooms.room_id AND m.seq > known.seq
ORDER BY m.room_id, m.seq
"""


class Store:
    """A database with fastchat's tables, whoever runs its server."""

    dsn = ""

    async def find(self) -> None:
        """Find out where it is, after a host was started."""

    @property
    def port(self) -> int:
        return int(self.dsn.rpartition(":")[2].partition("/")[0])

    @asynccontextmanager
    async def session(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection past all proxies."""
        connection = await asyncpg.connect(
            self.dsn, timeout=TIMEOUT, command_timeout=TIMEOUT, server_settings=WRITES
        )
        try:
            yield connection
        finally:
            await connection.close(timeout=TIMEOUT)

    async def stored(self, tops: dict[str, int]) -> list[Stored]:
        """Return what is stored above these positions, by room and ``seq``."""
        async with self.session() as connection:
            rows = await connection.fetch(STORED, list(tops), list(tops.values()))
        return [Stored(*row) for row in rows]


class HostDatabase(Store):
    """The embedded database of a host in development; users 1 to 200 exist."""

    def __init__(self, host: Host) -> None:
        """Take the host, which is started before this is."""
        self._host = host

    async def find(self) -> None:
        """Find out where it is; each start of the host may change that."""
        self.dsn = self._host.embedded_dsn()

    async def start(self) -> None:
        """Find it and add the users."""
        await self.find()
        async with self.session() as connection:
            await connection.execute(USERS)


class Database(Store):
    """A server of its own; users 1 to 200 exist."""

    def __init__(self, folder: Path) -> None:
        """Take a folder that everybody can reach."""
        self._postgres = EmbeddedPostgres(folder)

    async def start(self) -> None:
        """Start the server and make the tables."""
        self._postgres.start()
        admin = await asyncpg.connect(self._postgres.dsn)
        try:
            await admin.execute(f"CREATE DATABASE {NAME}")
        finally:
            await admin.close()
        self.dsn = address(self._postgres.dsn, NAME)
        async with self.session() as connection:
            await connection.execute(BACKEND_TABLES)
            await migrations.migrate(connection)

    def stop(self) -> None:
        self._postgres.stop()

    # What can happen to it

    async def kill(self) -> None:
        """End the server without a warning, and start it again."""
        await self._end(signal.SIGKILL)

    async def restart(self) -> None:
        """Shut the server down quickly, which ends all connections, and start it again."""
        await self._end(signal.SIGINT)

    async def _end(self, number: signal.Signals) -> None:
        pid = self._postgres.pid
        os.kill(pid, number)
        await until(lambda: not is_alive(pid))
        await self._revive()

    async def _revive(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                self._postgres.revive()
                try:
                    async with self.session():
                        return
                except (OSError, asyncpg.PostgresError, TimeoutError):
                    await asyncio.sleep(POLL)

    async def freeze(self, seconds: float) -> None:
        """Stop all its processes for some time."""
        with frozen(self._postgres.pid):
            await asyncio.sleep(seconds)

    async def refuse_writes(self, seconds: float) -> None:
        """Make transactions read-only for some time, as before a fail-over."""
        await self._configure("SET default_transaction_read_only = on")
        try:
            await asyncio.sleep(seconds)
        finally:
            await self._configure("RESET default_transaction_read_only")

    async def _configure(self, change: str) -> None:
        async with self.session() as connection:
            await connection.execute(f"ALTER SYSTEM {change}")
            await connection.execute("SELECT pg_reload_conf()")
