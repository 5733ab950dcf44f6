"""The sampler of the event loop's lateness, on a loop whose clock the test turns."""

import pytest

from fastchat.telemetry.lag import LoopLag


class FakeLoop:
    def __init__(self):
        self.now = 100.0
        self.timers = []

    def time(self):
        return self.now

    def call_at(self, when, callback, *args):
        timer = FakeTimer(when, callback, args)
        self.timers.append(timer)
        return timer

    def run_next(self, late=0.0):
        timer = self.timers.pop(0)
        if not timer.cancelled:
            self.now = timer.when + late
            timer.callback(*timer.args)


class FakeTimer:
    def __init__(self, when, callback, args):
        self.when, self.callback, self.args, self.cancelled = when, callback, args, False

    def cancel(self):
        self.cancelled = True


def test_lateness_of_the_timer_is_the_lag():
    loop, lag = FakeLoop(), LoopLag(interval=0.5)
    lag.start(loop)
    loop.run_next(late=0.2)
    assert lag.latest == pytest.approx(0.2)
    loop.run_next(late=0.01)
    assert (lag.latest, lag.worst) == (pytest.approx(0.01), pytest.approx(0.2))


def test_old_samples_leave_the_worst_figure():
    loop, lag = FakeLoop(), LoopLag(interval=0.5, keep=2.0)
    lag.start(loop)
    loop.run_next(late=3.0)
    for _ in range(4):
        loop.run_next()
    assert lag.worst == pytest.approx(0.0)


def test_nothing_is_sampled_after_the_stop():
    loop, lag = FakeLoop(), LoopLag()
    lag.start(loop)
    lag.stop()
    loop.run_next(late=1.0)
    assert (lag.latest, lag.worst, loop.timers) == (0.0, 0.0, [])
