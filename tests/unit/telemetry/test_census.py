"""The figures of all workers: nothing is counted twice, and no counter goes back."""

from fastchat.telemetry.census import read_board
from tests.unit.telemetry.fakes import FakeServer


def messages_in(server):
    return read_board(server.board).totals.counters["messages_in"]


def test_counters_of_a_process_that_ended_stay_and_its_gauges_go():
    server = FakeServer(workers=2)
    server.registrar.finish(seat=2, run=2)
    view = read_board(server.board)
    assert view.totals.counters["messages_in"] == 200
    assert view.totals.histograms["send_to_ack_seconds"][""].count == 10
    assert view.totals.labelled["errors"]["AUTH_REQUIRED"] == 2
    assert view.gauges["connections"] == 7
    assert [snapshot.worker for snapshot in view.workers] == [1]


def test_next_process_on_a_seat_adds_to_what_the_one_before_had_counted():
    server = FakeServer()
    server.registrar.finish(seat=1, run=1)
    assert messages_in(server) == 100
    server.join(worker=1, seat=1, run=2)
    assert messages_in(server) == 200
    server.sources[1].transport.messages_in += 5
    server.census[1].publish()
    assert messages_in(server) == 205


def test_process_that_ended_before_it_told_anything_counts_nothing_twice():
    server = FakeServer()
    server.registrar.finish(seat=1, run=1)
    server.registrar.finish(seat=1, run=2)
    assert messages_in(server) == 100


def test_no_counter_goes_back_when_another_worker_answers():
    server = FakeServer(workers=2)
    server.sources[1].transport.messages_in += 50
    first = server.census[1].view().totals.counters["messages_in"]
    second = server.census[2].view().totals.counters["messages_in"]
    assert first == second == 250


def test_supervisor_that_counts_an_end_meanwhile_makes_the_reader_look_again(monkeypatch):
    server = FakeServer(workers=2)
    read = server.board.read
    ends = [2]

    def read_late(seat):
        payload = read(seat)
        if seat == 2 and ends:
            # The reader has the old record and the figures of a process that is counted now.
            server.registrar.finish(seat, ends.pop())
        return payload

    monkeypatch.setattr(server.board, "read", read_late)
    assert messages_in(server) == 200


def test_peaks_are_those_of_the_sum_and_stay_when_workers_end():
    server = FakeServer(workers=2)
    assert read_board(server.board).gauges["connections_peak"] == 14
    server.registrar.finish(seat=1, run=1)
    server.registrar.finish(seat=2, run=2)
    view = read_board(server.board)
    assert view.gauges["connections_peak"] == 14
    assert view.gauges["users_online_peak"] == 6  # each worker knows of all users
    assert view.gauges["connections"] == 0


def test_restarts_are_counted():
    server = FakeServer()
    server.registrar.count_restart()
    assert read_board(server.board).record.restarts == 1
