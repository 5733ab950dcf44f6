"""What the workers of this host share, made before they are forked, and a worker's place in it."""

import socket
from collections.abc import Callable
from dataclasses import dataclass

from fastchat.admission.ledger import Ledger, OwnLedger, SharedLedger
from fastchat.admission.table import WindowTable
from fastchat.broker.carrier import Callbacks, Carrier
from fastchat.broker.local import LocalCarrier
from fastchat.broker.redis import RedisCarrier
from fastchat.broker.redis_address import RedisAddress
from fastchat.telemetry.board import Board
from fastchat.telemetry.census import Census, Registrar
from fastchat.telemetry.figures import read_sources
from fastchat.telemetry.health import find_problems
from fastchat.telemetry.snapshot import Snapshot
from fastchat.telemetry.sources import Sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Made by the supervisor, inherited by every worker."""

    sockets: tuple[socket.socket, ...]  # one for each worker, bound to the same port
    board: Board  # for the figures of all workers
    table: WindowTable | None = None  # for limits that hold in total; one worker needs none
    bus: str = ""  # the name of what they talk over


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which worker of the host this process is."""

    host: Host
    worker: int  # its number, from 1; two processes have it while one takes over from the other
    run: int  # number of the process, from 1, never used twice
    seat: int  # of the process alone: on the board, and wherever else each process has its own

    @property
    def socket(self) -> socket.socket | None:
        """The listening socket to use; None: open one."""
        return self.host.sockets[self.worker - 1] if self.host.sockets else None

    @property
    def name(self) -> str:
        """What the others call this process; no other process ever has the same name."""
        return f"{self.host.bus}.{self.run}"

    def open_carrier(self, own: str, callbacks: Callbacks, redis_url: str = "") -> Carrier:
        """Return what carries frames to the other workers.

        Args:
            own: The name of this one.
            callbacks: What the carrier calls.
            redis_url: Where the workers of all hosts meet; without it those of this host do.
        """
        if redis_url:
            return RedisCarrier(
                RedisAddress.parse(redis_url),
                own,
                on_frame=callbacks.on_frame,
                on_up=callbacks.on_up,
                on_down=callbacks.on_down,
            )
        return LocalCarrier(
            own, callbacks, host=self.host.bus, seat=self.seat, seats=self.host.board.seats - 1
        )

    def open_census(
        self, sources: Sources, *, max_connections: int, is_draining: Callable[[], bool]
    ) -> Census:
        """Return what tells this worker's figures to the others, and theirs to it.

        Args:
            sources: Of the figures.
            max_connections: The limit of this worker.
            is_draining: Whether it takes no new connections any more.
        """

        def read() -> Snapshot:
            snapshot = read_sources(sources, self.worker, self.run)
            snapshot.problems = find_problems(sources, max_connections)
            snapshot.is_draining = is_draining()
            return snapshot

        return Census(self.host.board, self.seat, read)

    def open_ledger(self) -> Ledger:
        """Return what the limits of this worker count in."""
        table = self.host.table
        return OwnLedger() if table is None else SharedLedger(table, self.seat, self.run)

    @classmethod
    def alone(cls) -> "Place":
        """The place of a worker without a supervisor."""
        board = Board(seats=2)
        Registrar(board, workers=1)
        return cls(host=Host(sockets=(), board=board), worker=1, run=1, seat=1)
