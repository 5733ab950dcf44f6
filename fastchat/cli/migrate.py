"""``fastchat migrate``: create or update fastchat's own tables."""

import argparse
import asyncio
import os
import sys

import asyncpg

from fastchat.cli.database import connect, explain
from fastchat.config import Config, load
from fastchat.store import migrations


def run(args: argparse.Namespace) -> int:
    """Apply what is missing, or print it; the tables of the main backend are never changed."""
    config = load(os.environ)
    if config.uses_embedded_database:
        # As a comment, for where this goes may be a script.
        lead = "-- " if args.sql else ""
        print(f"{lead}No database is configured; the embedded one is migrated at the start.")
        return 0
    try:
        return asyncio.run(_migrate(config, sql_only=args.sql))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        print(f"fastchat migrate: database: {explain(error)}", file=sys.stderr)
        return 1
    except migrations.MigrationError as error:
        print(f"fastchat migrate: {error}", file=sys.stderr)
        return 1


async def _migrate(config: Config, *, sql_only: bool) -> int:
    connection = await connect(config)
    try:
        if sql_only:
            print(await migrations.pending_sql(connection), end="")
            return 0
        applied = await migrations.migrate(connection)
    finally:
        connection.terminate()
    print(f"Applied: {', '.join(applied)}" if applied else "Nothing to do.")
    return 0
