"""The database, for the commands that look at it or migrate it; imports asyncpg."""

from typing import TYPE_CHECKING

import asyncpg

from fastchat.config import Config
from fastchat.store.connect import connect_arguments

if TYPE_CHECKING:
    from asyncpg import Connection


async def connect(config: Config) -> "Connection":
    """Open one connection as the settings say, within ``DB_CONNECTION_TIMEOUT``.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: nobody answers, or refuses.
    """
    arguments = connect_arguments(
        dsn=config.database_url,
        host=config.db_host,
        port=config.db_port,
        name=config.db_name,
        user=config.db_user,
        password=config.db_pass,
        ssl=config.db_ssl,
    )
    return await asyncpg.connect(**arguments, timeout=config.db_connection_timeout)


def explain(error: BaseException) -> str:
    """Say in one line why the database cannot be used; asyncpg's messages hold no password."""
    if isinstance(error, TimeoutError):
        return "no answer within DB_CONNECTION_TIMEOUT"
    return " ".join(str(error).split()) or type(error).__name__
