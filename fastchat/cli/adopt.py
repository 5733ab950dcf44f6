"""``fastchat adopt``: take over the tables of the previous server, the one in Node."""

import argparse
import asyncio
import os
import sys
import time

import asyncpg

from fastchat.cli.database import connect, explain
from fastchat.config import Config, load
from fastchat.store.adoption import AFTER, BEFORE, NEXT, AdoptionError
from fastchat.store.adoption.adoption import Adoption, Result
from fastchat.store.adoption.old_tables import find
from fastchat.store.adoption.places import abandon, change_places, go_back
from fastchat.store.adoption.report import Line, report
from fastchat.store.adoption.state import own_tables
from fastchat.store.cipher import Cipher, KeyRing
from fastchat.store.migrations import MigrationError

TELL_EVERY = 2.0  # seconds between two lines about the same step


def run(args: argparse.Namespace) -> int:
    """Report, copy, change places, or go back; 1 when something stands in the way."""
    config = load(os.environ)
    if config.uses_embedded_database:
        print(
            "fastchat adopt: no database is configured, expected the previous server's in "
            "DATABASE_URL",
            file=sys.stderr,
        )
        return 1
    try:
        return asyncio.run(_adopt(config, args))
    except asyncpg.PostgresError as error:
        # Without its details, where the row may be that it is about.
        print(f"fastchat adopt: database: {error.args[0]}", file=sys.stderr)
    except (OSError, asyncpg.InterfaceError) as error:
        print(f"fastchat adopt: database: {explain(error)}", file=sys.stderr)
    except (AdoptionError, MigrationError) as error:
        print(f"fastchat adopt: {error}", file=sys.stderr)
    return 1


async def _adopt(config: Config, args: argparse.Namespace) -> int:
    given = _columns(args.column)
    connection = await connect(config)
    try:
        if args.time_zone:
            await connection.execute("SELECT set_config('TimeZone', $1, false)", args.time_zone)
        if args.back:
            return await _go_back(connection)
        if args.abandon:
            was_there = await abandon(connection)
            print("The copy and the triggers are removed." if was_there else "Nothing to remove.")
            return 0
        cipher = _cipher(config)
        if not args.copy and not args.switch:
            await connection.execute("SET default_transaction_read_only = on")
            tables = await find(connection, given)
            return _show(await report(connection, tables, cipher))
        adoption = Adoption(
            connection, cipher, _Teller(), given=given, slice_size=args.slice, pause=args.pause
        )
        if args.copy:
            await adoption.copy()
            print(
                f"The copy is in {NEXT} and follows the old tables. Stop the old server, then run "
                "`fastchat adopt --switch`."
            )
            return 0
        result, seconds = await change_places(adoption)
        _show_result(result)
        print(
            f"The tables changed places, locked for {seconds:.1f} s. The old ones are in {BEFORE}, "
            "with their plaintext: `fastchat adopt --back` puts them back."
        )
    finally:
        connection.terminate()
    return 0


def _columns(given: list[str]) -> dict[str, str]:
    """Return what ``--column`` says.

    Raises:
        AdoptionError: it has no name.
    """
    found = {}
    for text in given:
        key, _, name = text.partition("=")
        if not name:
            raise AdoptionError(f"--column {text}: expected KIND.COLUMN=NAME")
        found[key] = name
    return found


def _cipher(config: Config) -> Cipher:
    keys = KeyRing(
        config.chat_encryption_key,
        config.chat_encryption_keys,
        salt=config.chat_encryption_salt,
    )
    return Cipher(keys, config.encryption_format)


async def _go_back(connection: "asyncpg.Connection") -> int:
    back = await go_back(connection)
    kept = await own_tables(connection, AFTER)
    print(f"Back in their places: {', '.join(back)}.")
    print(f"What fastchat stored is in {AFTER}: {', '.join(kept)}.")
    return 0


def _show(lines: list[Line]) -> int:
    width = max(len(line.subject) for line in lines)
    for line in lines:
        print(f"{line.level:<4}  {line.subject:<{width}}  {line.found}")
    failed = any(line.level == "FAIL" for line in lines)
    print(
        "Nothing was changed; what failed has to be mended first."
        if failed
        else "Nothing was changed. `fastchat adopt --copy` copies while the old server runs."
    )
    return int(failed)


def _show_result(result: Result) -> None:
    rows = [("", "old", "new", "digest")]
    rows.append(
        (
            "messages",
            f"{result.old_messages:,}",
            f"{result.new_messages:,}",
            f"{result.digest & (1 << 64) - 1:016x}",
        )
    )
    rows += [
        (
            compared.kind.replace("_", " "),
            f"{compared.old_rows:,}",
            f"{compared.new_rows:,}",
            f"{compared.new_digest & (1 << 64) - 1:016x}",
        )
        for compared in result.others
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)))
    print(
        f"{result.compared:,} messages were compared beforehand, {result.compared_last:,} that "
        f"changed since then in the end. {result.left_out:,} were left out."
    )
    if result.kept_plaintext:
        print(f"{result.kept_plaintext:,} keep their plaintext: their ciphertext does not open.")
    if result.unreadable:
        print(
            f"{result.unreadable:,} cannot be read: no key opens them, and there is no plaintext."
        )


class _Teller:
    """Prints how far a step is, now and then."""

    def __init__(self) -> None:
        self._step = ""
        self._started = self._told = 0.0

    def __call__(self, step: str, done: int, total: int) -> None:
        now = time.monotonic()
        if step != self._step:
            self._step, self._started, self._told = step, now, 0.0
        if now - self._told < TELL_EVERY and done < total:
            return
        self._told = now
        of = f" of {total:,}" if total else ""
        print(f"{step}: {done:,}{of}, {now - self._started:.0f} s", flush=True)
