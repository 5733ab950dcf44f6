"""The newest pages that are kept in memory."""

import pytest

from fastchat.handlers.recent import MOST_KEPT, RecentPage, RecentPages

PAGE = RecentPage([b"1", b"2", b"3"], True)
WHOLE = RecentPage([b"1", b"2", b"3"], False)


@pytest.fixture
def recent():
    return RecentPages(age=300.0, idle_age=1800.0)


def keep(recent, page, room_id=7, user_id="1", now=0.0):
    recent.put(recent.begin(room_id), room_id, user_id, page, now)


def test_a_page_is_served_to_its_reader_only(recent):
    keep(recent, PAGE)
    assert recent.get(7, "1", 3, 0.0) == PAGE
    assert recent.get(7, "2", 3, 0.0) is None
    assert recent.get(8, "1", 3, 0.0) is None
    assert (recent.hits, recent.misses) == (1, 2)


def test_a_smaller_page_is_its_newest_part(recent):
    keep(recent, WHOLE)
    assert recent.get(7, "1", 2, 0.0) == ([b"2", b"3"], True)
    assert recent.get(7, "1", 3, 0.0) == ([b"1", b"2", b"3"], False)


def test_a_larger_page_is_only_there_when_the_room_has_no_more(recent):
    keep(recent, PAGE)
    assert recent.get(7, "1", 4, 0.0) is None
    keep(recent, WHOLE)
    assert recent.get(7, "1", 50, 0.0) == WHOLE


def test_a_change_drops_the_pages_of_all_readers(recent):
    keep(recent, PAGE)
    keep(recent, PAGE, user_id="2")
    keep(recent, PAGE, room_id=8)
    recent.forget(7)
    assert recent.get(7, "1", 1, 0.0) is None
    assert recent.get(7, "2", 1, 0.0) is None
    assert recent.get(8, "1", 1, 0.0) is not None
    assert recent.size == 3 + 200


def test_a_page_that_was_read_before_a_change_is_not_kept(recent):
    ticket = recent.begin(7)
    recent.forget(7)
    later = recent.begin(7)
    recent.put(ticket, 7, "1", PAGE, 0.0)
    assert recent.get(7, "1", 1, 0.0) is None
    recent.put(later, 7, "1", PAGE, 0.0)
    assert recent.get(7, "1", 1, 0.0) is not None


def test_a_page_that_could_not_be_read_leaves_nothing_behind(recent):
    recent.put(recent.begin(7), 7, "1", None, 0.0)
    assert recent.get(7, "1", 1, 0.0) is None
    assert recent._readings == {}


def test_an_old_page_is_read_again(recent):
    keep(recent, PAGE)
    assert recent.get(7, "1", 1, 299.0) is not None
    assert recent.get(7, "1", 1, 300.0) is None


def test_pages_that_nobody_uses_are_swept(recent):
    keep(recent, PAGE)
    keep(recent, PAGE, room_id=8, now=100.0)
    recent.get(7, "1", 1, 200.0)
    assert sum(recent.sweep(1899.0)) == 0
    assert sum(recent.sweep(1900.0)) == 1
    assert len(recent) == 1
    assert sum(recent.sweep(2000.0)) == 1
    assert recent.size == 0


def test_the_page_that_was_used_longest_ago_leaves_first():
    recent = RecentPages(capacity=8 * 300)
    page = RecentPage([b"x" * 90], False)
    for room_id in range(1, 9):
        keep(recent, page, room_id=room_id)
    recent.get(1, "1", 1, 0.0)
    keep(recent, page, room_id=9)
    assert recent.size <= 8 * 300
    assert recent.get(1, "1", 1, 0.0) is not None
    assert recent.get(2, "1", 1, 0.0) is None


def test_too_large_a_page_is_not_kept(recent):
    keep(recent, RecentPage([b"1"] * (MOST_KEPT + 1), False))
    assert recent.get(7, "1", 1, 0.0) is None
    small = RecentPages(capacity=8000)
    keep(small, RecentPage([b"x" * 2000], False))
    assert small.get(7, "1", 1, 0.0) is None
    assert small.size == 0
