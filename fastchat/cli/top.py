"""``fastchat top``: a running server, looked at again and again.

Everything shown comes from ``/metrics/prometheus``: what grows is shown per second since the last
look, the rest as it is. One terminal shows one server with all its workers.
"""

import argparse
import math
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from fastchat.cli.terminal import visible

PAGE = "/metrics/prometheus"
TIMEOUT = 5.0  # seconds for one answer
CLEAR = "\033[H\033[2J"
HOME, REST = "\033[H", "\033[J"
END_OF_LINE = "\033[K"
HIDE, SHOW = "\033[?25l", "\033[?25h"
QUEUES = ("lane_depth", "events_waiting", "pool_waiting", "webhooks_waiting")

Labels = tuple[tuple[str, str], ...]


class Sample(NamedTuple):
    """All figures of one moment (monotonic seconds), by name without ``fastchat_``, and labels."""

    at: float
    values: Mapping[str, Mapping[Labels, float]]

    def total(self, name: str) -> float:
        """The sum over all labels; 0.0 where there is none."""
        return sum(self.values.get(name, {}).values())

    def by(self, name: str, label: str) -> dict[str, float]:
        """The values by one label."""
        found: dict[str, float] = defaultdict(float)
        for labels, value in self.values.get(name, {}).items():
            found[dict(labels).get(label, "")] += value
        return dict(found)


def run(args: argparse.Namespace) -> int:
    """Show pictures until Ctrl-C, or one."""
    url = args.url.rstrip("/") + PAGE
    before: Sample | None = None
    is_live = sys.stdout.isatty() and not args.once
    try:
        if is_live:
            print(CLEAR + HIDE, end="")
        while True:
            try:
                sample: Sample | None = read(fetch(url), time.monotonic())
                problem = ""
            except (OSError, ValueError) as error:
                sample, problem = None, f"{args.url}: {explain(error)}"
            if sample is None and not is_live:
                print(f"fastchat top: {problem}", file=sys.stderr)
                return 1
            lines = [problem] if sample is None else list(picture(sample, before))
            show([visible(line) for line in lines], is_live=is_live)
            if args.once:
                return 0
            before = sample
            time.sleep(args.interval)
    finally:
        if is_live:
            print(SHOW)


def fetch(url: str) -> str:
    """Return the page.

    Raises:
        OSError, ValueError: it cannot be had.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError("expected an address that begins with http:// or https://")
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        text: str = response.read().decode()
    return text


def explain(error: Exception) -> str:
    """Say in one line why there is no answer."""
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return " ".join(str(error).split()) or type(error).__name__


def read(text: str, at: float) -> Sample:
    """Take the figures out of a page.

    Raises:
        ValueError: it is none of fastchat's.
    """
    values: dict[str, dict[Labels, float]] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name.removeprefix("fastchat_")
            if name != sample.name:
                values[name][tuple(sorted(sample.labels.items()))] = sample.value
    if "workers" not in values:
        raise ValueError("this is no page with the figures of fastchat")
    return Sample(at, values)


def picture(now: Sample, before: Sample | None) -> Iterator[str]:
    """Yield the lines of one picture; without an earlier one, rates are those since the start."""
    rate = _rates(now, before)
    (build, *_) = now.values.get("build_info", {(): 1.0})
    version = dict(build).get("version", "?")
    uptime = time.time() - now.total("start_time_seconds")
    database = "answers" if now.total("pool_connected") else "AWAY"
    yield f"fastchat {version}   up {_span(uptime)}   database {database}"
    open_now, open_most = now.total("connections"), now.total("connections_peak")
    yield (
        f"workers {now.total('workers_healthy'):.0f}/{now.total('workers'):.0f}"
        f"   died {now.total('worker_restarts_total'):.0f}"
        f"   connections {open_now:,.0f} (most {open_most:,.0f})"
        f"   users online {now.total('users_online'):,.0f}"
        f"   memory {_bytes(now.total('resident_memory_bytes'))}"
    )
    yield ""
    yield (
        f"{'per second':<12}{'received':>11}{'sent':>11}{'stored':>11}{'commands':>11}"
        f"{'opened':>9}{'closed':>9}{'errors':>9}{'refused':>9}"
    )
    yield (
        f"{'':<12}{rate('messages_in_total'):>11,.1f}{rate('messages_out_total'):>11,.1f}"
        f"{rate('messages_stored_total'):>11,.1f}{rate('commands_total'):>11,.1f}"
        f"{rate('connections_opened_total'):>9,.1f}{rate('connections_closed_total'):>9,.1f}"
        f"{rate('errors_total'):>9,.1f}{rate('rate_limit_hits_total'):>9,.1f}"
    )
    yield ""
    yield f"{'milliseconds':<24}{'p50':>9}{'p90':>9}{'p99':>9}"
    for title, name in (
        ("send to acknowledgement", "send_to_ack_seconds"),
        ("send to delivery", "send_to_delivery_seconds"),
        ("queries", "query_seconds"),
    ):
        values = (quantile(now, before, name, share) for share in (0.5, 0.9, 0.99))
        yield f"{title:<24}" + "".join(f"{_milliseconds(value):>9}" for value in values)
    commit = _mean(rate, "commit_seconds_total", "batches_total")
    yield (
        f"{'commit, mean':<24}{_milliseconds(commit):>9}"
        f"   messages per batch {_mean(rate, 'messages_stored_total', 'batches_total') or 0:.1f}"
        f"   event loop late by {now.total('event_loop_lag_worst_seconds') * 1000:.1f} ms at worst"
    )
    yield ""
    waiting = "   ".join(f"{name.replace('_', ' ')} {now.total(name):,.0f}" for name in QUEUES)
    yield f"queues       {waiting}"
    yield (
        f"pool         {now.total('pool_size'):.0f} open, {now.total('pool_idle'):.0f} idle"
        f"   slow readers closed {now.total('slow_consumers_total'):,.0f}"
        f"   webhooks not taken {now.total('webhook_failures_total'):,.0f}"
    )
    codes = sorted(now.by("errors_total", "code").items(), key=lambda item: -item[1])[:4]
    if codes:
        yield "errors       " + "   ".join(f"{code} {count:,.0f}" for code, count in codes)
    yield ""
    yield f"{'worker':<12}{'connections':>14}{'memory':>12}"
    memory = now.by("worker_resident_memory_bytes", "worker")
    for worker, count in sorted(now.by("worker_connections", "worker").items(), key=_by_number):
        yield f"{worker:<12}{count:>14,.0f}{_bytes(memory.get(worker, 0.0)):>12}"


def quantile(now: Sample, before: Sample | None, name: str, share: float) -> float | None:
    """Seconds below which a share of the observations since the last picture lies; None: none."""
    counts: dict[float, float] = defaultdict(float)
    for sample, sign in ((now, 1.0), (before, -1.0)):
        if sample is not None:
            for text, count in sample.by(f"{name}_bucket", "le").items():
                counts[float(text)] += sign * count
    total = counts.get(math.inf, 0.0)
    if total <= 0:
        return None
    lower = below = 0.0
    for bound, count in sorted(counts.items()):
        if count >= share * total:
            if bound == math.inf or count == below:
                return lower
            return lower + (bound - lower) * (share * total - below) / (count - below)
        lower, below = bound, count
    return lower


def show(lines: list[str], *, is_live: bool) -> None:
    """Write a picture over the last one, cut to the terminal; elsewhere below it, whole."""
    if not is_live:
        print("\n".join(lines), flush=True)
        return
    size = shutil.get_terminal_size()
    shown = [line[: size.columns] + END_OF_LINE for line in lines[: size.lines - 1]]
    print(HOME + os.linesep.join(shown) + REST, end="", flush=True)


def _rates(now: Sample, before: Sample | None) -> Callable[[str], float]:
    if before is None:
        seconds = max(1.0, time.time() - now.total("start_time_seconds"))
        return lambda name: now.total(name) / seconds
    seconds = max(1e-9, now.at - before.at)
    # A server that was started anew counts from the beginning.
    return lambda name: max(0.0, now.total(name) - before.total(name)) / seconds


def _mean(rate: Callable[[str], float], total: str, count: str) -> float | None:
    return rate(total) / rate(count) if rate(count) else None


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:,.1f}"


def _bytes(size: float) -> str:
    for unit in ("B", "KB", "MB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GB"


def _span(seconds: float) -> str:
    minutes = int(seconds) // 60
    hours, days = minutes // 60 % 24, minutes // 1440
    return f"{days} d {hours} h" if days else f"{hours} h {minutes % 60} min"


def _by_number(item: tuple[str, float]) -> tuple[int, str]:
    return (int(item[0]), "") if item[0].isdigit() else (0, item[0])
