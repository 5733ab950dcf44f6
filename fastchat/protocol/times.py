"""Times on the wire: ISO 8601 in UTC with milliseconds. Hot path.

Inside, a time of day is epoch seconds as ``float``.
"""

from datetime import UTC, datetime
from functools import lru_cache

LAST_MILLIS = 253402300799_999  # of the year 9999
_END = 253402300799.9995  # from here on, rounding would reach the year 10000
_MILLIS = tuple(f"{millis:03d}Z" for millis in range(1000))


def iso_time(seconds: float) -> str:
    """Return ``2024-01-15T10:30:00.123Z`` for epoch seconds.

    What lies outside of the years 1970 to 9999 becomes the nearest of their moments.
    """
    # The same sum as in epoch_millis: a call would cost a third of this function.
    if 0.0 <= seconds < _END:
        millis = int(seconds * 1e6 + 0.5) // 1000
    else:
        millis = epoch_millis(seconds)
    return _second(millis // 1000) + _MILLIS[millis % 1000]


def epoch_millis(seconds: float) -> int:
    """Return whole milliseconds since 1970, from 0 to the last one of the year 9999.

    Fractions of a millisecond are cut off.
    """
    # A float of today has steps of 0.24 microseconds. Rounded to microseconds it is again what
    # PostgreSQL had, so that .123 does not become .122.
    if 0.0 <= seconds < _END:
        return int(seconds * 1e6 + 0.5) // 1000
    return LAST_MILLIS if seconds > 0.0 else 0


# Many messages share their second, and a page of history is soon asked for again.
@lru_cache(maxsize=4096)
def _second(whole: int) -> str:
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
