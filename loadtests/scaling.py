"""What a message costs with more workers, more idle connections, more stored rows.

Everything is processor time per message, of the server (supervisor and workers) and of PostgreSQL,
with 200 pairs that keep eight messages each in flight. The variants take short turns, so that what
else runs on the machine hits all of them: a shared machine may be half as fast a minute later. What
counts is the median of the ratios of a turn, to the first variant in it. Of workers and rows all
servers are there the whole time; connections are more than a process may have files, so there each
turn has a server of its own, and the turns are longer.

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
from contextlib import AsyncExitStack, ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from statistics import median
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


class Load(NamedTuple):
    """What is written in a turn, and to what."""

    seconds: float  # of the turn
    workers: int  # of a server that has the connections or rows
    is_each: bool  # PAIRS for each worker instead of in all

    def workers_of_a_server(self, variant: Variant) -> int:
        """Return how many workers a server has."""
        return variant.count("workers") or (1 if variant.kind == "apart" else self.workers)

    def pairs(self, variant: Variant) -> int:
        """Return how many pairs write."""
        workers = self.workers_of_a_server(variant) * (variant.count("apart") or 1)
        return PAIRS * workers if self.is_each else PAIRS

    def users(self, variant: Variant) -> int:
        """Return how many users there are; those who do nothing come last."""
        return 2 * max(self.pairs(variant), ROOMS) + variant.count("connections")


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
    parser.add_argument("--seconds", type=float, help="of one turn (default 2; of connections 8)")
    parser.add_argument("--runs", type=int, help="turns of each variant (default 12; 3)")
    parser.add_argument("--csv", type=Path, help="file for the least of each variant")
    args = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, MOST_FILES), hard))
    kind = next(name for name in ("workers", "connections", "rows") if getattr(args, name))
    variants = [Variant(kind, number) for number in getattr(args, kind)]
    if args.apart:
        variants += [Variant("apart", number) for number in args.workers if number > 1]
    is_alone = kind == "connections"
    seconds, runs = args.seconds or (8.0 if is_alone else 2.0), args.runs or (3 if is_alone else 12)
    load = Load(seconds, args.on, args.each)
    found = measure_alone(variants, load, runs) if is_alone else measure(variants, load, runs)
    report(found)
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


def report(found: dict[Variant, list[Costs]]) -> None:
    """Print the least of each variant, and its ratio to the first one, turn by turn."""
    print(f"\n{'':>18} {'server µs':>10} {'ratio':>6} {'PostgreSQL µs':>14} {'ratio':>6}")
    first = next(iter(found.values()))
    for variant, all_costs in found.items():
        costs = least(all_costs)
        turns = list(zip(all_costs, first, strict=True))
        server = median(one.server / other.server for one, other in turns)
        database = median(one.database / other.database for one, other in turns)
        print(
            f"{variant!s:>18} {costs.server:>10.1f} {server:>6.2f} "
            f"{costs.database:>14.1f} {database:>6.2f}"
        )


def measure(variants: list[Variant], load: Load, runs: int) -> dict[Variant, list[Costs]]:
    """Let variants take turns, all of whose servers are there."""
    with ExitStack() as stack:
        opened = {one: stack.enter_context(serving(one, load)) for one in variants}
        return asyncio.run(take_turns(opened, load, runs))


def measure_alone(variants: list[Variant], load: Load, runs: int) -> dict[Variant, list[Costs]]:
    """Let variants take turns, each with a server that is there for this one."""
    found: dict[Variant, list[Costs]] = {variant: [] for variant in variants}
    for run in range(runs):
        for variant in variants:
            with serving(variant, load) as servers:
                costs = asyncio.run(take_turns({variant: servers}, load, 1, run))
            found[variant] += costs[variant]
    return found


@contextmanager
def serving(variant: Variant, load: Load) -> Iterator[list[PrivateServer]]:
    """Run the servers of a variant, on one database."""
    settings = UNLIMITED | {"WEB_CONCURRENCY": str(load.workers_of_a_server(variant))}
    settings |= {"DB_MAX_CONNECTIONS": "20"}
    with private_database(load.users(variant)) as (dsn, postgres_pid):
        if rows := variant.count("rows"):
            # The tables are there once a server has started.
            with private_server(dsn, settings):
                pass
            asyncio.run(fill(dsn, rows))
        with ExitStack() as stack:
            yield [
                stack.enter_context(private_server(dsn, settings, postgres_pid=postgres_pid))
                for _ in range(variant.count("apart") or 1)
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


async def take_turns(
    opened: dict[Variant, list[PrivateServer]], load: Load, runs: int, before: int = 0
) -> dict[Variant, list[Costs]]:
    """Write to the servers of one variant after the other; ``before``: turns that were taken."""
    found: dict[Variant, list[Costs]] = {variant: [] for variant in opened}
    async with AsyncExitStack() as stack:
        crowds = {}
        for variant, servers in opened.items():
            first, idle = servers[0], variant.count("connections")
            first_idle = load.users(variant) - idle + 1
            await stack.enter_async_context(idling(first.url, first.secret, first_idle, idle))
            crowds[variant] = await gather_crowds(servers, load.pairs(variant))
            await write(crowds[variant], WARM_UP)
        for run in range(before, before + runs):
            for variant, servers in opened.items():
                began = times(servers)
                sent = await write(crowds[variant], load.seconds)
                ended = times(servers)
                server, database = (1e6 * (ended[i] - began[i]) / sent for i in range(2))
                costs = Costs(server, database, sent / load.seconds)
                found[variant].append(costs)
                print(f"run {run + 1}, {variant}: {describe(costs)}", flush=True)
        for crowd in chain.from_iterable(crowds.values()):
            await crowd.close()
    return found


async def gather_crowds(servers: list[PrivateServer], pairs: int) -> list[Crowd]:
    """Log pairs in, a share of them at each server."""
    crowds = []
    for number, server in enumerate(servers):
        share = range(number * 2 * pairs // len(servers), (number + 1) * 2 * pairs // len(servers))
        crowds.append(Crowd(server.url, server.token, [str(user + 1) for user in share]))
    for crowd in crowds:
        await crowd.open()
    return crowds


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
