import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastchat import _speedups
from fastchat._speedups import (
    shared_window_c,
    shared_window_py,
    sliding_window_c,
    sliding_window_py,
)
from fastchat.admission.table import WindowTable
from tests.unit.admission.sharing import SMALL, TwinLedger, assert_sound

TWINS = [shared_window_py, shared_window_c]
IDS = ["pure", "compiled"]


class ListFilter:
    """The definition: keep every accepted stamp, drop what has left, compare the rest."""

    def __init__(self, window):
        self.window = window
        self.stamps = []

    def take(self, now, limit):
        self.stamps = [stamp for stamp in self.stamps if now - stamp < self.window]
        if len(self.stamps) >= limit:
            return self.stamps[-limit] + self.window - now
        self.stamps.append(now)
        return 0.0


@pytest.fixture(scope="module")
def table():
    """Made once: each test counts under a name of its own."""
    table = WindowTable(seats=4, entries=1 << 12, arena=8 * SMALL)
    yield table
    assert_sound(table)
    table.close()


@pytest.fixture(scope="module")
def names():
    return iter(range(1_000_000))


@pytest.fixture(params=TWINS, ids=IDS)
def ledger(request, table):
    return TwinLedger(request.param, table, seat=1, run=1)


@pytest.fixture
def make_window(ledger, names):
    """A function that makes a window that nobody knows."""

    def make(limit, window, capacity=0):
        return ledger.open_window("test", str(next(names)), limit, window, capacity)

    return make


def test_the_compiled_kernels_are_the_ones_in_use():
    assert _speedups.SharedWindow is shared_window_c.SharedWindow
    assert _speedups.take_both is shared_window_c.take_both


@pytest.mark.parametrize("twin", TWINS, ids=IDS)
@given(
    limit=st.integers(1, 30),
    steps=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.25, 0.5, 1.0, 7.0, 60.0]), st.booleans(), st.integers(0, 2)
        )
    ),
)
def test_processes_together_are_admitted_what_the_definition_admits(
    twin, table, names, limit, steps
):
    name = str(next(names))
    ledgers = [TwinLedger(twin, table, seat, run=seat) for seat in (1, 2, 3)]
    windows = [ledger.open_window("definition", name, limit, 10.0, 2 * limit) for ledger in ledgers]
    definition = ListFilter(10.0)
    now = 0.0
    for pause, is_long, process in steps:
        now += pause
        allowed = 2 * limit if is_long else limit
        expected = definition.take(now, allowed)
        if expected:
            assert windows[process].wait(now, allowed) == expected
        assert windows[process].take(now, allowed) == expected
    assert [ledger.misses for ledger in ledgers] == [0, 0, 0]
    for window in windows:
        assert window.is_idle(now) == (not definition.stamps or not window.entry)


@pytest.mark.parametrize("twin", TWINS, ids=IDS)
@given(limit=st.integers(1, 20), gaps=st.lists(st.integers(0, 64).map(lambda n: n / 16)))
def test_after_the_wait_one_more_passes_and_not_before(twin, table, names, limit, gaps):
    ledger = TwinLedger(twin, table, seat=1, run=1)
    window = ledger.open_window("wait", str(next(names)), limit, 8.0)
    now = 0.0
    for gap in gaps:
        now += gap
        wait = window.wait(now)
        if wait:
            assert window.take(now + wait - 1 / 1024) > 0.0
            assert window.wait(now + wait) == 0.0
        else:
            assert window.take(now) == 0.0


def test_refused_stamps_do_not_extend_the_wait(make_window):
    window = make_window(1, 60.0)
    assert window.take(0.0) == 0.0
    assert window.take(30.0) == 30.0
    assert window.take(60.0) == 0.0


def test_the_same_window_admits_twice_as_many_long_messages(make_window):
    window = make_window(240, 60.0, 480)
    assert sum(window.take(1.0, 240) == 0.0 for _ in range(1000)) == 240
    assert sum(window.take(1.0, 480) == 0.0 for _ in range(1000)) == 240
    assert window.take(60.9, 240) > 0.0
    assert window.take(61.0, 240) == 0.0


def test_short_message_waits_for_the_limit_th_newest_stamp(make_window):
    window = make_window(2, 60.0, 4)
    for now in (0.0, 10.0, 20.0, 30.0):
        assert window.take(now, 4) == 0.0
    assert window.wait(30.0, 2) == 50.0
    assert window.wait(30.0, 4) == 30.0


def test_is_idle_when_the_newest_stamp_has_left(make_window):
    window = make_window(2, 60.0)
    assert window.is_idle(0.0)
    assert window.take(5.0) == 0.0
    assert not window.is_idle(64.9)
    assert window.is_idle(65.0)


def test_process_with_an_earlier_time_is_counted_in_the_order_of_arrival(make_window):
    window = make_window(2, 60.0)
    assert window.take(10.0) == 0.0
    assert window.take(9.0) == 0.0
    assert window.take(9.5) == 60.5
    assert window.wait(69.5) == 0.5
    assert window.take(70.0) == 0.0


@pytest.mark.parametrize("own", [sliding_window_py, sliding_window_c], ids=IDS)
def test_two_windows_count_both_or_none(ledger, make_window, own):
    shared, connection = make_window(1, 60.0), own.SlidingWindow(1, 60.0)
    take_both = ledger.twin.take_both
    connection.record(0.0)
    assert take_both(shared, connection, 10.0, 1) == 50.0
    assert shared.wait(10.0) == 0.0
    assert shared.take(20.0) == 0.0
    assert take_both(shared, connection, 30.0, 1) == 50.0
    assert take_both(shared, connection, 60.0, 1) == 20.0
    assert connection.wait(60.0) == 0.0
    assert take_both(shared, connection, 80.0, 1) == 0.0
    assert (shared.wait(80.0), connection.wait(80.0)) == (60.0, 60.0)


def test_a_window_knows_how_many_stamps_this_process_ever_counted(table, names):
    name = str(next(names))
    windows = [
        TwinLedger(twin, table, seat, run=seat).open_window("test", name, 3, 60.0)
        for seat, twin in enumerate(TWINS, 1)
    ]
    for now in (0.0, 1.0, 60.0):
        for window in windows:
            window.take(now)
    # Of six one was refused.
    assert [window.counted for window in windows] == [3, 2]


def test_either_twin_goes_on_where_the_other_stopped(table, names):
    name = str(next(names))
    windows = [
        TwinLedger(twin, table, seat, run=seat).open_window("twins", name, 500, 60.0)
        for seat, twin in enumerate(TWINS, 1)
    ]
    for number in range(500):
        assert windows[number % 2].take(number / 16) == 0.0
    assert [window.take(40.0) for window in windows] == [20.0, 20.0]
    assert [window.wait(60.0) for window in windows] == [0.0, 0.0]


@pytest.mark.parametrize("arguments", [(0, 1.0), (1, 0.0), (5, 1.0, 4), (1, float("nan"))])
def test_impossible_windows_are_refused(make_window, arguments):
    with pytest.raises(ValueError, match="expected"):
        make_window(*arguments)


@pytest.mark.parametrize("limit", [-1, 5])
def test_limit_beyond_the_capacity_is_refused(make_window, limit):
    window = make_window(2, 1.0, 4)
    for ask in (window.wait, window.take):
        with pytest.raises(ValueError, match="expected 1 to 4"):
            ask(0.0, limit)
