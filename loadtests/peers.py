"""Medians of a run of several servers side by side, as a CSV file.

The harness that measures them is not part of this repository; it appends one JSON object for each
turn to a file, ``results.jsonl``: ``id`` of the run, ``job``, ``peer``, ``rate`` and the processor
time for one delivery of the server and of PostgreSQL, ``srv_us`` and ``pg_us``.

    python -m loadtests.peers RESULTS [--id ID] --csv docs/figures/peers.csv
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from loadtests import table

COLUMNS = (
    "job",
    "server",
    "turns",
    "server_us_per_delivery",
    "postgresql_us_per_delivery",
    "deliveries_per_s",
    "p50_ms",
    "p99_ms",
)
DELIVERING = ("j1", "j2", "j4")  # in other jobs a log-in or a page is counted, and left out here
# How often a message did not come as it should.
FAULTS = ("incomplete", "dup", "wrong", "retries")

Record = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, help="the harness's results.jsonl")
    parser.add_argument("--id", help="of the run (default: the last one)")
    parser.add_argument("--csv", type=Path, required=True, help="file for the medians")
    args = parser.parse_args()
    table.write(args.csv, COLUMNS, medians(read(args.results, args.id)))


def read(path: Path, run: str | None) -> list[Record]:
    """Return the turns of one run; of the last one if none is named.

    Raises:
        SystemExit: it has none.
    """
    records: list[Record] = [json.loads(line) for line in path.read_text().splitlines()]
    known = list(dict.fromkeys(record["id"] for record in records))
    if not known or run not in (None, *known):
        raise SystemExit(f"run {run or 'of any id'} in {path}: expected one of {known}")
    return [record for record in records if record["id"] == (run or known[-1])]


def medians(records: Iterable[Record]) -> list[tuple[float | str, ...]]:
    """Return a row for each job and server; faults are told, and their turns left in."""
    turns: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record["job"].partition(":")[0] not in DELIVERING:
            continue
        if record["srv_us"] is None:
            print(f"{record['peer']} delivered nothing in {record['job']}: left out")
            continue
        faults = sum(record.get(name, 0) for name in FAULTS)
        if faults:
            print(f"{record['peer']} in {record['job']}: {faults} faults")
        turns.setdefault((record["job"], record["peer"]), []).append(record)
    return [(job, server, *row(same)) for (job, server), same in turns.items()]


def row(turns: list[Record]) -> tuple[float | str, ...]:
    return (
        len(turns),
        *(float(median(turn[name] for turn in turns)) for name in ("srv_us", "pg_us", "rate")),
        *(percentile(turns, name) for name in ("p50", "p99")),
    )


def percentile(turns: list[Record], name: str) -> float | str:
    """Return the median of a percentile in ms; an empty word for a job that has none."""
    values = [turn["lat_ms"][name] for turn in turns if turn.get("lat_ms")]
    return float(median(values)) if values else ""


if __name__ == "__main__":
    main()
