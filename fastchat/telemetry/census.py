"""The figures of all workers of this server, told and read through the board.

Seat 0 is the supervisor's; each process of a worker has one of the others for as long as it lives.
Whatever a page shows was written to the board before: so a counter never goes back between two
pages, whichever workers answer them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from fastchat.telemetry.board import Board
from fastchat.telemetry.figures import PEAKS, add_gauges
from fastchat.telemetry.snapshot import (
    HostRecord,
    Number,
    Snapshot,
    Totals,
    add_labelled,
    add_totals,
)

SUPERVISOR_SEAT = 0
FRESH = 5.0  # seconds after which a worker that told nothing new counts as frozen
ATTEMPTS = 10

_encode = msgspec.msgpack.Encoder().encode
_decode_snapshot = msgspec.msgpack.Decoder(Snapshot).decode
_decode_record = msgspec.msgpack.Decoder(HostRecord).decode


@dataclass(frozen=True, slots=True)
class View:
    """The server at one moment."""

    record: HostRecord
    workers: list[Snapshot]  # of the processes that run, by number of the worker
    totals: Totals  # of all that ever ran
    gauges: dict[str, Number]
    levels: dict[str, dict[str, Number]]
    at: float  # monotonic seconds

    @property
    def serving(self) -> list[Snapshot]:
        """The processes that answer and take new connections."""
        return [
            snapshot
            for snapshot in self.workers
            if not snapshot.is_draining and self.at - snapshot.at < FRESH
        ]

    @property
    def healthy(self) -> int:
        """How many workers serve and reach the database."""
        return len({snapshot.worker for snapshot in self.serving if snapshot.is_connected})


class Census:
    """Of one worker: writes its own figures, reads those of all."""

    def __init__(self, board: Board, seat: int, read: Callable[[], Snapshot]) -> None:
        """Take the board, this worker's seat and how to read its figures."""
        self._board = board
        self._seat = seat
        self._read = read

    def publish(self) -> None:
        """Write this worker's figures; called each second, at the end, and before each page."""
        self._board.write(self._seat, _encode(self._read()))

    def view(self) -> View:
        """Write this worker's figures and add those of all workers up."""
        self.publish()
        return read_board(self._board)


def read_board(board: Board) -> View:
    """Read all seats.

    A process that ends is counted by the supervisor at once, after its last figures and before its
    seat goes to another: when the supervisor's seat stayed as it was, nothing was missed or read
    twice.
    """
    for _ in range(ATTEMPTS):
        turns = board.turns(SUPERVISOR_SEAT)
        record = _decode_record(board.read(SUPERVISOR_SEAT))
        workers = _living(board, record)
        if board.turns(SUPERVISOR_SEAT) == turns:
            break
    gauges = add_gauges(workers)
    for peak in PEAKS:
        gauges[peak] = max(gauges[peak], record.peaks.get(peak, 0))
    levels: dict[str, dict[str, Number]] = {}
    for snapshot in workers:
        add_labelled(levels, snapshot.levels)
    totals = add_totals([record.finished, *workers])
    return View(record, workers, totals, gauges, levels, time.monotonic())


def _living(board: Board, record: HostRecord) -> list[Snapshot]:
    found = []
    for seat in range(SUPERVISOR_SEAT + 1, board.seats):
        payload = board.read(seat)
        if payload:
            snapshot = _decode_snapshot(payload)
            if snapshot.run > record.reaped[seat]:
                found.append(snapshot)
    return sorted(found, key=lambda snapshot: (snapshot.worker, snapshot.run))


class Registrar:
    """Of the supervisor: the record of the server, and the figures of processes that ended."""

    def __init__(self, board: Board, workers: int) -> None:
        """Take the board and how many workers there should be; writes the first record."""
        self._board = board
        self.record = HostRecord(workers=workers, started_at=time.time(), reaped=[0] * board.seats)
        self._write()

    def update(self) -> None:
        """Note the peaks; called each second."""
        view = read_board(self._board)
        self.record.peaks = {peak: view.gauges[peak] for peak in PEAKS}
        self._write()

    def count_restart(self) -> None:
        """Count a worker that died and is started again."""
        self.record.restarts += 1
        self._write()

    def stop(self) -> None:
        """Say that the server ends."""
        self.record.is_stopping = True
        self._write()

    def finish(self, seat: int, run: int) -> None:
        """Keep the figures of a process that has ended; its seat is free afterwards."""
        payload = self._board.read(seat)
        if payload:
            snapshot = _decode_snapshot(payload)
            if snapshot.run == run:
                # The peaks before: the snapshot will not be there any more.
                view = read_board(self._board)
                self.record.peaks = {peak: view.gauges[peak] for peak in PEAKS}
                self.record.finished = add_totals([self.record.finished, snapshot])
        self.record.reaped[seat] = run
        self._write()

    def _write(self) -> None:
        self._board.write(SUPERVISOR_SEAT, _encode(self.record))
