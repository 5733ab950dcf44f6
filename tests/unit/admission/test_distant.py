"""Hosts that tell each other what they counted, on time that the tests pass in."""

import pytest

from fastchat.admission.connections import ConnectionRefused, ConnectionRules
from fastchat.admission.distant import PART, AddressCounts, UserCounts
from fastchat.admission.ledger import OwnLedger, SharedLedger
from fastchat.admission.limits import Limits
from fastchat.admission.table import WindowTable
from fastchat.errors import RateLimited
from fastchat.interfaces import Session

USER = "1"
IP, OTHER = "192.0.2.1", "192.0.2.2"
LONG = 501


@pytest.fixture
def table():
    table = WindowTable(seats=4)
    yield table
    table.close()


@pytest.fixture(params=["own", "shared"])
def ledger(request, table):
    return OwnLedger() if request.param == "own" else SharedLedger(table, seat=1, run=1)


class FakeUser:
    user_id = USER
    username = display_name = "alice"


class Worker:
    """The limits of a worker, one session of the user, and what is told of him."""

    def __init__(self, ledger=None, messages=5, commands=5):
        self.limits = Limits(messages, commands, ledger)
        self.session = Session(None, FakeUser(), None, 1e9, self.limits.open_windows(USER))
        self.counts = UserCounts(self.limits)

    def send(self, now, times=1, length=5):
        """Return how many messages are admitted."""
        admitted = 0
        for _ in range(times):
            try:
                self.limits.admit_message(self.session, length, now)
            except RateLimited:
                continue
            admitted += 1
        return admitted

    def tell(self, other, now):
        """Tell another host what was counted since."""
        other.counts.add(USER, *self.counts.collect(USER), now)

    def tell_all(self, other, now):
        """Tell another host what was ever counted."""
        other.counts.merge(USER, *self.counts.recall(USER, now), now)


def test_what_is_told_counts_as_if_it_had_been_done_here(ledger):
    here, there = Worker(ledger), Worker()
    here.counts.watch(USER)
    assert here.send(0.0, 3) == 3
    assert here.counts.changed() == [USER]
    here.tell(there, 0.1)
    assert here.counts.changed() == []
    assert there.send(0.2, 5) == 2
    assert there.send(60.0, 5) == 0
    assert there.send(60.1, 5) == 3


def test_what_was_told_is_told_once_and_not_told_back(ledger):
    here, there = Worker(ledger), Worker()
    for worker in (here, there):
        worker.counts.watch(USER)
    here.send(0.0, 2)
    there.send(0.0, 1)
    here.tell(there, 0.1)
    assert there.counts.collect(USER) == (1, 0)
    assert there.counts.collect(USER) == (0, 0)
    here.limits.admit_command(here.session.command_window, 0.2)
    assert here.counts.collect(USER) == (0, 1)


def test_what_both_counted_at_once_is_told_to_both_and_holds_on(ledger):
    here, there = Worker(ledger), Worker()
    for worker in (here, there):
        worker.counts.watch(USER)
        assert worker.send(0.0, 5) == 5
    here.tell(there, 0.1)
    there.tell(here, 0.1)
    for worker in (here, there):
        assert worker.send(0.2) == 0
        assert worker.send(0.2, 10, LONG) == 0
        assert worker.counts.collect(USER) == (0, 0)


def test_only_those_who_are_watched_are_told_of_and_from_then_on(ledger):
    here = Worker(ledger)
    here.send(0.0)
    assert here.counts.changed() == []
    assert here.counts.collect(USER) == (0, 0)
    here.counts.watch(USER)
    assert here.counts.collect(USER) == (0, 0)
    here.send(1.0)
    here.counts.watch(USER)
    assert here.counts.collect(USER) == (1, 0)
    here.counts.forget(USER)
    here.send(2.0)
    assert here.counts.collect(USER) == (0, 0)
    here.counts.watch("2")
    assert here.counts.watched() == []


def test_who_comes_to_another_host_brings_what_he_did_with_its_age(ledger):
    here, there = Worker(ledger), Worker()
    for now in (0.0, 10.0, 20.0):
        here.send(now)
    here.tell_all(there, 30.0)
    assert there.send(30.0, 5) == 2
    for now in (60.0, 70.0, 80.0):
        assert there.send(now, 5) == 1


def test_hearing_the_same_again_changes_nothing(ledger):
    here, there = Worker(), Worker(ledger)
    here.send(0.0, 2)
    for _ in range(3):
        here.tell_all(there, 1.0)
        there.tell_all(here, 1.0)
    for worker in (here, there):
        assert worker.send(1.0, 5) == 3


def test_what_happened_after_he_left_a_host_is_added_when_he_comes_back(ledger):
    here, there = Worker(ledger), Worker()
    here.send(0.0, 2)
    here.tell_all(there, 1.0)
    there.send(2.0, 2)
    there.tell_all(here, 3.0)
    assert here.send(3.0, 5) == 1
    assert here.send(60.0, 5) == 2


def test_a_worker_that_never_asked_knows_what_its_host_was_told(table):
    there, here = Worker(), [Worker(SharedLedger(table, seat, seat)) for seat in (1, 2)]
    there.send(0.0, 2)
    for worker in here:
        there.tell_all(worker, 1.0)
    assert here[0].send(1.0, 5) == 3
    assert here[1].send(1.0, 5) == 0


def test_what_is_told_of_a_user_who_is_not_here_is_dropped(ledger):
    worker = Worker(ledger)
    worker.counts.add("2", 1, 1, 0.0)
    worker.counts.merge("2", [0.0], [0.0], 0.0)
    assert worker.counts.recall("2", 0.0) == ([], [])


def refuses(rules, now=0.0, ip=IP):
    """Whether one more connection is refused for those that there are."""
    before = rules.connection_refusals
    try:
        rules.open(ip, now)
    except ConnectionRefused:
        return rules.connection_refusals > before
    rules.close(ip)
    return False


def test_connections_on_other_hosts_count_until_they_are_gone(ledger):
    rules = ConnectionRules(50, 3, 3000, ledger)
    counts = AddressCounts(rules)
    counts.take("a.1", [(IP, 1, 1)], 0.0, is_all=False)
    counts.take("b.1", [(IP, 1, 1)], 0.0, is_all=False)
    rules.open(IP, 0.0)
    assert refuses(rules)
    counts.take("a.1", [(IP, 0, 0)], 0.0, is_all=False)
    assert not refuses(rules)
    counts.take("a.1", [(IP, 2, 1)], 0.0, is_all=False)
    assert refuses(rules)
    counts.forget("a.1")
    assert counts.is_due
    counts.settle(0.0)
    assert not counts.is_due
    assert not refuses(rules)
    assert rules.distant_by_ip == {IP: 1}


def test_all_workers_of_the_host_see_what_one_was_told(table):
    told, other = (ConnectionRules(50, 3, 4, SharedLedger(table, seat, seat)) for seat in (1, 2))
    counts = AddressCounts(told)
    counts.take("a.1", [(IP, 2, 2)], 0.0, is_all=False)
    other.open(IP, 0.0)
    assert refuses(other)
    assert refuses(told)
    counts.take("a.1", [(IP, 0, 0)], 0.0, is_all=False)
    told.open(IP, 0.0)
    with pytest.raises(ConnectionRefused, match="Rate limit exceeded"):
        other.open(IP, 0.0)


def test_what_is_told_anew_replaces_what_was_told_before():
    rules = ConnectionRules(50, 3, 3000)
    counts = AddressCounts(rules)
    counts.take("a.1", [(IP, 3, 3), (OTHER, 3, 3)], 0.0, is_all=False)
    counts.take("a.1", [(OTHER, 2, 0)], 0.0, is_all=True)
    counts.settle(0.0)
    assert rules.distant_by_ip == {OTHER: 2}


def test_what_cannot_be_put_right_does_not_count_meanwhile(ledger):
    rules = ConnectionRules(50, 2, 3000, ledger)
    counts = AddressCounts(rules)
    counts.take("a.1", [(IP, 2, 2)], 0.0, is_all=False)
    counts.trust(False)
    counts.settle(0.0)
    assert not refuses(rules)
    counts.take("a.1", [(IP, 1, 0), (OTHER, 2, 2)], 0.0, is_all=False)
    assert rules.distant_by_ip == {}
    counts.trust(True)
    counts.settle(0.0)
    assert rules.distant_by_ip == {IP: 1, OTHER: 2}


def test_many_addresses_are_given_back_a_part_at_a_time():
    rules = ConnectionRules(50, 2, 3000)
    counts = AddressCounts(rules)
    counts.take("a.1", [(str(n), 1, 1) for n in range(PART + 1)], 0.0, is_all=False)
    counts.forget("a.1")
    counts.settle(0.0)
    assert len(rules.distant_by_ip) == 1
    counts.settle(0.0)
    assert not counts.is_due
    assert rules.distant_by_ip == {}


def test_what_changed_here_is_told_once(ledger):
    rules = ConnectionRules(50, 2, 3, ledger)
    counts = AddressCounts(rules)
    rules.open(IP, 0.0)
    rules.open(IP, 0.0)
    assert refuses(rules)
    rules.admit_request(OTHER, 0.0)
    assert counts.collect() == [(IP, 2, 2), (OTHER, 0, 1)]
    assert counts.collect() == []
    rules.close(IP)
    assert counts.collect() == [(IP, 1, 0)]
    assert counts.recall() == [(IP, 1, 0)]


def test_addresses_with_connections_on_other_hosts_are_not_forgotten():
    rules = ConnectionRules(50, 1, 3000)
    counts = AddressCounts(rules)
    counts.take("a.1", [(IP, 1, 1), (OTHER, 0, 1)], 0.0, is_all=False)
    assert list(rules.sweep(900.0)) == [1]
    assert refuses(rules, 900.0)
    counts.forget("a.1")
    counts.settle(900.0)
    assert list(rules.sweep(900.0)) == [1]


def test_without_other_hosts_nothing_is_kept_for_them():
    rules = ConnectionRules(50, 1, 3000)
    rules.open(IP, 0.0)
    rules.close(IP)
    assert rules.news is None
