"""Histograms with fixed buckets: the reference of ``histogram_c``. Hot path."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from math import isnan

# Seconds: four steps per factor of ten, from a tenth of a millisecond to ten seconds.
LATENCY_BOUNDS = (
    *(0.0001, 0.00018, 0.00032, 0.00056),
    *(0.001, 0.0018, 0.0032, 0.0056),
    *(0.01, 0.018, 0.032, 0.056),
    *(0.1, 0.18, 0.32, 0.56),
    *(1.0, 1.8, 3.2, 5.6),
    10.0,
)


class LatencyHistogram:
    """Counts observations per bucket; a bucket holds what is not above its upper bound.

    Attributes:
        count: Number of observations.
        sum: Sum of all observations.
    """

    __slots__ = ("_bounds", "_counts", "count", "sum")

    def __init__(self, bounds: Sequence[float] = LATENCY_BOUNDS) -> None:
        """Take the upper bounds of the buckets; what is above the last has one more.

        Raises:
            ValueError: no bounds, or not in ascending order.
        """
        found = tuple(map(float, bounds))
        ascending = all(lower < upper for lower, upper in pairwise(found))
        if not found or not ascending or found[0] != found[0]:
            raise ValueError(f"bounds={found}: expected at least one, in ascending order")
        self._bounds = found
        self._counts = [0] * (len(found) + 1)
        self.count = 0
        self.sum = 0.0

    @property
    def bounds(self) -> tuple[float, ...]:
        """Upper bounds, inclusive; one fewer than ``counts``."""
        return self._bounds

    @property
    def counts(self) -> list[int]:
        """Observations per bucket, not cumulated; a copy."""
        return self._counts.copy()

    def observe(self, value: float) -> None:
        """Count one observation: seconds, or whatever the bounds are in. NaN is ignored."""
        if isnan(value):
            return
        self._counts[bisect_left(self._bounds, value)] += 1
        self.count += 1
        self.sum += value
