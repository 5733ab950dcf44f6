"""How many instructions of the processor a message costs in the server; compared with last time.

    python -m benchmarks.instructions            # fails above the committed count
    python -m benchmarks.instructions --update   # writes the counts of this interpreter

Counted by valgrind's cachegrind while the whole server runs in process (``counted``): one load for
some exchanges and for twice as many, so that only what a message costs is left of the difference.
Time has no part in it, so the machine may be busy. Counts of another interpreter, another compiler
or another C library are other counts; each has its own in ``instructions.json``.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.counted import LOADS

ROOT = Path(__file__).resolve().parents[1]
COMMITTED = Path(__file__).with_suffix(".json")
EXCHANGES = 64
TOLERANCE = 0.02
TIMEOUT = 600.0  # seconds

Counts = Mapping[str, int]  # by load, instructions of one message


class Verdict(NamedTuple):
    """What is to be said of the counts, and whether they are a failure."""

    lines: list[str]
    is_failure: bool


def judge(counts: Counts, committed: Counts | None, interpreter: str) -> Verdict:
    """Compare counts with those that were committed; None: there are none."""
    if committed is None:
        lines = [f"{load}: {count:,} instructions per message" for load, count in counts.items()]
        return Verdict([*lines, f"Nothing is committed to compare with for {interpreter}."], False)
    lines = []
    is_failure = False
    for load, count in counts.items():
        before = committed.get(load)
        if before is None:
            lines.append(f"{load}: {count:,} instructions per message, but none committed")
            is_failure = True
            continue
        line = f"{load}: {count:,} instructions per message, {count / before - 1:+.1%}"
        line += f" of the committed {before:,}"
        if count > before * (1 + TOLERANCE):
            line += f"; at most {TOLERANCE:+.0%} is allowed"
            is_failure = True
        elif count < before * (1 - TOLERANCE):
            line += "; please commit the lower count: make instructions ARGS=--update"
        lines.append(line)
    return Verdict(lines, is_failure)


def per_message(small: int, large: int, messages: int) -> int:
    """Return what one message costs, given what two runs cost and how many more the larger has."""
    return round((large - small) / messages)


def interpreter() -> str:
    """Name what counts may be compared within."""
    options = sysconfig.get_config_var("CONFIG_ARGS") or ""
    kind = " optimized" if "--enable-optimizations" in options else ""
    libc = " ".join(platform.libc_ver())
    return (
        f"{platform.python_implementation()} {platform.python_version()}{kind}, "
        f"{platform.python_compiler()}, {libc}, {platform.machine()}"
    )


def read_total(text: str) -> int:
    """Return the instructions that an output file of cachegrind tells of.

    Raises:
        ValueError: it does not tell.
    """
    found = re.search(r"^summary: (\d+)", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"{text[-80:]!r}: expected a line 'summary: COUNT'")
    return int(found[1])


def count() -> dict[str, int]:
    """Run each load under valgrind; return the instructions of one message.

    Raises:
        SystemExit: valgrind is missing, or a load failed.
    """
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise SystemExit("valgrind was not found: sudo apt-get install valgrind")
    # The same hashes each time; and the extensions, whatever the environment says.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("FASTCHAT_")
    }
    environment |= {"PYTHONHASHSEED": "0"}
    with tempfile.TemporaryDirectory(prefix="fastchat-counts-") as folder:
        command = [valgrind, "--tool=cachegrind", "--cache-sim=no", "--quiet"]
        command += [
            f"--cachegrind-out-file={folder}/%p",
            sys.executable,
            "-m",
            "benchmarks.counted",
        ]
        command += [str(EXCHANGES), str(2 * EXCHANGES)]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            timeout=TIMEOUT,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"{done.stderr}the loads failed with {done.returncode}, expected 0")
        totals: dict[str, list[int]] = {}
        for line in done.stdout.splitlines():
            load, _, pid = line.split("\t")
            totals.setdefault(load, []).append(read_total(Path(folder, pid).read_text()))
    return {
        load: per_message(*totals[load], EXCHANGES * messages)
        for load, (_, messages, _) in LOADS.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="write the counts")
    arguments = parser.parse_args()
    name = interpreter()
    committed = json.loads(COMMITTED.read_text()) if COMMITTED.exists() else {}
    counts = count()
    if arguments.update:
        committed[name] = counts
        COMMITTED.write_text(json.dumps(committed, indent=4, sort_keys=True) + "\n")
    verdict = judge(counts, committed.get(name), name)
    print("\n".join(verdict.lines))
    return verdict.is_failure


if __name__ == "__main__":
    sys.exit(main())
