"""A thousand checks of limits, on each twin of the kernels; divide by 1000.

*Own* memory is what one worker counts in, *shared* memory what several do.
"""

import os
from contextlib import contextmanager
from time import monotonic

import pytest

from fastchat._speedups import (
    shared_window_c,
    shared_window_py,
    sliding_window_c,
    sliding_window_py,
)
from fastchat.admission.connections import ConnectionRules
from fastchat.admission.distant import UserCounts
from fastchat.admission.ledger import OwnLedger, SharedLedger
from fastchat.admission.limits import Limits
from fastchat.admission.table import WindowTable
from fastchat.errors import RateLimited
from fastchat.interfaces import Session
from tests.unit.admission.sharing import TwinLedger, fork, kill

CALLS = 1000


@pytest.fixture
def table():
    table = WindowTable(seats=4)
    yield table
    table.close()


@pytest.fixture(params=["own", "shared"])
def ledger(request, table):
    return OwnLedger() if request.param == "own" else SharedLedger(table, seat=1, run=1)


@pytest.fixture(params=[shared_window_py, shared_window_c], ids=["pure", "compiled"])
def shared(request, table):
    return TwinLedger(request.param, table, seat=1, run=1)


@pytest.fixture(params=[sliding_window_py, sliding_window_c], ids=["pure", "compiled"])
def kernel(request):
    return request.param


@pytest.mark.parametrize("limit", [240, 3000])
def test_a_thousand_admitted_by_a_full_window(benchmark, kernel, limit):
    """Each comes just when the oldest one leaves."""
    window = kernel.SlidingWindow(limit, 60.0, 2 * limit)
    for index in range(limit):
        window.record(index * 60.0 / limit)
    step = 60.0 / limit + 1e-9
    now = 60.0

    def admit():
        nonlocal now
        admitted = 0
        admit_one = window.admit
        for _ in range(CALLS):
            now += step
            admitted += admit_one(now)
        return admitted

    assert benchmark(admit) == CALLS


def test_a_thousand_refused(benchmark, kernel):
    window = kernel.SlidingWindow(240, 60.0, 480)
    for _ in range(240):
        window.record(0.0)

    def refuse():
        admitted = 0
        admit_one = window.admit
        for _ in range(CALLS):
            admitted += admit_one(1.0)
        return admitted

    assert benchmark(refuse) == 0


def test_a_thousand_in_two_windows(benchmark, kernel):
    first, second = (kernel.SlidingWindow(240, 60.0, 480) for _ in range(2))
    now = 0.0

    def admit():
        nonlocal now
        refused = 0
        admit_both = kernel.admit_both
        for _ in range(CALLS):
            now += 0.3
            refused += admit_both(first, second, now, 240) > 0.0
        return refused

    assert benchmark(admit) == 0


@pytest.mark.parametrize("limit", [240, 3000])
def test_a_thousand_admitted_by_a_full_shared_window(benchmark, shared, limit):
    window = shared.open_window("test", "alice", limit, 60.0, 2 * limit)
    for index in range(limit):
        window.take(index * 60.0 / limit)
    step = 60.0 / limit + 1e-5
    now = 60.0

    def admit():
        nonlocal now
        refused = 0
        take = window.take
        for _ in range(CALLS):
            now += step
            refused += take(now) > 0.0
        return refused

    assert benchmark(admit) == 0


def test_a_thousand_refused_by_a_shared_window(benchmark, shared):
    window = shared.open_window("test", "alice", 240, 60.0, 480)
    for _ in range(240):
        window.take(0.0)

    def refuse():
        refused = 0
        take = window.take
        for _ in range(CALLS):
            refused += take(1.0) > 0.0
        return refused

    assert benchmark(refuse) == CALLS


@pytest.mark.parametrize("others", [0, 1])
def test_a_thousand_admitted_while_another_process_counts_in_the_same_window(
    benchmark, table, others
):
    """It does nothing else, and has a processor of its own; clock reads included."""
    length = 1e-4  # seconds, within which so many are not to be had

    def open_window(seat):
        ledger = TwinLedger(shared_window_c, table, seat, run=seat)
        return ledger.open_window("test", "alice", 1 << 14, length)

    window = open_window(1)
    assert window.take(monotonic()) == 0.0

    def disturb():
        take = open_window(2).take
        while True:
            take(monotonic())

    def admit():
        refused = 0
        take = window.take
        for _ in range(CALLS):
            refused += take(monotonic()) > 0.0
        return refused

    with running(disturb, others):
        assert benchmark(admit) == 0


@contextmanager
def running(work, times):
    """Run something in other processes meanwhile, on another processor where there is one."""
    processors = sorted(os.sched_getaffinity(0))

    def begin():
        os.sched_setaffinity(0, processors[-1:])
        work()

    pids = [fork(begin) for _ in range(times)]
    os.sched_setaffinity(0, processors[:1])
    try:
        yield
    finally:
        os.sched_setaffinity(0, processors)
        for pid in pids:
            kill(pid)


class User:
    user_id = "1"
    username = display_name = "alice"


@pytest.mark.parametrize("step", [0.3, 0.1], ids=["admitted", "mostly_refused"])
def test_a_thousand_messages_of_one_session(benchmark, ledger, step):
    """The whole step, as the spine takes it."""
    limits = Limits(240, 1200, ledger)
    session = Session(None, User(), None, 0.0, limits.open_windows("1"))
    now = 0.0

    def admit():
        nonlocal now
        admitted = 0
        for _ in range(CALLS):
            now += step
            try:
                limits.admit_message(session, 200, now)
            except RateLimited:
                continue
            admitted += 1
        return admitted

    admitted = benchmark(admit)
    assert admitted == CALLS if step == 0.3 else 0 < admitted < CALLS


def test_a_thousand_commands_of_one_session(benchmark, ledger):
    limits = Limits(240, 1200, ledger)
    _, _, window = limits.open_windows("1")
    now = 0.0

    def admit():
        nonlocal now
        for _ in range(CALLS):
            now += 0.06
            limits.admit_command(window, now)
        return limits.command_refusals

    assert benchmark(admit) == 0


def test_a_thousand_users_of_several_hosts_of_whom_one_did_something(benchmark, ledger):
    """What is done ten times a second."""
    limits = Limits(240, 1200, ledger)
    counts = UserCounts(limits)
    windows = {}
    for number in range(CALLS):
        windows[number] = limits.open_windows(str(number))
        counts.watch(str(number))
    windows[7][0].take(0.0)
    assert benchmark(counts.changed) == ["7"]


@pytest.mark.parametrize("addresses", [1, 1000])
def test_a_thousand_connections_that_come_and_go(benchmark, ledger, addresses):
    """From one address, or each from another."""
    rules = ConnectionRules(50, 10, 3000, ledger)
    names = [f"192.0.2.{number % addresses}" for number in range(CALLS)]
    now = 0.0

    def come_and_go():
        nonlocal now
        for name in names:
            now += 0.4
            rules.open(name, now)
            rules.close(name)
        return len(rules.connections_by_ip)

    assert benchmark(come_and_go) == 0


def test_a_thousand_places_for_users_who_were_never_here(benchmark, table):
    """What the first message of a user costs on top; the places are used again."""
    ledger = SharedLedger(table, seat=1, run=1)
    now = 0.0

    def begin():
        nonlocal now
        refused = 0
        now += 1000.0
        windows = [
            ledger.open_window("message", str(now + number), 240, 60.0, 480)
            for number in range(CALLS)
        ]
        for window in windows:
            refused += window.take(now) > 0.0
            ledger.close_window(window, now)
        return refused

    assert benchmark(begin) == 0
    assert ledger.misses == 0
