"""When a line of samples counts as growing."""

import random

import pytest

from loadtests.soak import grown, trend

MINUTES = [number / 12 for number in range(240)]  # a sample every 5 s for 20 minutes


def noise(seed=1):
    source = random.Random(seed)
    return [source.gauss(0, 200) for _ in MINUTES]


def test_noise_does_not_grow():
    assert not trend(MINUTES, [60_000 + one for one in noise()]).grows(64.0)


def test_a_leak_within_the_noise_of_single_samples_grows():
    leaking = [60_000 + one + 100 * at for one, at in zip(noise(), MINUTES, strict=True)]
    found = trend(MINUTES, leaking)
    assert found.slope == pytest.approx(100, abs=10)
    assert found.grows(64.0)


def test_what_shrinks_does_not_grow():
    assert not trend(MINUTES, [60_000 - 100 * at for at in MINUTES]).grows(64.0)


def test_a_line_needs_three_samples():
    with pytest.raises(ValueError, match="2 samples"):
        trend([0, 1], [1, 2])


def test_says_what_is_left_of_those_who_have_gone():
    before = dict.fromkeys(
        (
            "descriptors",
            "listeners",
            "threads",
            "fastchat_lane_depth",
            "fastchat_events_waiting",
            "fastchat_pool_waiting",
            "fastchat_tasks",
        ),
        5.0,
    )
    assert grown(before, before | {"descriptors": 12.0, "threads": 4.0}) == []
    assert grown(before, before | {"listeners": 6.0, "fastchat_tasks": 7.0}) == [
        "listeners: 5 before, 6 after",
        "fastchat_tasks: 5 before, 7 after",
    ]
