"""Latency and processor time over the messages offered per second, up to more than a server can do.

Pairs of users write by chance at a rate, whatever comes back; a message's time begins when it was
due, so that a server that stalls cannot hide it. The rates take turns, upwards. A server that
acknowledges less than ``REACHED`` of what is sent while it is sent is saturated; twice in a row
ends the round. Told are the medians, up to the first rate at which they show a saturated server.
There the latencies say nothing: the longer it lasts, the higher they are. What a server refuses has
no latency, and what that takes is counted to the messages that it acknowledges.

Server, PostgreSQL and load share the machine. With ``!`` behind its cores the load, one process,
was the limit, and not the server.

    python -m loadtests.offered_load [--rates 500,1000,…] [--runs 3] [--csv FILE]
"""

import argparse
from pathlib import Path
from statistics import median
from time import monotonic, process_time
from typing import NamedTuple

import uvloop

from fastchat.bench.crowd import Crowd, Figures, quantile
from fastchat.bench.measure import crowd
from fastchat.bench.private_server import (
    UNLIMITED,
    PrivateServer,
    private_database,
    private_server,
)
from loadtests import table

RATES = "500,1000,2000,4000,8000,12000,16000,20000,24000,28000,32000"
PAIRS = 200
IN_FLIGHT = 8  # of each pair, at the beginning alone
REACHED = 0.95  # of what was sent; below it the server is saturated
WARM_UP = 0.2  # of the time of a turn, and before it
PATIENCE = 120.0  # seconds for what a saturated server still has to do
BUSY = 0.95  # cores; above it the load is the limit
QUANTILES = (0.5, 0.99, 0.999)


class Look(NamedTuple):
    """One turn at one rate; its names are those of the file."""

    offered_messages_per_s: float
    acknowledged_messages_per_s: float  # while they were sent
    ack_p50_ms: float
    ack_p99_ms: float
    ack_p999_ms: float
    delivery_p50_ms: float
    delivery_p99_ms: float
    delivery_p999_ms: float
    server_us_per_message: float
    postgresql_us_per_message: float
    load_cores: float
    refused_messages: float

    @property
    def is_saturated(self) -> bool:
        """Whether less was done than was asked."""
        return self.acknowledged_messages_per_s < REACHED * self.offered_messages_per_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rates", default=RATES, help=f"messages/s (default {RATES})")
    parser.add_argument("--seconds", type=float, default=10.0, help="of one turn (default 10)")
    parser.add_argument("--runs", type=int, default=3, help="turns of each rate (default 3)")
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"of users (default {PAIRS})")
    parser.add_argument("--csv", type=Path, help="file for the medians")
    args = parser.parse_args()
    rates = sorted(int(part) for part in args.rates.split(","))
    settings = UNLIMITED | {"DB_MAX_CONNECTIONS": "20"}
    with (
        private_database(2 * args.pairs) as (dsn, postgres_pid),
        private_server(dsn, settings, postgres_pid=postgres_pid) as server,
    ):
        found = uvloop.run(measure(server, rates, args.pairs, args.seconds, args.runs))
    print("\nmedians")
    medians = []
    for rate in sorted(found):
        medians.append(look := middle(found[rate]))
        print(describe(look))
        if look.is_saturated:
            break
    if args.csv is not None:
        table.write(args.csv, Look._fields, medians)


async def measure(
    server: PrivateServer, rates: list[int], pairs: int, seconds: float, runs: int
) -> dict[int, list[Look]]:
    """Let the rates take turns; return what was seen at each.

    Raises:
        RuntimeError: a message was lost, doubled or out of order.
    """
    found: dict[int, list[Look]] = {}
    users = [str(number + 1) for number in range(2 * pairs)]
    async with crowd(server, users) as writers:
        # What is made once is made before the first look.
        await writers.write_closed(WARM_UP * seconds, IN_FLIGHT)
        for run in range(runs):
            in_a_row = 0
            for rate in rates:
                look = await one_turn(server, writers, rate, seconds)
                found.setdefault(rate, []).append(look)
                print(f"run {run + 1}: {describe(look)}", flush=True)
                # Once may be what else runs on the machine.
                in_a_row = in_a_row + 1 if look.is_saturated else 0
                if in_a_row == 2:
                    break
    return found


async def one_turn(server: PrivateServer, writers: Crowd, rate: int, seconds: float) -> Look:
    await writers.write_open(WARM_UP * seconds, rate)
    await settled(writers)
    figures = writers.figures
    figures.clear()
    before, load_before, began = server.times(), process_time(), monotonic()
    await writers.write_open(seconds, rate)
    in_time = len(figures.acks)
    # Longer than it was to take, where the load itself comes late.
    took = monotonic() - began
    await settled(writers)
    load = (process_time() - load_before) / (monotonic() - began)
    after = server.times()
    done = max(1, len(figures.acks))
    return Look(
        figures.sent / seconds,
        in_time / took,
        *milliseconds(figures),
        (after[0] - before[0]) / done * 1e6,
        (after[1] - before[1]) / done * 1e6,
        load,
        sum(figures.refused.values()),
    )


async def settled(writers: Crowd) -> None:
    left = await writers.settle(PATIENCE)
    faults = writers.tally.report() | {"unanswered": left}
    if any(faults.values()):
        raise RuntimeError(f"{faults}: expected none")


def milliseconds(figures: Figures) -> list[float]:
    return [
        1e3 * quantile(samples, share)
        for samples in (figures.acks, figures.deliveries)
        for share in QUANTILES
    ]


def middle(looks: list[Look]) -> Look:
    """Return the median of each figure."""
    return Look(*(float(median(values)) for values in zip(*looks, strict=True)))


def describe(look: Look) -> str:
    return (
        f"{look.offered_messages_per_s:,.0f} offered, "
        f"{look.acknowledged_messages_per_s:,.0f} acknowledged per second; "
        f"ack p50 {look.ack_p50_ms:.2f} p99 {look.ack_p99_ms:.2f} p99.9 {look.ack_p999_ms:.2f} ms; "
        f"delivery p50 {look.delivery_p50_ms:.2f} p99 {look.delivery_p99_ms:.2f} "
        f"p99.9 {look.delivery_p999_ms:.2f} ms; {look.server_us_per_message:.1f} µs server, "
        f"{look.postgresql_us_per_message:.1f} µs PostgreSQL; "
        f"load {look.load_cores:.2f} cores{'!' if look.load_cores > BUSY else ''}"
        f"{f'; {look.refused_messages:,.0f} refused' if look.refused_messages else ''}"
        f"{'; saturated' if look.is_saturated else ''}"
    )


if __name__ == "__main__":
    main()
