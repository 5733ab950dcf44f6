"""What the kernel knows of a process: its memory, its time, its files."""

import os
from pathlib import Path
from typing import NamedTuple

TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds


class Usage(NamedTuple):
    """What a process holds at one moment."""

    resident: int  # KB
    descriptors: int
    listeners: int  # sockets that listen
    threads: int


def resident(pid: int) -> int:
    """Return the resident memory of a process in KB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def usage(pid: int) -> Usage:
    """Return what a process holds; its files can be seen by its own user and by root."""
    folder = Path(f"/proc/{pid}")
    sockets, files = set(), 0
    for descriptor in (folder / "fd").iterdir():
        files += 1
        try:
            target = os.readlink(descriptor)
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            sockets.add(target[8:-1])
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in (folder / "net" / table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                listening.add(fields[9])
    threads = len(list((folder / "task").iterdir()))
    return Usage(resident(pid), files, len(sockets & listening), threads)


def processor_time(pid: int, *, with_children: bool = False) -> float:
    """Return the seconds of user and system time of a process, and of those it has started."""
    total = 0.0
    for one in [pid, *(_children(pid) if with_children else [])]:
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        # proc(5): utime and stime are the 14th and 15th; with children those it waited for, too.
        total += sum(map(int, fields[11:13])) * TICK
        if with_children:
            total += sum(map(int, fields[13:15])) * TICK
    return total


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        found += map(int, children.read_text().split())
    return found
