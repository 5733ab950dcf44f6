import pytest

from fastchat.hub.typing import TypingStates


@pytest.fixture
def ended():
    return []


@pytest.fixture
def states(ended):
    return TypingStates(ended.append, silence=3.0)


def test_a_state_ends_after_silence(states, ended):
    states.switch_on("a", 10.0)
    assert states.sweep(12.999) == 0
    assert states.sweep(13.0) == 1
    assert ended == ["a"]
    assert len(states) == 0


def test_a_renewed_state_lasts_longer(states, ended):
    states.switch_on("a", 0.0)
    states.switch_on("b", 1.0)
    states.switch_on("a", 2.0)
    assert states.next_deadline == 4.0
    assert states.sweep(4.0) == 1
    assert ended == ["b"]
    assert states.sweep(5.0) == 1
    assert ended == ["b", "a"]


def test_a_forgotten_state_ends_silently(states, ended):
    states.switch_on("a", 0.0)
    assert states.forget("a")
    assert not states.forget("a")
    assert states.sweep(100.0) == 0
    assert ended == []
    assert states.next_deadline is None
