"""A thousand observations, on each twin of the kernel; divide by 1000."""

import pytest

from fastchat._speedups import histogram_c, histogram_py

SECONDS = [0.00005 * 1.013**index for index in range(1000)]  # 50 µs to 20 s


@pytest.mark.parametrize("kernel", [histogram_py, histogram_c], ids=["pure", "compiled"])
def test_a_thousand_observations(benchmark, kernel):
    histogram = kernel.LatencyHistogram()

    def observe():
        observe_one = histogram.observe
        for seconds in SECONDS:
            observe_one(seconds)

    benchmark(observe)
    assert histogram.count == sum(histogram.counts) > 0
    assert histogram.count % len(SECONDS) == 0
    assert all(histogram.counts)
