import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastchat import _speedups
from fastchat._speedups import sliding_window_c, sliding_window_py

TWINS = [sliding_window_py, sliding_window_c]


class ListFilter:
    """The definition: keep every accepted stamp, drop what has left, compare the rest."""

    def __init__(self, window):
        self.window = window
        self.stamps = []

    def admit(self, now, limit):
        self.stamps = [stamp for stamp in self.stamps if now - stamp < self.window]
        if len(self.stamps) >= limit:
            return False
        self.stamps.append(now)
        return True


@pytest.fixture(params=TWINS, ids=["pure", "compiled"])
def kernel(request):
    """Each twin in turn, so that every test states the contract for both."""
    return request.param


def test_the_compiled_kernels_are_the_ones_in_use():
    assert _speedups.COMPILED
    assert _speedups.SlidingWindow is sliding_window_c.SlidingWindow


@pytest.mark.parametrize("twin", TWINS, ids=["pure", "compiled"])
@given(
    limit=st.integers(1, 30),
    steps=st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0, 7.0, 60.0]), st.booleans())),
)
def test_admits_exactly_what_the_definition_admits(twin, limit, steps):
    window = twin.SlidingWindow(limit, 10.0, 2 * limit)
    definition = ListFilter(10.0)
    now = 0.0
    for pause, is_long in steps:
        now += pause
        allowed = 2 * limit if is_long else limit
        assert window.admit(now, allowed) == definition.admit(now, allowed)


@pytest.mark.parametrize("twin", TWINS, ids=["pure", "compiled"])
@given(limit=st.integers(1, 20), gaps=st.lists(st.integers(0, 64).map(lambda n: n / 16)))
def test_after_the_wait_one_more_passes_and_not_before(twin, limit, gaps):
    window = twin.SlidingWindow(limit, 8.0)
    now = 0.0
    for gap in gaps:
        now += gap
        wait = window.wait(now)
        if wait:
            assert window.wait(now + wait - 1 / 1024) > 0.0
            assert window.wait(now + wait) == 0.0
        else:
            window.record(now)


def test_refused_stamps_do_not_extend_the_wait(kernel):
    window = kernel.SlidingWindow(1, 60.0)
    assert window.admit(0.0)
    assert not window.admit(30.0)
    assert window.admit(60.0)


def test_the_same_window_admits_twice_as_many_long_messages(kernel):
    window = kernel.SlidingWindow(240, 60.0, 480)
    assert sum(window.admit(1.0, 240) for _ in range(1000)) == 240
    assert sum(window.admit(1.0, 480) for _ in range(1000)) == 240
    assert not window.admit(60.9, 240)
    assert window.admit(61.0, 240)


def test_a_short_message_waits_for_the_limit_th_newest_stamp(kernel):
    window = kernel.SlidingWindow(2, 60.0, 4)
    for now in (0.0, 10.0, 20.0, 30.0):
        assert window.admit(now, 4)
    assert window.wait(30.0, 2) == 50.0
    assert window.wait(30.0, 4) == 30.0


def test_is_idle_when_the_newest_stamp_has_left(kernel):
    window = kernel.SlidingWindow(2, 60.0)
    assert window.is_idle(0.0)
    window.record(5.0)
    assert not window.is_idle(64.9)
    assert window.is_idle(65.0)


def test_two_windows_record_both_or_none(kernel):
    first, second = kernel.SlidingWindow(1, 60.0), kernel.SlidingWindow(1, 60.0)
    second.record(0.0)
    assert kernel.admit_both(first, second, 10.0, 1) == 50.0
    assert first.wait(10.0) == 0.0
    assert kernel.admit_both(first, second, 60.0, 1) == 0.0
    assert first.wait(60.0) == 60.0


@pytest.mark.parametrize("arguments", [(0, 1.0), (1, 0.0), (5, 1.0, 4), (1, float("nan"))])
def test_impossible_windows_are_refused(kernel, arguments):
    with pytest.raises(ValueError, match="expected"):
        kernel.SlidingWindow(*arguments)


@pytest.mark.parametrize("limit", [-1, 5])
def test_a_limit_beyond_the_capacity_is_refused(kernel, limit):
    with pytest.raises(ValueError, match="expected 1 to 4"):
        kernel.SlidingWindow(2, 1.0, 4).wait(0.0, limit)


def test_it_knows_how_many_stamps_it_ever_recorded(kernel):
    first, second = (kernel.SlidingWindow(2, 60.0) for _ in range(2))
    for now in (0.0, 0.0, 1.0, 60.0):
        first.take(now)
    assert first.counted == 3
    second.record(60.0)
    assert kernel.admit_both(first, second, 60.0, 2) == 0.0
    assert kernel.admit_both(first, second, 60.0, 2) > 0.0
    assert (first.counted, second.counted) == (4, 2)
