"""The benchmarks that need no database still run; how fast they are is not looked at."""

import os
import subprocess
import sys

from tests.source.test_layout import ROOT

ELSEWHERE = ("import asyncpg", "tests.functional.broker")  # these want a server of their own
SHORT = ("--benchmark-max-time=0.001", "--benchmark-min-rounds=1", "-p", "no:cacheprovider")


def test_every_benchmark_of_a_step_in_memory_runs():
    texts = {path: path.read_text("utf-8") for path in (ROOT / "benchmarks").glob("test_*.py")}
    steps = [str(path) for path, text in texts.items() if not any(w in text for w in ELSEWHERE)]
    assert len(steps) >= 9
    # They are measured in one process, whatever these tests run in.
    environ = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *SHORT, *steps],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
