from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastchat.protocol.times import LAST_MILLIS, epoch_millis, iso_time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST = "9999-12-31T23:59:59.999Z"


@given(moment=st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC)))
@example(moment=datetime(2024, 1, 15, 10, 30, 0, 123000, UTC))
@example(moment=datetime(2024, 2, 29, 23, 59, 59, 999999, UTC))
def test_a_moment_of_the_database_keeps_its_milliseconds(moment):
    # What date_part('epoch', ...) gives: the nearest float.
    seconds = (moment - EPOCH) / timedelta(seconds=1)
    if moment.year > 2105:  # from 2**32 s on a float no longer holds each microsecond
        moment = moment.replace(microsecond=0)
        seconds = (moment - EPOCH) / timedelta(seconds=1)
    expected = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert iso_time(seconds) == expected
    assert epoch_millis(seconds) == (moment - EPOCH) // timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (-1.0, "1970-01-01T00:00:00.000Z"),
        (float("-inf"), "1970-01-01T00:00:00.000Z"),
        (float("nan"), "1970-01-01T00:00:00.000Z"),
        (253402300799.9999, LAST),
        (1e18, LAST),
        (float("inf"), LAST),
    ],
)
def test_impossible_times_become_the_nearest_possible(seconds, text):
    assert iso_time(seconds) == text
    assert epoch_millis(seconds) == (LAST_MILLIS if text == LAST else 0)
