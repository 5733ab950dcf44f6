"""The long dose: faults of all kinds under load until both numbers are reached.

``python -m tests.faults --faults 500 --messages 1000000`` prints how it goes, writes a table of
what was done and found, and ends with 1 when a promise was broken.
"""

import argparse
import asyncio
import gc
import random
import sys
import time
from collections import Counter
from pathlib import Path

import uvloop

from tests.faults.checker import Violation
from tests.faults.faults import EMBEDDED, FAULTS, REDIS, Fault
from tests.faults.rig import Rig
from tests.faults.servers import EmbeddedServers, Servers
from tests.functional.store.folders import public_folder

FAULTS_IN_PART = 5
EMBEDDED_SHARE = 20  # of so many faults one is of a server with an embedded database
LONGEST_GAP = 1.0  # seconds between two faults in one place
MOST_IN_PART = 20_000  # messages, whose histories are in memory until they are checked
LONGEST_PART = 60.0  # seconds that a part waits for its messages
SHOWN = 20  # violations


class Dose:
    """What was done so far, and what is next."""

    def __init__(self, chance: random.Random) -> None:
        """Take who decides."""
        self._chance = chance
        self.faults: Counter[str] = Counter()
        self.violations: Counter[str] = Counter()
        self.late: dict[str, float] = {}
        self.messages = 0
        self.bad = 0
        self._bags: dict[int, list[str]] = {}
        self._started = time.monotonic()

    def choose(self, faults: dict[str, Fault], count: int) -> list[str]:
        """Return the kinds of the next faults; all kinds are used before one comes again."""
        bag = self._bags.setdefault(id(faults), [])
        while len(bag) < count:
            bag[:0] = self._chance.sample(list(faults), len(faults))
        chosen, bag[:] = bag[-count:], bag[:-count]
        return chosen

    async def play(self, rig: Rig, faults: dict[str, Fault], count: int, messages: int) -> None:
        """Let some faults happen under load, wait for everybody, and check."""
        names = self.choose(faults, count)
        places: dict[str, list[str]] = {}
        for name in names:
            places.setdefault(faults[name].place, []).append(name)
        rig.load.turn_on()
        async with asyncio.TaskGroup() as group:
            for own in places.values():
                group.create_task(self._play_in_turn(rig, faults, own))
        await rig.further(max(0, messages - rig.load.sent), LONGEST_PART)
        before = rig.messages
        violations = await rig.settle()
        self.messages += rig.messages - before
        self.faults.update(names)
        for name in names:
            self.late[name] = max(self.late.get(name, 0.0), rig.late)
        if violations:
            self.violations.update(names)
            self.bad += len(violations)
            show(names, violations, rig.notes)
        # Many small objects that are gone; the collector would stop the clients at any moment.
        gc.collect()

    async def _play_in_turn(self, rig: Rig, faults: dict[str, Fault], names: list[str]) -> None:
        for name in names:
            await asyncio.sleep(self._chance.uniform(0.0, LONGEST_GAP))
            try:
                await faults[name].play(rig, self._chance)
            except Exception as error:
                error.add_note(f"in {name}, of this part: {', '.join(names)}")
                raise

    def report(self, goal: int, messages: int) -> None:
        """Say how far it is."""
        seconds = time.monotonic() - self._started
        print(
            f"{seconds:6.0f} s  {self.faults.total():4} of {goal} faults  "
            f"{self.messages:8} of {messages} messages  {self.messages / seconds:6.0f}/s  "
            f"{self.bad} violations",
            flush=True,
        )

    def table(self) -> str:
        """What was done and found, as Markdown."""
        lines = ["| fault | times | parts with violations |", "|---|---:|---:|"]
        lines += [
            f"| {name} | {count} | {self.violations[name]} |"
            for name, count in sorted(self.faults.items())
        ]
        lines.append(f"| **all**, {self.messages} messages | {self.faults.total()} | {self.bad} |")
        return "\n".join(lines) + "\n"


def show(names: list[str], violations: list[Violation], notes: list[str]) -> None:
    """Print what is wrong."""
    print(f"after {', '.join(names)}:", flush=True)
    for kind, count in Counter(violation.kind for violation in violations).items():
        print(f"  {count} {kind}", flush=True)
    for violation in violations[:SHOWN]:
        print(f"  {violation.kind}: {violation.text}", flush=True)
    for note in notes:
        print(f"  {note}", flush=True)


async def run(options: argparse.Namespace) -> int:
    """Run the dose."""
    dose = Dose(random.Random(options.seed))
    gc.freeze()
    embedded = options.faults // EMBEDDED_SHARE
    try:
        with public_folder(on_disk=True) as folder:
            rig = Rig(EmbeddedServers(folder, workers=options.workers), seed=options.seed)
            await play_all(dose, rig, EMBEDDED, 1, embedded, 0, options)
        with public_folder(on_disk=True) as folder:
            servers = Servers(folder, hosts=options.hosts, workers=options.workers)
            rig = Rig(servers, rate=options.rate, seed=options.seed)
            faults = FAULTS | REDIS if servers.redis else FAULTS
            if options.only:
                faults = {name: faults[name] for name in options.only}
            await play_all(
                dose, rig, faults, FAULTS_IN_PART, options.faults, options.messages, options
            )
    finally:
        print(dose.table())
        options.result.parent.mkdir(parents=True, exist_ok=True)
        options.result.write_text(dose.table())
    return 1 if dose.bad else 0


async def play_all(
    dose: Dose,
    rig: Rig,
    faults: dict[str, Fault],
    in_part: int,
    count: int,
    messages: int,
    options: argparse.Namespace,
) -> None:
    """Go on until there were so many faults and messages."""
    each = min(MOST_IN_PART, messages * in_part // max(1, count))
    try:
        await rig.start()
        while dose.faults.total() < count or dose.messages < messages:
            await dose.play(rig, faults, in_part, each)
            dose.report(options.faults, options.messages)
    finally:
        await rig.stop()


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--hosts", type=int, default=1, help="servers; several share a Redis")
    parser.add_argument("--workers", type=int, default=1, help="workers of each server")
    parser.add_argument("--rate", type=float, default=3000.0, help="messages per second at most")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument(
        "--only", action="append", choices=FAULTS | REDIS, help="this kind of fault; all, if none"
    )
    parser.add_argument("--result", type=Path, default=Path("reports/faults.md"))
    return parser.parse_args()


if __name__ == "__main__":
    given = parse()
    print(f"seed {given.seed}", flush=True)
    sys.exit(uvloop.run(run(given)))
