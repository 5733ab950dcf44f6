"""The shared memory of the figures: what is read was written, whole, whoever dies."""

import os
import signal
import time

import pytest

from fastchat.telemetry.board import Board

ROUNDS = 2000


def payload_of(number, size):
    return f"{number:08}".encode() * size


@pytest.fixture
def children():
    """Process ids to end and reap."""
    pids = []
    yield pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_seat_that_was_never_written_is_empty():
    board = Board(seats=2)
    assert (board.read(1), board.turns(1)) == (b"", 0)


def test_each_seat_holds_what_was_written_last():
    board = Board(seats=3)
    for number in range(5):
        board.write(1, payload_of(number, 3))
        board.write(2, payload_of(100 + number, 2))
        assert board.read(1) == payload_of(number, 3)
        assert board.read(2) == payload_of(100 + number, 2)
    assert (board.read(0), board.turns(2)) == (b"", 5)


def test_payload_larger_than_half_a_seat_is_refused_and_the_last_one_stays():
    board = Board(seats=1, seat_size=4096)
    board.write(0, b"kept")
    with pytest.raises(ValueError, match="4096 bytes: expected at most 2008"):
        board.write(0, bytes(4096))
    assert board.read(0) == b"kept"


def test_another_process_reads_whole_payloads_while_one_writes(children):
    board = Board(seats=1)
    board.write(0, payload_of(0, 100))
    pid = os.fork()
    if pid == 0:
        number = 0
        while True:
            number += 1
            board.write(0, payload_of(number % 10**8, 100 + number % 1000))
    children.append(pid)
    seen = set()
    end = time.monotonic() + 30  # a busy machine may let the other one begin late
    rounds = 0
    while rounds < ROUNDS or len(seen) < 2:
        assert time.monotonic() < end
        payload = board.read(0)
        number = int(payload[:8])
        assert payload == payload_of(number, 100 + number % 1000)
        seen.add(number)
        rounds += 1


def test_writer_that_dies_in_the_middle_leaves_the_last_payload(monkeypatch):
    board = Board(seats=1)
    board.write(0, b"before")
    monkeypatch.setattr(board, "_turns", Dying(board._turns))
    with pytest.raises(KeyboardInterrupt):
        board.write(0, b"never finished")
    monkeypatch.undo()
    assert board.read(0) == b"before"
    board.write(0, b"after")
    assert board.read(0) == b"after"


class Dying:
    """Ends the write when everything but the last step is done."""

    def __init__(self, turns):
        self._turns = turns

    def __getitem__(self, seat):
        return self._turns[seat]

    def __setitem__(self, seat, turns):
        raise KeyboardInterrupt
