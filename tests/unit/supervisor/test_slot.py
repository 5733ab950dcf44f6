"""One worker's slot, with processes that are only noted."""

import signal

import pytest

from fastchat.supervisor.backoff import Backoff
from fastchat.supervisor.slot import Process, Slot

PATIENCE = 5.0


class FakeProcess(Process):
    """Keeps the signals that it was sent."""

    def __init__(self, run):
        super().__init__(pid=0, run=run, seat=run, reports=-1)
        self.sent = []

    def send(self, number):
        self.sent.append(number)


class Started:
    """Every process that the slot has started, in order."""

    def __init__(self):
        self.processes = []
        self.fails = False

    def __call__(self, worker):
        if self.fails:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        self.processes.append(FakeProcess(len(self.processes) + 1))
        return self.processes[-1]


@pytest.fixture
def started():
    return Started()


@pytest.fixture
def slot(started):
    """A slot whose first process is ready since 0.0."""
    slot = Slot(1, started, Backoff())
    slot.tick(0.0)
    slot.note_ready(slot.current, 0.0, PATIENCE)
    return slot


def test_process_that_dies_is_followed_by_another_after_the_delay(slot, started):
    assert slot.note_end(slot.current, 1.0) == 0.0
    slot.tick(1.0)
    assert slot.note_end(slot.current, 2.0) == 0.25
    slot.tick(2.2)
    assert slot.current is None
    assert slot.next_deadline() == 2.25
    slot.tick(2.25)
    assert slot.current is started.processes[2]
    assert slot.next_deadline() is None


def test_old_process_is_asked_to_end_when_the_new_one_is_ready(slot, started):
    old = slot.current
    slot.roll()
    assert (slot.current, old.sent) == (old, [])
    new = started.processes[1]
    slot.note_ready(new, 3.0, PATIENCE)
    assert (slot.current, slot.leaving, old.sent) == (new, old, [signal.SIGTERM])
    assert slot.note_end(old, 4.0) is None
    assert not slot.is_rolling
    slot.tick(5.0)
    assert len(started.processes) == 2


def test_successor_that_does_not_start_leaves_the_old_process_in_place(slot):
    old = slot.current
    slot.roll()
    assert slot.note_end(slot.coming, 1.0) is None
    assert slot.has_failed_roll
    assert not slot.is_rolling
    assert (slot.current, old.sent) == (old, [])


def test_successor_takes_over_early_when_the_old_process_dies(slot, started):
    slot.roll()
    assert slot.note_end(slot.current, 1.0) is None
    assert slot.current is started.processes[1]
    assert not slot.is_ready
    slot.note_ready(slot.current, 2.0, PATIENCE)
    assert slot.is_ready
    assert not slot.is_rolling


def test_stop_asks_all_processes_to_end_once_and_starts_no_more(slot, started):
    slot.roll()
    slot.note_ready(slot.coming, 1.0, PATIENCE)
    slot.stop(2.0, PATIENCE)
    slot.stop(3.0, PATIENCE)
    assert [process.sent for process in started.processes] == [[signal.SIGTERM]] * 2
    for process in started.processes:
        assert slot.note_end(process, 3.0) is None
    slot.tick(100.0)
    assert len(started.processes) == 2
    assert not slot.was_killed


def test_process_that_does_not_end_in_time_is_killed(slot):
    slot.stop(2.0, PATIENCE)
    slot.tick(2.0 + PATIENCE - 0.1)
    assert slot.current.sent == [signal.SIGTERM]
    slot.tick(2.0 + PATIENCE)
    assert slot.current.sent == [signal.SIGTERM, signal.SIGKILL]
    assert slot.was_killed


def test_process_that_was_not_asked_to_end_is_never_killed(slot):
    slot.tick(1e6)
    assert slot.current.sent == []


def test_process_that_the_system_has_no_room_for_is_started_later(slot, started):
    started.fails = True
    slot.note_end(slot.current, 1.0)
    slot.tick(1.0)
    assert (slot.current, slot.next_deadline()) == (None, 1.25)
    slot.tick(1.25)
    assert slot.next_deadline() == 1.75
    started.fails = False
    slot.tick(1.75)
    assert slot.current is started.processes[-1]


def test_successor_that_the_system_has_no_room_for_leaves_the_old_process_in_place(slot, started):
    old = slot.current
    started.fails = True
    slot.roll()
    assert (slot.current, slot.is_rolling, slot.has_failed_roll) == (old, False, True)
