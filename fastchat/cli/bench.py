"""``fastchat bench``: what this machine and its database can do, in about a minute.

A server of its own is measured, on a database of its own that is dropped afterwards: an embedded
one, or one made beside yours. With ``--url`` it is a running server instead, within its limits.
"""

import argparse
import os
import resource
import sys
from typing import TextIO

import uvloop

from fastchat.auth.tokens import make_token
from fastchat.bench.addresses import is_this_machine
from fastchat.bench.crowd import quantile
from fastchat.bench.measure import USERS, Progress, Result, measure_private, measure_running
from fastchat.bench.peer import PeerError
from fastchat.bench.private_server import (
    UNLIMITED,
    PrivateServerError,
    private_database,
    private_server,
)
from fastchat.cli.development import DevelopmentError, user_id
from fastchat.cli.secret import server_secret
from fastchat.config import Config, load

BAR = 30  # characters
DESCRIPTORS = 200  # besides the connections
MINUTE = 60.0  # seconds, the window of MESSAGE_RATE_LIMIT
RUNNING_SECONDS = 30.0
LIFETIME = 3600.0  # seconds of a token
# What the server to be measured shares with the one that the settings describe.
KEPT = (
    "DB_MAX_CONNECTIONS",
    "DB_MIN_CONNECTIONS",
    "DB_SSL",
    "ENCRYPTION_FORMAT",
    "FASTCHAT_NO_EXTENSIONS",
    "MAX_PAYLOAD_SIZE",
    "MAX_MESSAGE_LENGTH",
)


class BenchError(DevelopmentError):
    """There is nothing that can be measured."""


def run(args: argparse.Namespace) -> int:
    """Measure and print a table; 1 when messages were lost."""
    config = load({**os.environ, "NODE_ENV": "development"})
    progress = bar(sys.stderr)
    try:
        result = _measure(args, config, progress)
    except (PeerError, PrivateServerError) as error:
        raise BenchError(str(error)) from None
    print("\n".join(table(result, config)))
    return 1 if result.lost else 0


def _measure(args: argparse.Namespace, config: Config, progress: Progress) -> Result:
    if args.url:
        check_url(args.url, args.allow_remote)
        users = [user_id(name) for name in args.users.split(",")]
        if len(users) < 2 or len(set(users)) < len(users):
            raise BenchError(f"--users {args.users}: expected two or more different users")
        secret = server_secret(os.environ)
        seconds = RUNNING_SECONDS * args.scale
        return uvloop.run(
            measure_running(
                args.url, lambda user: make_token(secret, user, LIFETIME), users, seconds, progress
            )
        )
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = USERS + DESCRIPTORS
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise BenchError(f"open files: allowed {hard}, expected {wanted} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    progress("a database of its own", 0.0)
    settings = {name: os.environ[name] for name in KEPT if os.environ.get(name)}
    with (
        private_database(USERS, args.database) as (dsn, postgres_pid),
        private_server(dsn, settings | UNLIMITED, postgres_pid=postgres_pid) as server,
    ):
        return uvloop.run(measure_private(server, progress, scale=args.scale))


def check_url(url: str, allow_remote: bool) -> None:
    """Refuse a server that may be somebody else's.

    Raises:
        BenchError: it is not on this machine, and nobody said that it may be another one.
    """
    if not url.startswith(("ws://", "wss://")):
        raise BenchError(f"{url!r}: expected a ws:// or wss:// URL")
    if not allow_remote and not is_this_machine(url):
        raise BenchError(
            f"{url!r} is not on this machine: a load on a server is its owner's to allow;"
            " --allow-remote says that you do"
        )


def bar(stream: TextIO) -> Progress:
    """Return what shows the progress: a bar on a terminal, else a line per step."""
    shown = ""

    def show(step: str, share: float) -> None:
        nonlocal shown
        if not stream.isatty():
            if step != shown:
                shown = step
                print(f"{share:4.0%}  {step}", file=stream, flush=True)
            return
        full = round(BAR * share)
        end = "\n" if share >= 1 else ""
        line = f"[{'#' * full}{'.' * (BAR - full)}] {share:4.0%}  {step}"
        print(f"\r{line:<{BAR + 40}}", end=end, file=stream, flush=True)

    return show


def table(result: Result, config: Config) -> list[str]:
    """Return the lines of the report."""
    is_private = result.base > 0
    what = "at most" if is_private else "one of each pair in flight"
    rows = [
        (f"messages per second, {what}", f"{result.capacity:,.0f}"),
        ("server, processor time per message", _micros(result.server_time)),
        ("database, processor time per message", _micros(result.database_time)),
        ("log-ins per second", f"{result.logins:,.0f}"),
        (f"latency at {result.rate:,.0f} messages/s", "to sender      to receiver"),
    ]
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)):
        acks, deliveries = quantile(result.acks, share), quantile(result.deliveries, share)
        rows.append((f"  {name}", f"{acks * 1000:8.2f} ms    {deliveries * 1000:8.2f} ms"))
    if is_private:
        rows.append(("memory without connections", f"{result.base / 1024:.0f} MB"))
        rows.append(("memory per idle connection", f"{result.per_connection:.1f} KB"))
        rows += headroom(result, config)
    rows.append(("messages lost", str(result.lost)))
    rows += [(f"refused: {code}", str(count)) for code, count in sorted(result.refused.items())]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {value}" for name, value in rows]
    if not is_private:
        return lines
    return [*lines, "", "Server, database and the load itself shared this machine."]


def headroom(result: Result, config: Config) -> list[tuple[str, str]]:
    """Return what the settings allow, held against what was found; of one worker."""
    users, limit = config.max_connections, config.message_rate_limit
    most = users * limit / MINUTE
    memory = (result.base + users * result.per_connection) / 1024
    found = [
        (f"MAX_CONNECTIONS={users}", f"{memory:.0f} MB when full"),
        (
            f"  each at MESSAGE_RATE_LIMIT={limit}",
            f"{most:,.0f} messages/s, {_times(result.capacity, most)}",
        ),
    ]
    talking = result.capacity * MINUTE / limit
    found.append(("users who may write all they are allowed", f"{talking:,.0f}"))
    return found


def _times(capacity: float, wanted: float) -> str:
    if capacity >= wanted:
        return f"headroom {capacity / wanted:.1f} times"
    return f"{wanted / capacity:.1f} times what this machine can do"


def _micros(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} µs" if seconds else "not known"
