"""The benchmarks of the working tree beside those of an earlier commit, in one run.

    python -m benchmarks.compare [--base COMMIT] [--rounds 3] [-k EXPRESSION]

Both are built with the same packages and run in turns, several times; a benchmark's figure is the
least of all its runs. One that looks more than a tenth slower is run again before that counts:
whatever else the machine does makes a run longer, never shorter. Those that ask PostgreSQL or Redis
are left out, since their times are not the server's alone.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
BASES = ROOT / "build" / "base"
ALLOWED = 0.10  # slower
AGAIN = 5  # more runs of what is suspicious, at most
LONGEST = "0.2"  # seconds of a benchmark in a run
TESTS_FAILED = 1  # exit code of pytest
TIMEOUT = 1200.0  # seconds of a run of all, or of a build
NEEDS_A_SERVER = re.compile(r"^def \w+\(.*\b(database|postgres)\b|RedisProcess", re.MULTILINE)
# Where the extensions come from, in the order of WHERE's answer: all have to be of the tree.
WHERE = """
from fastchat import _speedups
from fastchat._speedups import connection_core, histogram_c, routing, sliding_window_c
assert _speedups.COMPILED
for module in (_speedups, connection_core, histogram_c, routing, sliding_window_c):
    print(module.__file__)
"""

Minima = dict[str, float]  # by benchmark, seconds


class Row(NamedTuple):
    """One benchmark in both trees; seconds."""

    name: str
    base: float
    work: float

    @property
    def change(self) -> float:
        """How much slower it is now, as a share."""
        return self.work / self.base - 1

    @property
    def is_slower(self) -> bool:
        """Whether that is more than allowed."""
        return self.change > ALLOWED


def compare(base: Mapping[str, float], work: Mapping[str, float]) -> list[Row]:
    """Return the benchmarks that both have, by name."""
    return [Row(name, base[name], work[name]) for name in sorted(base.keys() & work.keys())]


def merge(known: Minima, found: Mapping[str, float]) -> None:
    """Keep the smaller one of each."""
    for name, seconds in found.items():
        known[name] = min(seconds, known.get(name, seconds))


def table(rows: Collection[Row]) -> str:
    """Show benchmarks, those that are too slow marked."""
    width = max((len(_short(row.name)) for row in rows), default=0)
    lines = [f"{'benchmark':<{width}} {'base':>12} {'now':>12} {'change':>8}"]
    for row in rows:
        line = f"{_short(row.name):<{width}} {_shown(row.base):>12} {_shown(row.work):>12}"
        lines.append(f"{line} {row.change:>+8.1%}{'  too slow' if row.is_slower else ''}")
    return "\n".join(lines)


def read_minima(text: str) -> Minima:
    """Return the minima that a report of pytest-benchmark tells of."""
    return {one["fullname"]: one["stats"]["min"] for one in json.loads(text)["benchmarks"]}


def files_of(tree: Path) -> set[str]:
    """Return the benchmarks of a tree that need no server beside them."""
    return {
        str(path.relative_to(tree))
        for path in (tree / "benchmarks").glob("test_*.py")
        if not NEEDS_A_SERVER.search(path.read_text("utf-8"))
    }


def choose_base(named: str | None) -> str:
    """Return the commit to compare with: the one named, or the last one without the changes."""
    if named is None:
        is_changed = bool(_git("status", "--porcelain", "--untracked-files=no"))
        named = "HEAD" if is_changed else "HEAD~1"
    return _git("rev-parse", "--verify", f"{named}^{{commit}}")


def build(commit: str) -> Path:
    """Return the folder of a commit, checked out and compiled; it is kept for the next time."""
    tree = BASES / commit
    stamp = tree / "build" / "compiled.stamp"
    if stamp.exists():
        return tree
    shutil.rmtree(BASES, ignore_errors=True)
    tree.mkdir(parents=True)
    with tempfile.TemporaryFile() as archive:
        subprocess.run(["git", "archive", commit], cwd=ROOT, stdout=archive, check=True)
        archive.seek(0)
        subprocess.run(["tar", "--extract"], cwd=tree, stdin=archive, check=True)
    print(f"Building {commit[:12]}", flush=True)
    run_python(tree, "setup.py", "--quiet", "build_ext", "--inplace")
    stamp.touch()
    return tree


def check_loaded(tree: Path) -> None:
    """Make sure that a tree runs its own code, compiled.

    Raises:
        SystemExit: it does not.
    """
    for place in map(Path, run_python(tree, "-c", WHERE).split()):
        if not place.is_relative_to(tree):
            raise SystemExit(f"{place} is loaded: expected a file of {tree}")


def measure(tree: Path, tests: Collection[str], options: Collection[str]) -> Minima:
    """Run benchmarks of a tree once; return the least seconds of each.

    One that fails in an earlier commit is left out.

    Raises:
        SystemExit: one of the working tree failed.
    """
    with tempfile.TemporaryDirectory(prefix="fastchat-bench-") as folder:
        report = Path(folder, "report.json")
        arguments = ["-q", "-p", "no:cacheprovider", "--tb=short", f"--benchmark-json={report}"]
        arguments += ["--benchmark-columns=min"]
        arguments += [f"--benchmark-max-time={LONGEST}", "--benchmark-disable-gc", *options]
        failed = 0 if tree == ROOT else TESTS_FAILED
        run_python(tree, "-m", "pytest", *sorted(tests), *arguments, passes={0, failed})
        return read_minima(report.read_text("utf-8"))


def run_python(tree: Path, *arguments: str, passes: Collection[int] = (0,)) -> str:
    """Run Python in a tree; return what it prints.

    Raises:
        SystemExit: it ended with another code than those that pass.
    """
    # Where the keys of a dict lie, and so what it costs to find one, is the same each time.
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tree,
        env=environment,
        timeout=TIMEOUT,
        capture_output=True,
        text=True,
    )
    if done.returncode not in passes:
        shown = " ".join(arguments[:4])
        raise SystemExit(
            f"{done.stdout[-4000:]}{done.stderr[-4000:]}\n"
            f"{shown} in {tree} ended with {done.returncode}: expected 0"
        )
    return done.stdout


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def _short(name: str) -> str:
    return name.removeprefix("benchmarks/test_").replace(".py::test_", ": ")


def _shown(seconds: float) -> str:
    return f"{seconds * 1e6:,.3f} µs"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", help="default: HEAD when files changed, else the one before it")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each tree")
    parser.add_argument("-k", dest="expression", default="", help="which ones, as in pytest")
    arguments = parser.parse_args()
    commit = choose_base(arguments.base)
    trees = (build(commit), ROOT)
    for tree in trees:
        check_loaded(tree)
    files = files_of(trees[0]) & files_of(trees[1])
    minima: tuple[Minima, Minima] = ({}, {})

    def run(number: int, tests: Collection[str], options: Collection[str]) -> list[Row]:
        # In turns, each the first one every other time.
        for place in (0, 1) if number % 2 else (1, 0):
            merge(minima[place], measure(trees[place], tests, options))
        return compare(*minima)

    rows: list[Row] = []
    for number in range(arguments.rounds):
        print(f"Run {number + 1} of {arguments.rounds}", flush=True)
        rows = run(number, files, ["-k", arguments.expression])
    for number in range(AGAIN):
        suspicious = [row.name for row in rows if row.is_slower]
        if not suspicious:
            break
        print(f"Again: {', '.join(map(_short, suspicious))}", flush=True)
        rows = run(number, suspicious, [])
    print(f"Compared with {commit[:12]}; the least of all runs\n{table(rows)}")
    slower = [_short(row.name) for row in rows if row.is_slower]
    if slower:
        print(f"More than {ALLOWED:.0%} slower: {', '.join(slower)}")
    else:
        print(f"None of {len(rows)} benchmarks is more than {ALLOWED:.0%} slower.")
    return bool(slower)


if __name__ == "__main__":
    sys.exit(main())
