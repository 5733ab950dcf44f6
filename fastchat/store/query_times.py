"""How long queries take, counted by the caller's name for them."""

from bisect import bisect_left

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)  # seconds


class QueryTimes:
    """Observations per bucket; the last bucket is everything above the last bound.

    Attributes:
        bounds: Upper bounds in seconds, inclusive, ascending.
        counts: Observations per bucket, not cumulated; one more than ``bounds``.
        sum: Seconds of all observations.
        count: Number of observations.
    """

    __slots__ = ("bounds", "count", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...] = BOUNDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self.count = 0

    def observe(self, seconds: float) -> None:
        """Count one query."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds
        self.count += 1
