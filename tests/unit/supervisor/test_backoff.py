"""When a worker that died is started again."""

from fastchat.supervisor.backoff import LONGEST_DELAY, STEADY, Backoff


def test_first_death_costs_no_delay_and_each_next_one_twice_the_last():
    backoff = Backoff()
    assert [backoff.delay(0.0) for _ in range(5)] == [0.0, 0.25, 0.5, 1.0, 2.0]


def test_delay_has_a_bound_however_often_a_worker_dies():
    backoff = Backoff()
    assert max(backoff.delay(0.0) for _ in range(5000)) == LONGEST_DELAY


def test_worker_that_ran_well_starts_again_at_once():
    backoff = Backoff()
    for _ in range(4):
        backoff.delay(0.0)
    assert backoff.delay(STEADY - 0.1) > 0.0
    assert backoff.delay(STEADY) == 0.0
    assert backoff.delay(0.0) == 0.25
