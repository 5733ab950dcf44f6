"""Where a worker's time goes: microseconds of processor time per message, by step of the path.

Attaches py-spy to a worker that is under load, whoever loads it, and takes stacks with what is
compiled. A stack counts for its innermost frame that belongs to a step below. The worker is stopped
for a moment at each look, which stretches system calls somewhat: read shares, not absolutes.

    pip install py-spy
    python -m loadtests.breakdown WORKER_PID --url http://127.0.0.1:8080 [--seconds 10]
"""

import argparse
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from fastchat.bench.processes import processor_time

RATE = "200"  # looks per second
STORED = "fastchat_messages_stored_total"
IDLE = re.compile(r"epoll_p?wait|_sigtimedwait|futex")
# Innermost first: a frame belongs to the first step whose pattern it matches.
STEPS = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("send(2), with the kernel's way to the receiver", r"^send(to|msg)? \("),
        ("read(2) from clients and PostgreSQL", r"^(read|recv(from)?) \("),
        ("write(2) to PostgreSQL and other workers", r"^writev? \("),
        ("encrypt", r"store/cipher\.py"),
        ("decode and validate", r"protocol/codec\.py"),
        ("limits", r"admission/|sliding_window|shared_window"),
        ("arguments of the batch", r"store/batch_arguments\.py|store/ids\.py"),
        ("asyncpg", r"asyncpg/|protocol\.c\)|pgproto"),
        ("encode events", r"protocol/(events|group_events|conversation_events|times)\.py|rows\.py"),
        ("other workers", r"broker/|handlers/(relay|ordering)\.py|hub/directory"),
        ("find the receivers", r"handlers/delivery\.py|hub/|routing\.pyx"),
        ("frames out", r"sender\.pyx|outbox\.pxd"),
        ("handle a send", r"(\.send|_store|_append|_seal) \(fastchat/handlers/"),
        ("answer a send", r"handlers/(messages|group_messages|sending|answers)\.py"),
        ("lane and batch", r"store/(lane|batch|fence|writer|rooms|cache)\.py"),
        ("frames in, dispatch", r"connection_core\.pyx|picows|dispatch\.py"),
        ("event loop", r"loop\.c|asyncio|core\.c|uvloop"),
    )
)
REST = "everything else"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pid", type=int, help="of the worker, not of its supervisor")
    parser.add_argument("--url", required=True, help="of the server, whose /metrics are read")
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()
    program = shutil.which("py-spy")
    if program is None:
        raise SystemExit("py-spy is not there: pip install py-spy")
    messages, busy, began = stored(args.url), processor_time(args.pid), time.monotonic()
    stacks = watch(program, args.pid, args.seconds)
    messages, busy = stored(args.url) - messages, processor_time(args.pid) - busy
    if messages <= 0:
        raise SystemExit("no message was stored meanwhile: expected a server under load")
    cost = busy / messages * 1e6
    print(f"{messages / (time.monotonic() - began):,.0f} messages/s, {cost:.1f} µs each\n")
    for step, share in shares(stacks):
        print(f"{share * cost:7.2f} µs {share:6.1%}  {step}")


def stored(url: str) -> float:
    """Return how many messages all workers have stored so far."""
    with urllib.request.urlopen(f"{url.rstrip('/')}/metrics/prometheus", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(STORED))


def watch(program: str, pid: int, seconds: float) -> list[str]:
    """Return lines of the frames of a stack, outermost first, and how often it was seen."""
    with tempfile.TemporaryDirectory(prefix="fastchat-") as folder:
        found = Path(folder) / "stacks"
        command = [program, "record", "--native", "--format", "raw", "--rate", RATE]
        command += ["--duration", f"{seconds:.0f}", "--output", str(found), "--pid", str(pid)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return found.read_text().splitlines()


def shares(stacks: Iterable[str]) -> list[tuple[str, float]]:
    """Return each step with its share of the time, the largest first."""
    counts: Counter[str] = Counter()
    for line in stacks:
        frames, _, count = line.rpartition(" ")
        inwards = frames.split(";")
        if not IDLE.match(inwards[-1]):
            counts[step_of(inwards)] += int(count)
    total = counts.total() or 1
    return [(step, count / total) for step, count in counts.most_common()]


def step_of(frames: list[str]) -> str:
    """Return the step that the innermost known frame belongs to."""
    for frame in reversed(frames):
        for step, pattern in STEPS:
            if pattern.search(frame):
                return step
    return REST


if __name__ == "__main__":
    main()
