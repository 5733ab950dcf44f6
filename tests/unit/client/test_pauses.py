"""What follows which end of a connection."""

import pytest

from fastchat.client.pauses import ABNORMAL, Ending, full_jitter, is_final, pause
from tests.functional.browser.control import close_codes


@pytest.mark.parametrize(
    ("code", "reason", "final"),
    [
        (1000, "Connection timeout", False),
        (1001, "", False),
        (1002, "", True),
        (1003, "", True),
        (ABNORMAL, "the connection was cut", False),
        (1007, "", True),
        (1008, "Invalid IP address", True),
        (1008, "Too many fragments", True),
        (1008, "Connection limit exceeded", False),
        (1008, "Rate limit exceeded", False),
        (1008, "Authentication timeout", False),
        (1009, "", False),
        (1011, "", False),
        (1012, "", False),
        (1013, "Slow consumer", False),
        (4000, "of somebody in between", False),
    ],
)
def test_only_what_would_end_the_same_way_again_is_final(code, reason, final):
    assert is_final(Ending(code, reason)) is final


def test_what_is_final_is_as_the_table_of_the_protocol_says():
    rows = close_codes()
    assert len(rows) > 10
    for row in rows:
        assert is_final(Ending(row["code"], row["reason"])) is row["final"], row


@pytest.mark.parametrize(
    ("status", "final"), [(401, True), (403, True), (502, False), (503, False)]
)
def test_a_refused_handshake_is_final_when_it_says_who_may_not(status, final):
    assert is_final(Ending(ABNORMAL, "", status=status)) is final


@pytest.mark.parametrize(
    ("ending", "attempt", "seconds"),
    [
        (Ending(ABNORMAL, ""), 0, 0.5),
        (Ending(1013, "Too many connections"), 3, 3.5),
        (Ending(1001, "", retry_after=4.0, is_drained=True), 0, 4.0),
        (Ending(1001, "", retry_after=0.0, is_drained=True), 0, 0.0),
        (Ending(1001, "", retry_after=4.0, is_drained=True), 5, 4.0),
        (Ending(1000, "Connection timeout"), 0, 0.5),
        (Ending(1012, ""), 0, 0.0),
        (Ending(1012, ""), 2, 2.5),
        (Ending(1008, "Authentication timeout"), 0, 0.0),
        (Ending(1008, "Connection limit exceeded"), 0, 30.5),
        (Ending(1008, "Rate limit exceeded"), 9, 39.5),
        (Ending(1008, "Disconnected by the service"), 0, 0.5),
        (Ending(ABNORMAL, "no database", retry_after=7.0), 0, 7.5),
    ],
)
def test_pauses_as_the_server_asks_and_longer_with_each_try(ending, attempt, seconds):
    assert pause(ending, attempt, lambda attempt: attempt + 0.5) == seconds


@pytest.mark.parametrize("row", close_codes(), ids=lambda row: f"{row['code']} {row['reason']}")
def test_the_first_pause_is_as_the_table_of_the_protocol_says(row):
    seconds = pause(Ending(row["code"], row["reason"]), 0, lambda attempt: attempt + 0.5)
    assert seconds == row["least"] + (0.0 if row["at_once"] else 0.5)


def test_backs_off_over_a_span_that_grows_from_1_s_to_30_s():
    for attempt, most in [(0, 1.0), (1, 2.0), (4, 16.0), (5, 30.0), (1000, 30.0)]:
        delays = [full_jitter(attempt) for _ in range(200)]
        assert 0.0 <= min(delays) < most / 4
        assert most * 3 / 4 < max(delays) <= most
