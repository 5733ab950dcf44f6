"""What is missing, doubled or out of order is counted, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from fastchat.bench.peer import SeenMessage
from fastchat.bench.tally import Tally


def message(seq, conversation="c"):
    return SeenMessage(conversation_id=conversation, sender_id="1", seq=seq)


def tally_of(*numbers):
    tally = Tally()
    for seq in numbers:
        tally.note("2", message(seq))
    return tally


def test_what_comes_in_order_is_right_wherever_it_begins():
    assert tally_of(5, 6, 7).report() == {"lost": 0, "duplicated": 0, "out of order": 0}


def test_what_does_not_come_is_lost():
    assert tally_of(1, 2, 5).report() == {"lost": 2, "duplicated": 0, "out of order": 0}


def test_what_comes_after_its_successor_is_out_of_order_and_not_lost():
    assert tally_of(1, 3, 2).report() == {"lost": 0, "duplicated": 0, "out of order": 1}


def test_what_comes_twice_is_duplicated():
    assert tally_of(1, 2, 2).report() == {"lost": 0, "duplicated": 1, "out of order": 0}


def test_what_was_read_from_the_history_may_come_live_once_as_well():
    tally = tally_of(1, 4)
    for seq in (2, 3, 4, 5):
        tally.note_missed("2", message(seq))
    assert tally.report() == {"lost": 0, "duplicated": 0, "out of order": 0}
    assert not tally.note("2", message(5))
    assert tally.duplicated == 0
    assert not tally.note("2", message(5))
    assert tally.duplicated == 1


def test_knows_up_to_where_nothing_is_missing():
    tally = tally_of(1, 2, 5)
    tally.note("2", message(7, "d"))
    tally.note("3", message(9, "d"))
    assert tally.known("2") == {"c": 2, "d": 7}
    assert tally.known("4") == {}


def test_what_is_below_the_first_one_is_out_of_order_and_not_doubled():
    tally = tally_of(5, 3)
    assert tally.report() == {"lost": 1, "duplicated": 0, "out of order": 1}
    assert tally.known("2") == {"c": 3}
    assert not tally.note("2", message(3))
    assert tally.note("2", message(4))
    assert tally.report() == {"lost": 0, "duplicated": 1, "out of order": 2}


def test_what_was_read_below_the_first_one_is_known():
    tally = tally_of(10)
    tally.note_missed("2", message(8))
    tally.note_missed("2", message(9))
    assert tally.report() == {"lost": 0, "duplicated": 0, "out of order": 0}
    assert not tally.note("2", message(9))
    assert tally.note("2", message(7))
    assert tally.report() == {"lost": 0, "duplicated": 0, "out of order": 1}
    assert tally.known("2") == {"c": 10}


@given(st.lists(st.integers(1, 30), min_size=1))
def test_every_arrival_is_counted_once(numbers):
    tally = tally_of(*numbers)
    assert tally.duplicated == len(numbers) - len(set(numbers))
    assert tally.lost == max(numbers) - min(numbers) + 1 - len(set(numbers))
