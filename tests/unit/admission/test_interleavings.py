"""What processes do to one window, in many orders of their single steps.

The reference does without its lock here, as its compiled twin does: each step is one access to the
shared words, or the exchange of one.
"""

import random
import threading
from bisect import bisect_left

import pytest

from fastchat._speedups.shared_window_py import SharedWindow
from fastchat.admission.ledger import SharedLedger
from fastchat.admission.table import WAYS, WindowTable
from tests.unit.admission.sharing import SMALL, Killed, assert_sound, entries, stamps

PROCESSES = 3
ORDERS = 100
STEPS = 400  # within which interruptions come
INTERRUPTIONS = 6
PATIENCE = 10.0  # seconds; a bound on every wait


class Order:
    """Lets processes, which are threads here, make one step at a time; a seed decides whose.

    One goes on until it has ended or it is interrupted, which happens a few times; it then goes on
    when all others have ended, or are interrupted later.
    """

    def __init__(self, seed, processes):
        self.random = random.Random(seed)
        self.steps = 0
        self._interrupted_at = {self.random.randrange(STEPS) for _ in range(INTERRUPTIONS)}
        self._queue = list(range(processes))
        self.random.shuffle(self._queue)
        self._turn = threading.Semaphore(0)
        self._own = threading.local()
        self._has_ended = False
        self._errors = []

    def run(self, works, dies_after=None):
        """Run them all; the first one dies after so many of its steps."""
        semaphores = [threading.Semaphore(0) for _ in works]
        lives = [dies_after, *[None] * (len(works) - 1)]
        threads = [
            threading.Thread(target=self._live, args=arguments)
            for arguments in zip(works, semaphores, lives, strict=True)
        ]
        for thread in threads:
            thread.start()
        while self._queue:
            if self.steps in self._interrupted_at:
                self.rest()
            self.steps += 1
            current = self._queue[0]
            semaphores[current].release()
            assert self._turn.acquire(timeout=PATIENCE)
            if self._has_ended:
                self._has_ended = False
                self._queue.remove(current)
                threads[current].join(PATIENCE)
        assert self._errors == []

    def rest(self):
        """Let all others go on before the one whose turn it is."""
        self._queue.append(self._queue.pop(0))

    def step(self):
        """Wait until it is this process's turn again."""
        own = self._own
        if own.left is not None:
            if own.left == 0:
                raise Killed
            own.left -= 1
        self._turn.release()
        assert own.semaphore.acquire(timeout=PATIENCE)

    def _live(self, work, semaphore, lives):
        self._own.semaphore, self._own.left = semaphore, lives
        assert semaphore.acquire(timeout=PATIENCE)
        try:
            work()
        except Killed:
            pass
        except BaseException as error:
            self._errors.append(error)
        self._has_ended = True
        self._turn.release()


class SteppedWords:
    """The words of a table; an access is a step."""

    def __init__(self, words, order):
        self._words = words
        self._order = order

    def __getitem__(self, index):
        self._order.step()
        return self._words[index]

    def __setitem__(self, index, value):
        self._order.step()
        self._words[index] = value


class SteppedLock:
    """The lock of a table among threads."""

    def __init__(self, order):
        self._order = order
        self._owner = None
        self._depth = 0

    def acquire(self):
        while self._owner not in (None, threading.current_thread()):
            self._order.rest()
            self._order.step()
        self._owner = threading.current_thread()
        self._depth += 1
        return True

    def release(self):
        self._depth -= 1
        if not self._depth:
            self._owner = None

    def close(self):
        pass


class NoLock:
    def acquire(self):
        return True

    def release(self):
        pass


class SteppedWindow(SharedWindow):
    """The reference without a lock, and an exchange that is one step."""

    __slots__ = ("plain_words",)

    def _exchange(self, place, found, wanted):
        self._words._order.step()
        words = self._words._words
        if words[place] != found:
            return False
        words[place] = wanted
        return True


class SteppedLedger(SharedLedger):
    def open_window(self, kind, name, limit, window, capacity=0):
        table, key = self._table, self._table.key_of(kind, name)
        return SteppedWindow(table.words, NoLock(), self._repair, key, limit, window, capacity)


class Scene:
    """A table in which each access is a step."""

    def __init__(self, seed):
        self.order = Order(seed, PROCESSES)
        self.table = WindowTable(seats=PROCESSES + 1, entries=WAYS, arena=SMALL)
        self.table.lock.close()
        self.words = self.table.words
        self.ledgers = [
            SteppedLedger(self.table, seat, run=seat) for seat in range(1, PROCESSES + 1)
        ]
        self.table.lock = SteppedLock(self.order)
        self.table.words = SteppedWords(self.words, self.order)

    def run(self, work, dies_after=None):
        """Let each process do ``work(ledger)``."""
        works = [lambda ledger=ledger: work(ledger) for ledger in self.ledgers]
        self.order.run(works, dies_after)
        self.table.words = self.words
        assert_sound(self.table)


@pytest.mark.parametrize("seed", range(ORDERS))
def test_exactly_the_limit_is_admitted_in_any_order_while_rings_are_replaced(seed):
    limit = 20
    scene = Scene(seed)
    admitted = []

    def work(ledger):
        window = ledger.open_window("test", "alice", limit, 60.0)
        for _ in range(9):
            is_admitted = window.take(1.0) == 0.0
            admitted.append(is_admitted)

    scene.run(work)
    assert sum(admitted) == limit
    (entry,) = entries(scene.table).values()
    assert len(stamps(scene.table, entry)) == limit
    assert [ledger.misses for ledger in scene.ledgers] == [0] * PROCESSES


@pytest.mark.parametrize("seed", range(ORDERS))
def test_process_that_dies_at_any_step_has_counted_or_has_not_in_any_order(seed):
    limit = 20
    scene = Scene(seed)
    admitted = []

    def work(ledger):
        window = ledger.open_window("test", "alice", limit, 60.0)
        for _ in range(15):
            is_admitted = window.take(1.0) == 0.0
            admitted.append(is_admitted)

    scene.run(work, dies_after=scene.order.random.randrange(200))
    assert sum(admitted) in (limit - 1, limit)
    (entry,) = entries(scene.table).values()
    assert len(stamps(scene.table, entry)) == limit


@pytest.mark.parametrize("seed", range(ORDERS))
def test_no_window_has_more_than_the_limit_in_any_order(seed):
    limit, length = 3, 40.0
    scene = Scene(seed)
    accepted = []

    def work(ledger):
        window = ledger.open_window("test", "alice", limit, length)
        for _ in range(12):
            now = float(scene.order.steps)
            wait = window.take(now)
            if wait == 0.0:
                accepted.append(now)
            else:
                assert wait <= length + scene.order.steps - now

    scene.run(work)
    accepted.sort()
    assert len(accepted) > limit
    for index, now in enumerate(accepted):
        assert bisect_left(accepted, now + length) - index <= limit
