"""A thousand checks of rate limits, on each twin of the kernel; divide by 1000."""

import pytest

from fastchat._speedups import sliding_window_c, sliding_window_py
from fastchat.admission.limits import Limits
from fastchat.errors import RateLimited
from fastchat.interfaces import Session

CALLS = 1000


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


class User:
    user_id = "1"
    username = display_name = "alice"


@pytest.mark.parametrize("step", [0.3, 0.1], ids=["admitted", "mostly_refused"])
def test_a_thousand_messages_of_one_session(benchmark, step):
    """The whole step, as the spine takes it."""
    limits = Limits(240, 1200)
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
