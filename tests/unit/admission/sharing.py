"""Processes that share a table, real and pretended ones, and what must be true of it always."""

import os
import signal
import sys
import traceback
from collections.abc import Callable

from fastchat._speedups.shared_layout import CLOSED, INDEX, RING, SIZE_SHIFT, TAIL
from fastchat.admission.ledger import SharedLedger
from fastchat.admission.table import BUMP, CLASSES, FREE, WAYS, WindowTable

SMALL = 1 << 20  # bytes of an arena


class TwinLedger(SharedLedger):
    """The ledger of a process, with one twin of the kernel."""

    def __init__(self, twin, table: WindowTable, seat: int, run: int) -> None:
        super().__init__(table, seat, run)
        self.twin = twin

    def open_window(self, kind, name, limit, window, capacity=0):
        table, key = self._table, self._table.key_of(kind, name)
        make = self.twin.SharedWindow
        return make(table.words, table.lock, self._repair, key, limit, window, capacity)


class Killed(BaseException):
    """Stands for the end of a process in the middle of something."""


class DeadlyWords:
    """The words of a table; the process that stores in them dies before one of its stores."""

    def __init__(self, words: memoryview) -> None:
        self._words = words
        self.left = 1 << 30  # stores that are still made

    def __getitem__(self, index):
        return self._words[index]

    def __setitem__(self, index, value) -> None:
        if not self.left:
            raise Killed
        self.left -= 1
        self._words[index] = value


def fork(work: Callable[[], None]) -> int:
    """Run something in a process of its own; return its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def join(pid: int) -> int:
    """Wait for the end of a process; return its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill(pid: int) -> None:
    """End a process in the middle of whatever it does."""
    os.kill(pid, signal.SIGKILL)
    assert join(pid) == -signal.SIGKILL


def stamps(table: WindowTable, entry: int) -> list[int]:
    """Return the stamps in a ring, oldest first."""
    ring, tail = table.words[entry + RING], table.words[entry + TAIL]
    start, size = ring & INDEX, 1 << (ring >> SIZE_SHIFT)
    slots = [table.words[start + n % size] & ~CLOSED for n in range(tail - size, tail)]
    if slots[0] > slots[-1]:
        slots.append(slots.pop(0))  # the position was not moved on
    return [slot for slot in slots if slot]


def entries(table: WindowTable) -> dict[int, int]:
    """Return where the entry of each key is; a key has one, in its own bucket."""
    keys = table.words[table._keys : table._places].tolist()
    found = {key: table._entry(index) for index, key in enumerate(keys) if key}
    assert len(found) == sum(map(bool, keys))
    for index, key in enumerate(keys):
        assert not key or index // WAYS == key % table._buckets
    return found


def assert_sound(table: WindowTable) -> None:
    """Check that no ring is in two places, and that each holds its stamps in order."""
    words = table.words
    rings = []
    taken = []
    for index in range(table._buckets * WAYS):
        entry = table._entry(index)
        if not entry:
            continue
        taken.append((entry, entry + table._stride))
        ring = words[entry + RING]
        while ring:
            rings.append(ring)
            ring = words[(ring & INDEX) - 1]
    for size_bits in range(1, CLASSES):
        start = words[FREE + size_bits]
        while start:
            rings.append(start | size_bits << SIZE_SHIFT)
            start = words[start - 1]
            assert len(rings) <= table._end
    for ring in rings:
        start = ring & INDEX
        taken.append((start - 1, start + (1 << (ring >> SIZE_SHIFT))))
    known = table._arena
    for start, end in sorted(taken):
        assert known <= start
        known = end
    assert known <= words[BUMP] <= table._end
    for entry in entries(table).values():
        found = stamps(table, entry)
        assert found == sorted(set(found))
