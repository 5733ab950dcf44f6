"""``fastchat doctor``: what of the database and the Redis is missing, mis-typed, unindexed, unsafe.

It only looks. Beside each finding stands what mends it, for somebody who knows the database to run:
``--sql`` prints nothing else.
"""

import argparse
import asyncio
import os
from collections.abc import AsyncIterator
from typing import NamedTuple

import asyncpg

from fastchat.cli.database import connect, explain
from fastchat.cli.development import load_complete
from fastchat.config import Config

PATIENCE = 60.0  # seconds for everything


class Finding(NamedTuple):
    """``level``: ``ok``, ``note`` (slow, or worth knowing), ``warn`` or ``FAIL``.

    ``fix`` is SQL, or a command for Redis; empty where there is none.
    """

    level: str
    subject: str
    found: str
    fix: str = ""


def run(args: argparse.Namespace) -> int:
    """Print what was found; 1 when something fails."""
    config = load_complete(os.environ)
    return asyncio.run(_run(config, only_sql=args.sql))


async def _run(config: Config, *, only_sql: bool) -> int:
    failed = False
    async for finding in examine(config):
        failed = failed or finding.level == "FAIL"
        if only_sql:
            if finding.fix and finding.subject != "Redis":
                print(f"-- {finding.subject} {finding.found}\n{finding.fix}\n", flush=True)
            continue
        print(f"{finding.level:<4}  {finding.subject}: {finding.found}", flush=True)
        for line in finding.fix.splitlines():
            print(f"          {line}", flush=True)
    return int(failed)


async def examine(config: Config) -> AsyncIterator[Finding]:
    """Yield what is found, one after the other; every wait is bounded."""
    if config.uses_embedded_database:
        yield Finding("note", "database", "the embedded one is looked after by the server itself")
    else:
        for finding in await _examine_database(config):
            yield finding
    if config.redis_url:
        from fastchat.cli.doctor_redis import examine_redis

        for finding in await examine_redis(config.redis_url):
            yield finding


async def _examine_database(config: Config) -> list[Finding]:
    from fastchat.cli.doctor_database import Doctor

    try:
        connection = await connect(config)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return [Finding("FAIL", "database", explain(error))]
    doctor = Doctor(connection, config)
    try:
        async with asyncio.timeout(PATIENCE):
            await doctor.examine()
    except TimeoutError:
        doctor.note("FAIL", "database", f"no answer to everything within {PATIENCE:g} s")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        doctor.note("FAIL", "database", explain(error))
    finally:
        connection.terminate()
    return doctor.findings
