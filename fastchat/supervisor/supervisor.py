"""The process that others run in: no event loop, no threads, nothing but forking and waiting."""

import gc
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

import msgspec
import uvloop

from fastchat import __version__
from fastchat.admission.table import WindowTable
from fastchat.config import Config
from fastchat.host import Host, Place
from fastchat.store.backend import BackendTables
from fastchat.store.embedded import EmbeddedPostgres
from fastchat.supervisor import worker
from fastchat.supervisor.backoff import Backoff
from fastchat.supervisor.processes import Report, StartError, fork
from fastchat.supervisor.signals import Signals
from fastchat.supervisor.slot import Process, Slot
from fastchat.telemetry.board import Board
from fastchat.telemetry.census import Registrar
from fastchat.transport.port import bind_shared

TICK = 1.0  # seconds between two looks at everything
KILL_AFTER = 8.0  # seconds beyond SHUTDOWN_TIMEOUT; closing everything takes up to 7 of them
PORT_PATIENCE = 3.0  # seconds for the workers of a killed supervisor to be gone
PORT_PAUSE = 0.05
READ_SIZE = 65536

log = logging.getLogger("fastchat")

Prepare = Callable[[], Coroutine[Any, Any, BackendTables]]


class Supervisor:
    """Prepares what the workers share, starts them, and starts those again that die."""

    def __init__(
        self,
        config: Config,
        arguments: Mapping[str, Any],
        prepare: Prepare,
        database: EmbeddedPostgres | None = None,
        on_ready: Callable[[str], None] | None = None,
    ) -> None:
        """Take everything; nothing happens before ``run``.

        Args:
            config: The settings, complete.
            arguments: Of ``asyncpg.connect``.
            prepare: Brings the database up to date; runs in a child, on an event loop.
            database: The embedded one, running, where it is used.
            on_ready: Called with the URL once all workers accept connections.
        """
        self._config = config
        self._arguments = arguments
        self._prepare = prepare
        self._database = database
        self._on_ready = on_ready
        self._patience = config.shutdown_timeout + KILL_AFTER
        self._revival = Backoff()
        self._revived_at = time.monotonic()
        self._revive_at: float | None = None  # the embedded database has ended
        self._runs = 0
        self._is_listening = False  # all workers were ready once
        self._is_stopping = False
        self._exit_code = 0
        self._to_roll: list[Slot] = []
        self._rolling: Slot | None = None
        self._tables = BackendTables()
        self._signals = Signals()
        self._host = Host(sockets=(), board=Board(1))

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; return the exit code.

        Raises:
            StartError: the port cannot be had.
        """
        with self._signals:
            if not self._prepare_database():
                return self._exit_code
            self._prepare_host()
            # The workers share this memory for as long as the collector leaves it alone.
            gc.collect()
            gc.freeze()
            while not self._is_stopping or any(slot.processes for slot in self._slots):
                self._turn()
            self._close_sockets()
            if any(slot.was_killed for slot in self._slots):
                self._exit_code = 1
            return self._exit_code

    def _prepare_database(self) -> bool:
        """Run ``prepare`` in a child; return whether to go on."""
        child = fork(self._run_preparation)
        received = b""
        is_told = False
        while True:
            signals, ready = self._signals.wait(TICK, [child.reports])
            if not is_told and signals & {signal.SIGTERM, signal.SIGINT}:
                is_told = True
                with suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)
            if ready:
                data = os.read(child.reports, READ_SIZE)
                if not data:
                    break
                received += data
        os.close(child.reports)
        failed = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1]) != 0
        if is_told or failed:
            # It has said why.
            self._exit_code = int(not is_told)
            return False
        self._tables = msgspec.msgpack.decode(received, type=BackendTables)
        return True

    def _run_preparation(self, report: Report) -> int:
        report(msgspec.msgpack.encode(uvloop.run(self._prepare())))
        return 0

    def _prepare_host(self) -> None:
        """Make what the workers share and must have before they are forked."""
        count = self._config.web_concurrency
        # One more than there are workers: one takes over from another in a rolling restart.
        seats = 1 + count + 1
        self._host = Host(
            sockets=self._open_port(count),
            board=Board(seats),
            table=self._make_table(seats) if count > 1 else None,
            bus=secrets.token_hex(8),
        )
        self._registrar = Registrar(self._host.board, count)
        self._free_seats = list(range(1, seats))
        self._slots = [Slot(number, self._start, Backoff()) for number in range(1, count + 1)]

    def _make_table(self, seats: int) -> WindowTable:
        workers, connections = self._config.web_concurrency, self._config.max_connections
        try:
            return WindowTable.for_host(seats, workers, connections)
        except OSError as error:
            raise StartError(
                f"WEB_CONCURRENCY={workers}, MAX_CONNECTIONS={connections}: no memory to share"
                f" limits in: {error.strerror}"
            ) from None

    def _open_port(self, count: int) -> tuple[socket.socket, ...]:
        host, port = self._config.host, self._config.port
        give_up = time.monotonic() + PORT_PATIENCE
        while True:
            try:
                return tuple(bind_shared(host, port, count))
            except OSError as error:
                if time.monotonic() >= give_up:
                    raise StartError(f"HOST={host}, PORT={port}: {error.strerror}") from None
                time.sleep(PORT_PAUSE)

    def _turn(self) -> None:
        """Wait for something to do, and do all of it."""
        processes = {p.reports: (slot, p) for slot in self._slots for p in slot.processes}
        deadlines = [slot.next_deadline() for slot in self._slots] + [self._revive_at]
        pipes = [reports for reports, (_, p) in processes.items() if p.ready_at is None]
        signals, ready = self._signals.wait(self._time_until(deadlines), pipes)
        now = time.monotonic()
        for reports in ready:
            slot, process = processes[reports]
            if os.read(reports, READ_SIZE):
                slot.note_ready(process, now, self._patience)
        self._reap(now)
        if signals & {signal.SIGTERM, signal.SIGINT}:
            self._stop(now)
        elif signal.SIGHUP in signals and not self._is_stopping:
            log.info("rolling restart")
            self._to_roll = list(self._slots)
        for slot in self._slots:
            slot.tick(now)
        if not self._is_stopping:
            self._roll()
            self._announce()
            self._revive_database(now)
        self._registrar.update()

    @staticmethod
    def _time_until(deadlines: list[float | None]) -> float:
        now = time.monotonic()
        return min([TICK, *(deadline - now for deadline in deadlines if deadline is not None)])

    def _start(self, number: int) -> Process:
        """Fork a worker."""
        self._runs += 1
        place = Place(host=self._host, worker=number, run=self._runs, seat=self._free_seats[0])
        child = fork(lambda report: self._run_worker(place, report))
        self._free_seats.remove(place.seat)
        return Process(child.pid, place.run, place.seat, child.reports)

    def _run_worker(self, place: Place, report: Report) -> int:
        """Be a worker."""
        for other in self._host.sockets:
            if other is not place.socket:
                other.close()
        config = self._config.for_one_worker()
        return worker.run(config, self._arguments, self._tables, place, report)

    def _reap(self, now: float) -> None:
        for slot in self._slots:
            for process in slot.processes:
                # Each by its number: the embedded database is our child too.
                pid, status = os.waitpid(process.pid, os.WNOHANG)
                if pid:
                    self._forget(slot, process, os.waitstatus_to_exitcode(status), now)

    def _forget(self, slot: Slot, process: Process, code: int, now: float) -> None:
        """Note the end of a process."""
        os.close(process.reports)
        # What the process had of anything shared is given back here.
        self._registrar.finish(process.seat, process.run)
        if self._host.table is not None:
            self._host.table.leave(process.seat)
        self._free_seats.append(process.seat)
        was_asked = process.kill_at is not None
        delay = slot.note_end(process, now)
        if not self._is_listening and code > 0 and not self._is_stopping:
            # It has said why; trying again would only say it again.
            self._exit_code = 1
            self._stop(now)
        elif slot.has_failed_roll and self._rolling is slot:
            log.error("worker %d stays as it is: its successor did not start", slot.worker)
        elif not was_asked:
            self._registrar.count_restart()
            log.error(
                "worker %d ended with code %d and starts again in %g s",
                slot.worker,
                code,
                delay or 0.0,
                extra={"pid": process.pid},
            )

    def _roll(self) -> None:
        """Go on with the rolling restart: one worker at a time."""
        if self._rolling is not None and not self._rolling.is_rolling:
            if self._rolling.has_failed_roll:
                self._to_roll.clear()
                log.error("the rolling restart was given up")
            elif not self._to_roll:
                log.info("the rolling restart is over")
            self._rolling = None
        has_more = bool(self._to_roll)
        while self._rolling is None and self._to_roll:
            slot = self._to_roll.pop(0)
            # One that is being started is new anyway.
            if slot.is_ready:
                self._rolling = slot
                slot.roll()
        if has_more and self._rolling is None:
            log.info("the rolling restart is over")

    def _announce(self) -> None:
        """Say once that all workers accept connections."""
        if self._is_listening or not all(slot.is_ready for slot in self._slots):
            return
        self._is_listening = True
        url = self._config.url_at(self._host.sockets[0].getsockname()[1])
        workers = len(self._slots)
        log.info("listening", extra={"url": url, "version": __version__, "workers": workers})
        if self._on_ready is not None:
            self._on_ready(url)

    def _revive_database(self, now: float) -> None:
        """Start the embedded database again when it has ended."""
        if self._database is None or self._database.pid:
            return
        if self._revive_at is None:
            self._revive_at = now + self._revival.delay(now - self._revived_at)
        if now >= self._revive_at and self._database.revive():
            self._revived_at, self._revive_at = now, None
            log.warning("the embedded database had ended and was started again")

    def _stop(self, now: float) -> None:
        if self._is_stopping:
            return
        log.info("shutting down")
        self._is_stopping = True
        self._registrar.stop()
        for slot in self._slots:
            slot.stop(now, self._patience)
        # Whoever comes when the last worker has closed its own is refused instead of waiting.
        self._close_sockets()

    def _close_sockets(self) -> None:
        for bound in self._host.sockets:
            bound.close()
