import math
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastchat import _speedups
from fastchat._speedups import histogram_c, histogram_py
from fastchat._speedups.histogram_py import LATENCY_BOUNDS

TWINS = [histogram_py, histogram_c]
BOUNDS = st.lists(
    st.floats(allow_nan=False, min_value=-1e9, max_value=1e9), min_size=1, max_size=30, unique=True
).map(sorted)
VALUES = st.lists(st.floats(allow_infinity=True) | st.integers(-(10**6), 10**6))


@pytest.fixture(params=TWINS, ids=["pure", "compiled"])
def kernel(request):
    """Each twin in turn, so that every test states the contract for both."""
    return request.param


def test_the_compiled_kernel_is_the_one_in_use():
    assert _speedups.COMPILED
    assert _speedups.LatencyHistogram is histogram_c.LatencyHistogram


@pytest.mark.parametrize("twin", TWINS, ids=["pure", "compiled"])
@given(bounds=BOUNDS, values=VALUES, picks=st.lists(st.integers(0, 29)))
def test_counts_what_the_definition_counts(twin, bounds, values, picks):
    # Values that are exactly a bound are the interesting ones.
    values = [*values, *(bounds[pick % len(bounds)] for pick in picks)]
    histogram = twin.LatencyHistogram(bounds)
    for value in values:
        histogram.observe(value)
    counted = [value for value in values if not math.isnan(value)]
    expected = [0] * (len(bounds) + 1)
    for value in counted:
        expected[sum(bound < value for bound in bounds)] += 1
    assert list(histogram.counts) == expected
    assert histogram.count == len(counted) == sum(histogram.counts)
    total = 0.0
    for value in counted:
        total += value
    assert histogram.sum == total or (math.isnan(histogram.sum) and math.isnan(total))
    assert list(histogram.bounds) == bounds


def test_a_bound_belongs_to_its_own_bucket(kernel):
    histogram = kernel.LatencyHistogram((1, 2, 4))
    for size in (1, 2, 3, 4, 5):
        histogram.observe(size)
    assert list(histogram.counts) == [1, 1, 2, 1]
    assert (histogram.count, histogram.sum) == (5, 15.0)


def test_seconds_are_the_bounds_unless_others_are_named(kernel):
    histogram = kernel.LatencyHistogram()
    assert tuple(histogram.bounds) == LATENCY_BOUNDS
    for seconds in (0.00009, 0.003, 12.0):
        histogram.observe(seconds)
    found = [place for place, count in enumerate(histogram.counts) if count]
    assert found == [0, bisect_left(LATENCY_BOUNDS, 0.003), len(LATENCY_BOUNDS)]


def test_counts_are_a_copy(kernel):
    histogram = kernel.LatencyHistogram((1.0,))
    histogram.counts[0] = 5
    assert list(histogram.counts) == [0, 0]


def test_nan_is_ignored(kernel):
    histogram = kernel.LatencyHistogram((1.0,))
    histogram.observe(math.nan)
    assert (histogram.count, histogram.sum, list(histogram.counts)) == (0, 0.0, [0, 0])


@pytest.mark.parametrize("value", ["1", None, [], 1j])
def test_what_is_no_number_is_a_mistake_of_the_caller(kernel, value):
    histogram = kernel.LatencyHistogram((1.0,))
    with pytest.raises(TypeError):
        histogram.observe(value)
    assert histogram.count == 0


@pytest.mark.parametrize(
    "bounds", [(), (1.0, 1.0), (2.0, 1.0), (math.nan,), (1.0, math.nan), (math.nan, 1.0)]
)
def test_impossible_bounds_are_refused(kernel, bounds):
    with pytest.raises(ValueError, match="ascending"):
        kernel.LatencyHistogram(bounds)
