"""Processes that count in one table at the same moment, frozen and killed ones among them."""

import mmap
import os
import random
import signal
import time
from bisect import bisect_left
from contextlib import contextmanager, suppress

import pytest

from fastchat._speedups import shared_window_c, shared_window_py
from fastchat.admission.connections import ConnectionRefused, ConnectionRules
from fastchat.admission.ledger import SharedLedger
from fastchat.admission.limits import Limits
from fastchat.admission.table import WindowTable
from fastchat.errors import RateLimited
from fastchat.interfaces import Session
from tests.unit.admission.sharing import (
    SMALL,
    TwinLedger,
    assert_sound,
    entries,
    fork,
    join,
    kill,
    stamps,
)

PROCESSES = 4
PLACES = 1 << 10
KILLS = 40
PATIENCE = 20.0


class Figures:
    """Numbers in memory that all processes see; each has one writer."""

    def __init__(self, count):
        self._memory = mmap.mmap(-1, 8 * count)
        self.all = memoryview(self._memory).cast("q")


@pytest.fixture
def table():
    table = WindowTable(seats=PROCESSES + 1, entries=PLACES, arena=16 * SMALL)
    yield table
    assert_sound(table)
    table.close()


@pytest.fixture(params=[shared_window_py, shared_window_c], ids=["pure", "compiled"])
def twin(request):
    return request.param


def decide(ledger, take, *arguments):
    """Ask; return None when the worker had to decide alone.

    On a busy machine one that has the lock may be without a processor for long.
    """
    known = ledger.misses
    wait = take(*arguments)
    return wait if ledger.misses == known else None


def run_all(work):
    """Run ``work(seat)`` in so many processes, all from the same moment on."""
    ready = Figures(PROCESSES + 1)

    def begin(seat):
        ready.all[seat] = 1
        while sum(ready.all) < PROCESSES:
            time.sleep(0)
        work(seat)

    pids = [fork(lambda seat=seat: begin(seat)) for seat in range(1, PROCESSES + 1)]
    assert [join(pid) for pid in pids] == [0] * PROCESSES


@contextmanager
def frozen(pid):
    """Stop a process for a while."""
    os.kill(pid, signal.SIGSTOP)
    assert os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("twin", "limit"),
    [(shared_window_py, 3000), (shared_window_c, 100_000)],
    ids=["pure", "compiled"],
)
def test_processes_together_are_admitted_exactly_the_limit(table, twin, limit):
    admitted = Figures(PROCESSES + 1)

    def work(seat):
        ledger = TwinLedger(twin, table, seat, run=seat)
        window = ledger.open_window("test", "alice", limit, 60.0)
        for _ in range(limit):
            admitted.all[seat] += decide(ledger, window.take, 1.0) == 0.0
        assert decide(ledger, window.take, 1.0) in (60.0, None)

    run_all(work)
    assert sum(admitted.all) == limit
    assert sum(map(bool, admitted.all)) > 1


def test_no_stamp_is_lost_or_counted_twice_while_rings_are_replaced(table):
    windows, limit = 300, 100
    admitted = Figures((PROCESSES + 1) * windows)

    def work(seat):
        ledger = TwinLedger(shared_window_c, table, seat, run=seat)
        for number in range(windows):
            window = ledger.open_window("test", str(number), limit, 60.0)
            # Late ones wait for nobody, so they come to different moments of each other's work.
            for _ in range(limit):
                is_admitted = decide(ledger, window.take, 1.0) == 0.0
                admitted.all[number * (PROCESSES + 1) + seat] += is_admitted

    run_all(work)
    for number in range(windows):
        own = admitted.all[number * (PROCESSES + 1) : (number + 1) * (PROCESSES + 1)]
        assert sum(own) == limit
        entry = entries(table)[table.key_of("test", str(number))]
        assert len(stamps(table, entry)) == limit


def test_no_window_of_real_time_has_more_than_the_limit(table, twin):
    limit, length, most = 50, 0.05, 2000
    times = memoryview(mmap.mmap(-1, 8 * PROCESSES * most)).cast("d")

    def work(seat):
        ledger = TwinLedger(twin, table, seat, run=seat)
        window = ledger.open_window("test", "alice", limit, length)
        place = (seat - 1) * most
        end = time.monotonic() + 8 * length
        while (now := time.monotonic()) < end:
            if decide(ledger, window.take, now) == 0.0:
                times[place] = now
                place += 1

    run_all(work)
    accepted = sorted(now for now in times if now)
    assert len(accepted) > limit
    tick = 1 / (1 << 20)
    for index, now in enumerate(accepted):
        assert bisect_left(accepted, now + length - tick) - index <= limit


def test_address_gets_exactly_its_connections_and_a_user_his_messages(table):
    figures = Figures(2 * (PROCESSES + 1))

    class User:
        user_id, username, display_name = "1", "alice", "Alice"

    def work(seat):
        ledger = SharedLedger(table, seat, run=seat)
        rules = ConnectionRules(1000, 10, 3000, ledger)
        limits = Limits(240, 1200, ledger)
        devices = [Session(None, User(), None, 1e9, limits.open_windows("1")) for _ in range(2)]
        for number in range(240):
            known = ledger.misses
            with suppress(ConnectionRefused):
                rules.open("192.0.2.1", 1.0)
                figures.all[2 * seat] += ledger.misses == known
            known = ledger.misses
            with suppress(RateLimited):
                limits.admit_message(devices[number % 2], 10, 1.0)
                figures.all[2 * seat + 1] += ledger.misses == known

    run_all(work)
    assert sum(figures.all[::2]) == 10
    assert sum(figures.all[1::2]) == 240


def test_processes_that_are_killed_at_random_leave_a_sound_table(table):
    """Each counts in windows that all share and in others that come and go, and connects."""
    names = ["alice", "bob"]
    counted = Figures((PROCESSES + 1) * len(names))
    rounds = Figures(PROCESSES + 1)
    limit = 1 << 17

    def work(seat, run):
        ledger = SharedLedger(table, seat, run)
        rules = ConnectionRules(1000, 2 * PROCESSES, 1 << 20, ledger)
        choice = random.Random(run)
        while True:
            for index, name in enumerate(names):
                window = ledger.open_window("test", name, limit, 1e6)
                for _ in range(20):
                    # Noted after: one that is killed in between has counted one more.
                    is_counted = decide(ledger, window.take, 1.0) == 0.0
                    counted.all[seat * len(names) + index] += is_counted
                ledger.close_window(window, 1.0)
            passing = [
                ledger.open_window("test", str(choice.randrange(4 * PLACES)), 40, 0.002)
                for _ in range(10)
            ]
            for window in passing:
                for _ in range(choice.choice((1, 9, 33))):
                    window.take(time.monotonic())
                ledger.close_window(window, time.monotonic() + choice.choice((0.0, 1.0)))
            rules.open("192.0.2.1", 1.0)
            rules.open("192.0.2.1", 1.0)
            rules.close("192.0.2.1")
            rules.close("192.0.2.1")
            rounds.all[seat] += 1

    running = {}
    runs = 0

    def start(seat):
        nonlocal runs
        runs += 1
        running[seat] = fork(lambda run=runs: work(seat, run))

    for seat in range(1, PROCESSES + 1):
        start(seat)
    choice = random.Random(7)
    give_up = time.monotonic() + PATIENCE
    for _ in range(KILLS):
        victim = choice.randrange(1, PROCESSES + 1)
        done = rounds.all[victim]
        while rounds.all[victim] == done:
            assert time.monotonic() < give_up
            assert os.waitpid(running[victim], os.WNOHANG) == (0, 0)
            time.sleep(0.0005)
        time.sleep(choice.random() * 0.005)
        kill(running.pop(victim))
        table.leave(victim)
        start(victim)
    for seat, pid in running.items():
        kill(pid)
        table.leave(seat)
    assert_sound(table)
    ledger = SharedLedger(table, 1, run=runs + 1)
    for index, name in enumerate(names):
        noted = sum(counted.all[index :: len(names)])
        entry = entries(table)[table.key_of("test", name)]
        assert noted <= len(stamps(table, entry)) <= noted + runs
    rules = ConnectionRules(1000, 2 * PROCESSES, 1 << 20, ledger)
    for _ in range(2 * PROCESSES):
        rules.open("192.0.2.1", 1.0)
    with pytest.raises(ConnectionRefused, match="Connection limit exceeded"):
        rules.open("192.0.2.1", 1.0)
    assert ledger.misses == 0


def test_lock_of_a_frozen_process_is_not_waited_for_twice(table):
    reading, writing = os.pipe()

    def work():
        assert table.lock.acquire()
        os.write(writing, b"x")
        signal.pause()

    pid = fork(work)
    os.read(reading, 1)
    os.close(reading)
    os.close(writing)
    ledger = SharedLedger(table, 1, run=1)
    window = ledger.open_window("test", "alice", 2, 60.0)
    with frozen(pid):
        assert [window.take(1.0) for _ in range(3)] == [0.0, 0.0, 60.0]
        assert ledger.misses == 3
        begin = time.monotonic()
        for _ in range(1000):
            window.take(1.0)
        # Each with patience would take 50 s.
        assert time.monotonic() - begin < 25.0
        rules = ConnectionRules(10, 2, 3000, ledger)
        for _ in range(2):
            rules.open("::1", 1.0)
        with pytest.raises(ConnectionRefused):
            rules.open("::1", 1.0)
    known = ledger.misses
    kill(pid)
    # The system has taken its lock back.
    assert [window.take(1.0) for _ in range(3)] == [0.0, 0.0, 60.0]
    assert ledger.misses == known
    with pytest.raises(ConnectionRefused):
        rules.open("::1", 1.0)


def test_worker_frozen_anywhere_does_not_delay_what_others_count(table):
    """It is frozen again and again while it counts in the same window."""
    limit = 1 << 18
    done = Figures(1)
    ledger = TwinLedger(shared_window_c, table, 2, run=2)
    window = ledger.open_window("test", "alice", limit, 60.0)
    # The ring is as large as it gets: larger ones are made under the lock.
    before = limit // 2 + 1
    for _ in range(before):
        assert window.take(1.0) == 0.0

    def work():
        ledger = TwinLedger(shared_window_c, table, 1, run=1)
        window = ledger.open_window("test", "alice", limit, 60.0)
        while True:
            done.all[0] += window.take(1.0, limit - 1000) == 0.0

    pid = fork(work)
    for _ in range(50):
        while not done.all[0]:
            time.sleep(0)
        with frozen(pid):
            for _ in range(20):
                assert window.take(1.0) == 0.0
        time.sleep(0)
    kill(pid)
    assert ledger.misses == 0
    counted = len(stamps(table, window.entry)) - before - 1000
    assert done.all[0] <= counted <= done.all[0] + 1
