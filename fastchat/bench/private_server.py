"""A server for a measurement: a process of its own, with a database of its own, gone afterwards.

Nothing of a real installation is touched: with no database given an embedded one is used; on a
given one a database with another name is made, and dropped at the end.
"""

import asyncio
import base64
import contextlib
import json
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from fastchat.auth.tokens import make_token
from fastchat.bench.processes import processor_time
from fastchat.store.embedded import EmbeddedPostgres, environment

PATIENCE = 60.0  # seconds for the start and for the end
TOKEN_LIFETIME = 6 * 3600.0  # seconds
# Whoever measures means the server, not the limits that protect it.
UNLIMITED = {
    "MAX_CONNECTIONS": "1000000",
    "MAX_CONNECTIONS_PER_IP": "1000000",
    "IP_RATE_LIMIT": "100000000",
    "MESSAGE_RATE_LIMIT": "1000000",
    "COMMAND_RATE_LIMIT": "1000000",
    "PRESENCE_SCOPE": "none",
}
TABLES = """
CREATE TABLE users_auth (user_id bigint PRIMARY KEY, username text NOT NULL, email text);
CREATE TABLE user_profile_info (
    user_id bigint PRIMARY KEY, first_name text, last_name text,
    display_name text, profile_picture_url text
);
CREATE TABLE jwt_revocation (jti text PRIMARY KEY);
CREATE TABLE blocked_relationships (
    blocker_id bigint, blocked_id bigint, PRIMARY KEY (blocker_id, blocked_id)
);
CREATE TABLE user_follows (
    follower_id bigint, followee_id bigint, PRIMARY KEY (follower_id, followee_id)
);
"""
USERS = """
INSERT INTO users_auth
    SELECT id, 'user' || id, 'user' || id || '@example.org' FROM generate_series(1, $1::int) id
"""
PROFILES = """
INSERT INTO user_profile_info (user_id, first_name, last_name)
    SELECT id, 'First' || id, 'Last' || id FROM generate_series(1, $1::int) id
"""


class PrivateServerError(Exception):
    """The server for the measurement could not be had."""


@dataclass(slots=True)
class PrivateServer:
    """A server that runs."""

    url: str
    secret: bytes = field(repr=False)
    dsn: str = field(repr=False)
    process: "subprocess.Popen[bytes]" = field(repr=False)  # its supervisor
    log: Path
    postgres_pid: int  # 0: it is not this machine's, or not known

    def token(self, user_id: int | str, lifetime: float = TOKEN_LIFETIME) -> str:
        """Return a token of a user."""
        return make_token(self.secret, str(user_id), lifetime)

    @property
    def worker_pid(self) -> int:
        """Process id of its only worker."""
        return int(self.page("/metrics")["workers"]["each"][0]["pid"])

    def times(self) -> tuple[float, float]:
        """Return the processor seconds of its processes and of PostgreSQL; 0 for one elsewhere."""
        return (
            processor_time(self.process.pid, with_children=True),
            processor_time(self.postgres_pid, with_children=True) if self.postgres_pid else 0.0,
        )

    def page(self, path: str) -> dict[str, Any]:
        """Return what one of its pages says."""
        return read_page(self.url, path)


def read_page(url: str, path: str) -> dict[str, Any]:
    """Return what a page of a server says, a JSON object."""
    address = "http" + url.removeprefix("ws") + path
    with urllib.request.urlopen(address, timeout=10) as answer:
        return cast(dict[str, Any], json.load(answer))


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the program as Ctrl-C does, so that no server is left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread hears signals
        return
    previous = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def private_database(users: int, dsn: str | None = None) -> Iterator[tuple[str, int]]:
    """Make a database with users 1 to n; yield its address and the process id of its server.

    Args:
        users: How many there are.
        dsn: Of a PostgreSQL in which databases may be made; None: an embedded one is started.

    Raises:
        PrivateServerError: the PostgreSQL refuses.
    """
    if dsn is None:
        with (
            _ended_by_sigterm(),
            tempfile.TemporaryDirectory(prefix="fastchat-", ignore_cleanup_errors=True) as name,
        ):
            folder = Path(name)
            folder.chmod(0o755)  # PostgreSQL may run as another user
            with EmbeddedPostgres(folder) as postgres:
                asyncio.run(_fill(postgres.dsn, users))
                yield postgres.dsn, postgres.pid
        return
    name = f"fastchat_bench_{secrets.token_hex(4)}"
    try:
        asyncio.run(_execute(dsn, f"CREATE DATABASE {name}"))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise PrivateServerError(
            "no database can be made for the measurement (the role needs CREATEDB): "
            + (" ".join(str(error).split()) or type(error).__name__)
        ) from None
    parts = urlsplit(dsn)
    own = urlunsplit(parts._replace(path="/" + quote(name)))
    with _ended_by_sigterm():
        try:
            asyncio.run(_fill(own, users))
            yield own, 0
        finally:
            asyncio.run(_execute(dsn, f"DROP DATABASE {name} WITH (FORCE)"))


@contextmanager
def private_server(
    dsn: str, settings: Mapping[str, str] | None = None, *, postgres_pid: int = 0
) -> Iterator[PrivateServer]:
    """Run ``fastchat serve`` on a database, on a free port of this machine.

    Args:
        dsn: Of a database whose tables are the measurement's own.
        settings: Environment variables besides those that this needs.
        postgres_pid: Passed on.

    Raises:
        PrivateServerError: it does not start; with its log.
    """
    secret = secrets.token_bytes(48)
    with tempfile.TemporaryDirectory(prefix="fastchat-log-") as folder:
        log = Path(folder) / "server.log"
        environ = environment() | {
            "NODE_ENV": "production",
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "info",
            "HOST": "127.0.0.1",
            "PORT": "0",
            "DATABASE_URL": dsn,
            "DB_SSL": "false",
            "JWT_SECRET": base64.b64encode(secret).decode(),
            "CHAT_ENCRYPTION_KEY": secrets.token_urlsafe(24),
            **(settings or {}),
        }
        with open(log, "wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "fastchat", "serve"], stderr=file, env=environ
            )
        try:
            url = _wait_for_start(process, log)
            yield PrivateServer(url, secret, dsn, process, log, postgres_pid)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
            process.kill()
            process.wait()


def _wait_for_start(process: "subprocess.Popen[bytes]", log: Path) -> str:
    end = time.monotonic() + PATIENCE
    while not (url := _listening_at(log)):
        if process.poll() is not None or time.monotonic() > end:
            raise PrivateServerError(f"the server did not start: {log.read_text()}")
        time.sleep(0.05)
    return url


def _listening_at(log: Path) -> str:
    text = log.read_text()
    for line in text[: text.rfind("\n") + 1].splitlines():
        # Wrong settings are told as plain text.
        event = json.loads(line) if line.startswith("{") else {"message": line}
        if event["message"] == "listening":
            return str(event["url"])
    return ""


async def _fill(dsn: str, users: int) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(TABLES)
        await connection.execute(USERS, users)
        await connection.execute(PROFILES, users)
    finally:
        await connection.close()


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
