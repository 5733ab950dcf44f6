"""The figures of one worker at one moment, as plain data, and how those of several become one.

Counters and histograms of all processes that ever ran are added, so that they never go back when
one ends. Gauges are those of the workers that run: added, or the largest, or the smallest.
"""

from collections.abc import Iterable

import msgspec

Number = int | float


class Buckets(msgspec.Struct, array_like=True):
    """A histogram: counts per bucket, not cumulated; the last is above the last bound."""

    bounds: list[float]
    counts: list[int]
    sum: float

    @property
    def count(self) -> int:
        """Number of observations."""
        return sum(self.counts)


class Totals(msgspec.Struct, kw_only=True):
    """What only grows; by name and, where there is a label, by its value."""

    counters: dict[str, Number] = {}
    labelled: dict[str, dict[str, Number]] = {}
    histograms: dict[str, dict[str, Buckets]] = {}  # the label "" stands for none


class Snapshot(Totals, kw_only=True):
    """Everything that a worker tells of itself."""

    worker: int  # its number, from 1
    run: int  # number of the process, never used twice
    pid: int
    at: float  # monotonic seconds, the same clock in all processes
    gauges: dict[str, Number] = {}
    levels: dict[str, dict[str, Number]] = {}  # gauges with a label
    addresses: dict[str, int] = {}  # connections of the busiest IP addresses
    problems: list[str] = []
    is_connected: bool = False  # to the database
    is_draining: bool = False


class HostRecord(msgspec.Struct, kw_only=True):
    """What the supervisor tells of the server as a whole."""

    workers: int  # how many there should be
    started_at: float  # Unix seconds
    is_stopping: bool = False
    restarts: int = 0  # of workers that died
    peaks: dict[str, Number] = {}  # largest sums over the workers, by gauge
    finished: Totals = msgspec.field(default_factory=Totals)  # of processes that have ended
    reaped: list[int] = []  # by seat: the newest process that is counted among the finished


def add_totals(parts: Iterable[Totals]) -> Totals:
    """Add counters and histograms up."""
    total = Totals()
    for part in parts:
        for name, value in part.counters.items():
            total.counters[name] = total.counters.get(name, 0) + value
        add_labelled(total.labelled, part.labelled)
        for name, by_label in part.histograms.items():
            known = total.histograms.setdefault(name, {})
            for label, buckets in by_label.items():
                known[label] = _add_buckets(known.get(label), buckets)
    return total


def add_labelled(total: dict[str, dict[str, Number]], part: dict[str, dict[str, Number]]) -> None:
    """Add figures with a label to what is there already."""
    for name, by_label in part.items():
        known = total.setdefault(name, {})
        for label, value in by_label.items():
            known[label] = known.get(label, 0) + value


def _add_buckets(known: Buckets | None, more: Buckets) -> Buckets:
    if known is None:
        return Buckets(more.bounds, list(more.counts), more.sum)
    counts = [a + b for a, b in zip(known.counts, more.counts, strict=True)]
    return Buckets(known.bounds, counts, known.sum + more.sum)
