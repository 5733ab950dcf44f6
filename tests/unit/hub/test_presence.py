from dataclasses import dataclass

import pytest

from fastchat.hub.presence import Presence

GRACE = 60.0


@dataclass(frozen=True)
class FakeUser:
    user_id: str
    username: str = "name"
    display_name: str = "Name"


ALICE = FakeUser("1")


@pytest.fixture
def told():
    return []


@pytest.fixture
def presence(told):
    return Presence(GRACE, lambda user, is_online: told.append((user.user_id, is_online)))


def test_a_first_session_is_announced_once(presence, told):
    presence.arrive(ALICE)
    presence.arrive(ALICE)
    assert told == [("1", True)]
    assert presence.is_online("1")


def test_a_user_counts_as_online_until_the_grace_period_ends(presence, told):
    presence.arrive(ALICE)
    presence.leave("1", now=100.0)
    assert presence.sweep(100.0 + GRACE - 0.001) == 0
    assert presence.is_online("1")
    assert presence.sweep(100.0 + GRACE) == 1
    assert not presence.is_online("1")
    assert told == [("1", True), ("1", False)]


def test_nobody_is_told_of_a_user_who_came_back_within_the_grace_period(presence, told):
    presence.arrive(ALICE)
    presence.leave("1", now=0.0)
    presence.arrive(ALICE)
    assert presence.sweep(10 * GRACE) == 0
    assert told == [("1", True)]


def test_a_later_departure_moves_the_deadline(presence, told):
    presence.arrive(ALICE)
    presence.leave("1", now=0.0)
    presence.arrive(ALICE)
    presence.leave("1", now=30.0)
    assert presence.sweep(GRACE) == 0
    assert presence.sweep(30.0 + GRACE) == 1
    assert told == [("1", True), ("1", False)]


def test_the_peak_stays_when_users_leave(presence):
    presence.arrive(ALICE)
    presence.arrive(FakeUser("2"))
    presence.leave("1", now=0.0)
    presence.sweep(GRACE)
    assert (presence.users_online, presence.peak_users) == (1, 2)
    assert [user.user_id for user in presence.users()] == ["2"]
