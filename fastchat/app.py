"""The application: the embedded database where no other is configured, and the supervisor in it."""

import asyncio
import logging
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import asyncpg

from fastchat._speedups import COMPILED
from fastchat.config import Config
from fastchat.store import backend, development, migrations
from fastchat.store.backend import BackendTables
from fastchat.store.connect import connect_arguments, warn_of_unverified_server
from fastchat.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
from fastchat.store.lookups import QUERY_SETTINGS
from fastchat.supervisor.processes import StartError
from fastchat.supervisor.supervisor import Supervisor

STARTUP_PATIENCE = 60.0  # seconds that the database may take to answer at start
STARTUP_PAUSE = 0.5  # seconds between tries
WORKING_FILES = 64  # file descriptors besides those of clients

log = logging.getLogger("fastchat")

OnReady = Callable[[str], None]


def run(config: Config, on_ready: OnReady | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code of the process.

    Args:
        config: The settings, complete.
        on_ready: Called with the URL once all workers accept connections.
    """
    _raise_file_limit(config.max_connections)
    if not COMPILED:
        log.warning("the compiled kernels are missing; run `make build`")
    try:
        with _database(config) as postgres:
            arguments = database_arguments(config, postgres)
            if postgres is None:
                warn_of_unverified_server(ssl=config.db_ssl, dsn=config.database_url)
            prepare = partial(prepare_database, config, arguments)
            return Supervisor(config, arguments, prepare, postgres, on_ready).run()
    except (StartError, EmbeddedPostgresError) as error:
        log.error("fastchat cannot start: %s", error)
        return 1


@contextmanager
def _database(config: Config) -> Iterator[EmbeddedPostgres | None]:
    """Run the embedded database around the server, where it is used."""
    if not config.uses_embedded_database:
        yield None
        return
    with EmbeddedPostgres(config.fastchat_data_dir) as postgres:
        yield postgres


def database_arguments(config: Config, postgres: EmbeddedPostgres | None) -> dict[str, Any]:
    """Return what ``asyncpg.connect`` needs to reach the database of the settings."""
    settings = QUERY_SETTINGS | {"statement_timeout": str(round(config.db_statement_timeout * 1e3))}
    if postgres is not None:
        return connect_arguments(dsn=postgres.dsn, ssl=False, server_settings=settings)
    return connect_arguments(
        dsn=config.database_url,
        host=config.db_host,
        port=config.db_port,
        name=config.db_name,
        user=config.db_user,
        password=config.db_pass,
        ssl=config.db_ssl,
        server_settings=settings,
    )


async def prepare_database(config: Config, arguments: dict[str, Any]) -> BackendTables:
    """Wait for the database, bring the schema up to date, look at the backend's tables.

    Raises:
        StartError: it does not answer, or cannot be used.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + STARTUP_PATIENCE
    while True:
        try:
            async with asyncio.timeout(config.db_connection_timeout):
                connection = await asyncpg.connect(**arguments)
            break
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            found = " ".join(str(error).split()) or type(error).__name__
            if loop.time() >= deadline or isinstance(
                error, asyncpg.InvalidAuthorizationSpecificationError
            ):
                raise StartError(f"the database does not answer: {found}") from None
            log.warning("waiting for the database: %s", found)
            await asyncio.sleep(STARTUP_PAUSE)
    try:
        # Migrations may take longer than any query.
        await connection.execute("SET statement_timeout = 0")
        for name in await migrations.migrate(connection):
            log.info("migration applied: %s", name)
        if config.is_development and config.uses_embedded_database:
            await development.create_development_backend(connection)
        return await backend.detect(connection)
    except (migrations.MigrationError, backend.BackendError, asyncpg.PostgresError) as error:
        raise StartError(f"the database cannot be used: {error}") from None
    finally:
        connection.terminate()


def _raise_file_limit(connections: int) -> None:
    """Allow as many open files as there may be connections, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + WORKING_FILES
    if soft < wanted and soft != resource.RLIM_INFINITY:
        best = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, best), hard))
        if best < wanted:
            log.warning("MAX_CONNECTIONS=%d, but only %d files may be open", connections, best)
