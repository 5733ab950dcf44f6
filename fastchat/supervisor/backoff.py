"""How long to wait before a worker that died is started again."""

FIRST_DELAY = 0.25  # seconds
LONGEST_DELAY = 5.0  # seconds; its share of new connections waits meanwhile
STEADY = 10.0  # seconds after which a worker counts as having run well


class Backoff:
    """No delay for the first death, then twice as long each time, until one ran well."""

    def __init__(self) -> None:
        """Begin without a failure."""
        self._failures = 0

    def delay(self, uptime: float) -> float:
        """Return the seconds to wait after a death.

        Args:
            uptime: Seconds since the worker was ready; 0.0 if it never was.
        """
        if uptime >= STEADY:
            self._failures = 0
        self._failures += 1
        if self._failures == 1:
            return 0.0
        # The exponent has a bound, so that it stays a float however often a worker died.
        return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(self._failures - 2, 30))
