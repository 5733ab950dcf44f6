import pytest

from fastchat.admission.limits import Limits
from fastchat.errors import RateLimited
from fastchat.interfaces import Session
from fastchat.slices import SLICE


class FakeUser:
    username = "alice"
    display_name = "Alice"

    def __init__(self, user_id):
        self.user_id = user_id


def join(limits, user_id="1"):
    """Begin a session of a user."""
    return Session(None, FakeUser(user_id), None, 1e9, limits.open_windows(user_id))


def send(limits, session, now, length=5, times=1):
    """Return how many messages are admitted."""
    admitted = 0
    for _ in range(times):
        try:
            limits.admit_message(session, length, now)
        except RateLimited:
            continue
        admitted += 1
    return admitted


def refuse(work, *arguments):
    with pytest.raises(RateLimited) as caught:
        work(*arguments)
    return caught.value


def test_a_user_may_send_as_many_messages_as_the_limit_within_a_minute():
    limits = Limits(240, 1200)
    session = join(limits)
    assert send(limits, session, 0.0, times=300) == 240
    assert limits.message_refusals == 60
    assert send(limits, session, 59.9) == 0
    assert send(limits, session, 60.0, times=300) == 240


@pytest.mark.parametrize(("length", "admitted"), [(500, 240), (501, 480)])
def test_a_long_message_is_admitted_by_twice_the_limit(length, admitted):
    limits = Limits(240, 1200)
    assert send(limits, join(limits), 0.0, length, times=1000) == admitted


def test_long_and_short_messages_count_in_the_same_window():
    limits = Limits(10, 1200)
    session = join(limits)
    assert send(limits, session, 0.0, 501, times=15) == 15
    assert send(limits, session, 1.0, 5) == 0
    assert send(limits, session, 1.0, 501, times=10) == 5


def test_the_devices_of_a_user_share_his_limit_and_others_have_their_own():
    limits = Limits(10, 1200)
    first, second, other = join(limits), join(limits), join(limits, "2")
    assert send(limits, first, 0.0, times=7) == 7
    assert send(limits, second, 0.0, times=7) == 3
    assert send(limits, other, 0.0, times=20) == 10


def test_a_connection_is_limited_even_when_its_user_was_forgotten():
    limits = Limits(10, 1200)
    session = join(limits)
    assert send(limits, session, 0.0, times=10) == 10
    # A window made anew must not let the same connection send more.
    session.message_window = limits.open_windows("2")[0]
    assert send(limits, session, 1.0) == 0
    assert session.message_window.is_idle(1.0)


def test_the_wait_is_whole_seconds_after_which_one_message_passes():
    limits = Limits(2, 1200)
    session = join(limits)
    for now in (0.0, 10.5):
        limits.admit_message(session, 5, now)
    error = refuse(limits.admit_message, session, 5, 20.25)
    assert error.retry_after == 40  # 39.75, rounded up
    limits.admit_message(session, 5, 20.25 + error.retry_after)
    assert refuse(limits.admit_message, session, 5, 70.4).retry_after == 1


def test_what_is_refused_does_not_count():
    limits = Limits(1, 1)
    session = join(limits)
    limits.admit_message(session, 5, 0.0)
    limits.admit_command(session.command_window, 0.0)
    for now in (10.0, 59.0):
        refuse(limits.admit_message, session, 5, now)
        refuse(limits.admit_command, session.command_window, now)
    limits.admit_message(session, 5, 60.0)
    limits.admit_command(session.command_window, 60.0)


def test_commands_have_a_window_of_their_own_that_devices_share():
    limits = Limits(1, 3)
    first, second = join(limits), join(limits)
    limits.admit_message(first, 5, 0.0)
    for session in (first, second, first):
        limits.admit_command(session.command_window, 0.0)
    error = refuse(limits.admit_command, second.command_window, 30.0)
    assert (error.code, error.retry_after) == ("RATE_LIMIT_EXCEEDED", 30)
    assert (limits.command_refusals, limits.message_refusals) == (1, 0)


def test_a_connection_without_a_session_has_a_window_for_itself():
    limits = Limits(1, 2)
    window, other = limits.open_command_window(), limits.open_command_window()
    for _ in range(2):
        limits.admit_command(window, 0.0)
    refuse(limits.admit_command, window, 0.0)
    limits.admit_command(other, 0.0)


def test_leaving_and_coming_back_does_not_renew_the_limit():
    limits = Limits(10, 1200)
    assert send(limits, join(limits), 0.0, times=10) == 10
    assert sum(limits.sweep(30.0, lambda _: False)) == 0
    assert send(limits, join(limits), 30.0) == 0


def test_only_users_without_session_and_stamps_are_forgotten():
    limits = Limits(10, 1200)
    for user_id in ("1", "2", "3"):
        session = join(limits, user_id)
        limits.admit_message(session, 5, 0.0)
    limits.admit_command(session.command_window, 50.0)
    assert sum(limits.sweep(60.0, {"1"}.__contains__)) == 1  # "2"; "3" has sent a command
    assert sum(limits.sweep(110.0, {"1"}.__contains__)) == 1
    assert sum(limits.sweep(1000.0, lambda _: False)) == 1


def test_a_sweep_goes_slice_by_slice_and_leaves_who_comes_meanwhile():
    limits = Limits(10, 10)
    users = [str(number) for number in range(2 * SLICE + 1)]
    for user in users:
        limits.open_windows(user)
    here = set()
    sweep = limits.sweep(0.0, here.__contains__)
    assert next(sweep) == SLICE
    here.add(users[-1])
    assert list(sweep) == [SLICE, 0]
