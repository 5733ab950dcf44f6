"""What a message costs with more workers, more idle connections, more stored rows.

Everything is processor time per message, of the server (supervisor and workers) and of PostgreSQL,
with 200 pairs that keep eight messages each in flight. The variants take turns, so that what else
runs on the machine hits all of them; the least of all turns counts.

Where processes are more than cores, they push each other out of the caches, whatever they do.
``--apart`` tells what that costs: as many servers of one worker on one database, each with a share
of the pairs, so that nothing crosses. A worker has no more connections than it may open files:
``--on 2`` divides them between two.

    python -m loadtests.scaling --workers 1,2,4 [--apart]
    python -m loadtests.scaling --connections 0,1000,5000,20000 --on 2
    python -m loadtests.scaling --rows 10000,10000000 --csv docs/figures/rows.csv
"""

import argparse
import asyncio
import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import asyncpg

from fastchat.bench.crowd import Crowd
from fastchat.bench.private_server import (
    UNLIMITED,
    PrivateServer,
    private_database,
    private_server,
)
from loadtests import table
from loadtests.idlers import idling

PAIRS = 200
IN_FLIGHT = 8
WARM_UP = 2.0  # seconds
MOST_FILES = 1_000_000
ROOMS = 1000  # that the stored rows are spread over; the pairs write in the first ones
FILL = (
    """INSERT INTO chat_rooms (room_id, seq, rev)
    SELECT n, $1, $1 FROM generate_series(1, $2::int) n""",
    """INSERT INTO dm_conversations (conversation_id, room_id, user1_id, user2_id)
    SELECT 'conv_' || least(a, b) || '_' || greatest(a, b), n, least(a, b), greatest(a, b)
    FROM (SELECT n, (2 * n - 1)::text COLLATE "C" AS a, (2 * n)::text COLLATE "C" AS b
        FROM generate_series(1, $1::int) n) x""",
    """INSERT INTO room_members (user_id, room_id)
    SELECT u::text, (u + 1) / 2 FROM generate_series(1, 2 * $1::int) u""",
    """INSERT INTO chat_messages (room_id, seq, rev, created_at, conversation_id, sender_id,
        recipient_id, encrypted_content, encryption_iv)
    SELECT n, s, s, now() - interval '1 day', 'conv_' || n, (2 * n - 1)::text, (2 * n)::text,
        repeat('a', 416), repeat('b', 32)
    FROM generate_series(1, $2::int) n, generate_series(1, $1::int) s""",
    "SELECT setval(pg_get_serial_sequence('chat_rooms', 'room_id'), $1)",
)


COLUMNS = ("server_us_per_message", "postgresql_us_per_message", "messages_per_s")


class Variant(NamedTuple):
    """What there is more of, and how many; ``apart`` are servers of one worker each."""

    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.number:,} {self.kind}"

    def count(self, *kinds: str) -> int:
        """Return the number if it is of one of these kinds; 0 otherwise."""
        return self.number if self.kind in kinds else 0


class Costs(NamedTuple):
    """Microseconds of processor time per message."""

    server: float
    database: float
    rate: float  # messages per second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    kinds = parser.add_mutually_exclusive_group(required=True)
    for name in ("workers", "connections", "rows"):
        kinds.add_argument(f"--{name}", type=numbers, metavar="N,N")
    parser.add_argument(
        "--each", action="store_true", help=f"{PAIRS} pairs for each worker instead of in all"
    )
    parser.add_argument(
        "--apart", action="store_true", help="measure as many servers of one worker each, too"
    )
    parser.add_argument(
        "--on",
        type=int,
        default=1,
        metavar="N",
        help="workers of the server that has the connections or rows (default 1)",
    )
    parser.add_argument("--seconds", type=float, default=8.0, help="of one turn (default 8)")
    parser.add_argument("--runs", type=int, default=3, help="turns of each variant (default 3)")
    parser.add_argument("--csv", type=Path, help="file for the least of each variant")
    args = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, MOST_FILES), hard))
    kind = next(name for name in ("workers", "connections", "rows") if getattr(args, name))
    variants = [Variant(kind, number) for number in getattr(args, kind)]
    if args.apart:
        variants += [Variant("apart", number) for number in args.workers if number > 1]
    found: dict[Variant, list[Costs]] = {variant: [] for variant in variants}
    for run in range(args.runs):
        for variant in variants:
            costs = measure(variant, args.seconds, is_each=args.each, workers=args.on)
            found[variant].append(costs)
            print(f"run {run + 1}, {variant}: {describe(costs)}", flush=True)
    print(f"\n{'':>18} {'server µs':>10} {'ratio':>6} {'PostgreSQL µs':>14} {'ratio':>6}")
    first = least(found[variants[0]])
    for variant in variants:
        costs = least(found[variant])
        print(
            f"{variant!s:>18} {costs.server:>10.1f} {costs.server / first.server:>6.2f} "
            f"{costs.database:>14.1f} {costs.database / first.database:>6.2f}"
        )
    if args.csv is not None:
        rows = ((one.number, *least(found[one])) for one in variants if one.kind == kind)
        table.write(args.csv, (kind, *COLUMNS), rows)


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def describe(costs: Costs) -> str:
    return (
        f"{costs.server:.1f} µs server, {costs.database:.1f} µs PostgreSQL, "
        f"{costs.rate:,.0f} messages/s"
    )


def least(costs: list[Costs]) -> Costs:
    return Costs(
        min(one.server for one in costs),
        min(one.database for one in costs),
        max(one.rate for one in costs),
    )


def measure(variant: Variant, seconds: float, *, is_each: bool, workers: int) -> Costs:
    """Run one turn on servers of its own, of so many workers unless these are the variants."""
    workers = variant.count("workers", "apart") or workers
    idle, rows = variant.count("connections"), variant.count("rows")
    pairs = PAIRS * workers if is_each else PAIRS
    servers = variant.count("apart") or 1
    with serving(
        workers // servers, 2 * max(pairs, ROOMS) + idle, rows, servers=servers
    ) as running:
        return asyncio.run(load(running, pairs, idle, seconds))


@contextmanager
def serving(
    workers: int, users: int, rows: int = 0, *, servers: int = 1
) -> Iterator[list[PrivateServer]]:
    """Run servers of some workers each on one database with some rows."""
    settings = UNLIMITED | {"WEB_CONCURRENCY": str(workers), "DB_MAX_CONNECTIONS": "20"}
    with private_database(users) as (dsn, postgres_pid):
        if rows:
            # The tables are there once a server has started.
            with private_server(dsn, settings):
                pass
            asyncio.run(fill(dsn, rows))
        with ExitStack() as stack:
            yield [
                stack.enter_context(private_server(dsn, settings, postgres_pid=postgres_pid))
                for _ in range(servers)
            ]


async def fill(dsn: str, rows: int) -> None:
    each = max(1, rows // ROOMS)
    connection = await asyncpg.connect(dsn)
    try:
        rooms, conversations, members, messages, sequence = FILL
        await connection.execute(rooms, each, ROOMS)
        await connection.execute(conversations, ROOMS)
        await connection.execute(members, ROOMS)
        await connection.execute(messages, each, ROOMS)
        await connection.fetchval(sequence, ROOMS)
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def load(servers: list[PrivateServer], pairs: int, idle: int, seconds: float) -> Costs:
    first_idle = 2 * max(pairs, ROOMS) + 1
    async with idling(servers[0].url, servers[0].secret, first_idle, idle):
        crowds = []
        for number, server in enumerate(servers):
            share = range(
                number * 2 * pairs // len(servers), (number + 1) * 2 * pairs // len(servers)
            )
            crowds.append(Crowd(server.url, server.token, [str(user + 1) for user in share]))
        for crowd in crowds:
            await crowd.open()
        await write(crowds, WARM_UP)
        before = times(servers)
        sent = await write(crowds, seconds)
        after = times(servers)
        for crowd in crowds:
            await crowd.close()
    return Costs(
        (after[0] - before[0]) / sent * 1e6, (after[1] - before[1]) / sent * 1e6, sent / seconds
    )


async def write(crowds: list[Crowd], seconds: float) -> int:
    """Let all write for a time; return how many messages they sent."""
    for crowd in crowds:
        crowd.figures.clear()
    await asyncio.gather(*(crowd.write_closed(seconds, IN_FLIGHT) for crowd in crowds))
    return sum(crowd.figures.sent for crowd in crowds)


def times(servers: list[PrivateServer]) -> tuple[float, float]:
    """Return the processor time of the servers, and of the PostgreSQL that they share."""
    each = [server.times() for server in servers]
    return sum(server for server, _ in each), each[0][1]


if __name__ == "__main__":
    main()
