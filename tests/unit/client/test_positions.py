"""How far conversations are known."""

from hypothesis import given
from hypothesis import strategies as st

from fastchat.client.positions import MOST_AHEAD, Mark, Positions
from fastchat.protocol.command import MOST_NAMED


@given(st.permutations(range(1, 12)))
def test_in_whatever_order_numbers_come_each_is_new_once_and_the_whole_is_known(numbers):
    mark = Mark()
    seen = set()
    for number in numbers:
        assert mark.note(number)
        assert not mark.note(number)
        seen.add(number)
        assert mark.whole == max(n for n in range(12) if set(range(1, n + 1)) <= seen)
    assert mark.ahead == set()


def test_what_came_ahead_of_a_gap_is_not_named_and_not_told_again():
    positions = Positions()
    positions.note_message("a", seq=1, rev=1)
    positions.note_message("a", seq=3, rev=4)
    assert (positions.named()["a"].seq, positions.named()["a"].rev) == (1, 1)
    assert positions.note_message("a", seq=2, rev=2)
    assert not positions.note_message("a", seq=3, rev=4)
    assert (positions.named()["a"].seq, positions.named()["a"].rev) == (3, 2)


def test_what_is_remembered_ahead_of_a_gap_is_bounded():
    mark = Mark()
    for number in range(2, 2 * MOST_AHEAD):
        mark.note(number)
    assert len(mark.ahead) == MOST_AHEAD
    mark.reach(5 * MOST_AHEAD)
    assert (mark.whole, mark.ahead) == (5 * MOST_AHEAD, set())


def test_names_those_that_moved_last():
    positions = Positions()
    for number in range(MOST_NAMED + 1):
        positions.note_change(str(number), 1)
    positions.note_change("0", 2)
    named = positions.named()
    assert len(named) == MOST_NAMED
    assert "0" in named
    assert "1" not in named


def test_those_that_the_javascript_client_saved_are_taken():
    positions = Positions({"conversations": {"a": {"seq": 1, "rev": 2}}})
    assert positions.state is None
    assert positions.knows("a")
    assert not positions.knows("b")


def test_what_is_missing_twice_is_not_waited_for():
    positions = Positions()
    positions.note_change("a", 1)
    positions.note_change("a", 3)
    assert positions.has_gaps
    positions.settle()
    assert positions.has_gaps
    positions.settle()
    assert not positions.has_gaps
    assert positions.named()["a"].rev == 3


def test_goes_on_where_it_was_saved():
    positions = Positions()
    positions.note_message("a", seq=1, rev=1)
    positions.note_message("b", seq=5, rev=9)  # nothing of it is known for sure
    positions.state = "s"
    saved = positions.save()
    assert saved == {"conversations": {"a": {"seq": 1, "rev": 1}}, "state": "s"}
    assert Positions(saved).save() == saved
