"""A PostgreSQL of one's own for development, which lives and dies with fastchat.

It is a direct child of the thread that starts it, and ends with that thread: start it from the
main thread, or from the one that runs the event loop. Files are kept between runs. It listens on a
free port of the loopback address, where only the generated password lets anybody in; an address
with a password works from every program and at any depth of folders, a Unix socket does not.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import random
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from fastchat.store.embedded_binaries import EmbeddedError, find_binaries, find_package

__all__ = ["EmbeddedError", "EmbeddedPostgres"]

HOST = "127.0.0.1"
USER = "fastchat"
DATABASE = "postgres"  # the one that initdb makes
START_SECONDS = 60.0  # recovery after a crash included
LEFTOVER_SECONDS = 10.0  # for processes of a killed server to vanish
INITDB_SECONDS = 120.0
POLL_SECONDS = 0.02
MAX_LOG_BYTES = 10 * 1024 * 1024
# Below the ports that the system gives to outgoing connections, so that none of those takes ours
# while the database restarts.
PORTS = range(20_000, 32_000)
# The folder of the database as its own working directory: parents that the user nobody may not
# enter do not matter then.
HERE = "/proc/self/cwd"
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "ssl": "off",
    "jit": "off",
    "cluster_name": "fastchat",
    "max_connections": "200",
    "synchronous_commit": "on",
    "wal_compression": "on",
    "min_wal_size": "1GB",
    "max_wal_size": "4GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The log holds no text of a message, neither in a statement nor in the details of an error.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}

log = logging.getLogger("fastchat.database")


class EmbeddedPostgres:
    """One PostgreSQL on one data directory, for one fastchat at a time."""

    def __init__(
        self,
        data_dir: Path,
        *,
        package: Path | None = None,
        settings: dict[str, str] | None = None,
    ) -> None:
        """Take the folder of fastchat's data; everything else is found at the start.

        Args:
            data_dir: Made if missing; the database takes the name ``postgres`` in it.
            package: Folder of the PostgreSQL to run, default the installed one.
            settings: Server settings that win over ours.
        """
        self.port = 0
        self.restarts = 0
        self._data_dir = data_dir.absolute()
        self._folder = self._data_dir / "postgres"
        self._log_path = self._data_dir / "postgres.log"
        self._package = package
        self._settings = SETTINGS | (settings or {})
        self._password = ""
        self._owner = 0  # the process that started it; a forked one must not stop it
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._exit_told = False

    @property
    def dsn(self) -> str:
        """Where to connect, with the password; the same for as long as this object lives."""
        return f"postgresql://{USER}:{self._password}@{HOST}:{self.port}/{DATABASE}"

    @property
    def pid(self) -> int | None:
        """Process id of the server, None when it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start the database, make it first if there is none, and wait until it answers.

        Raises:
            EmbeddedError: it does not start, or another fastchat uses it.
        """
        if self._lock is not None:
            return
        try:
            self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take_lock()
            self._owner = os.getpid()
            self._binaries = find_binaries(self._package or find_package())
            self._prepare()
            self.port = _free_port()
            self._start_and_wait()
        except OSError as error:
            self.stop()
            raise EmbeddedError(f"{error.filename or self._data_dir}: {error.strerror}") from None
        except BaseException:
            self.stop()
            raise

    def stop(self, timeout: float = 10.0) -> None:
        """End the database cleanly, after ``timeout`` seconds by force; a second call does nothing.

        In a process forked from the one that started it, nothing happens.
        """
        if self._lock is None or self._owner not in (0, os.getpid()):
            return
        if self._process is not None:
            # Fast shutdown, immediate shutdown, kill.
            for number, patience in ((signal.SIGINT, timeout), (signal.SIGQUIT, 6.0)):
                self._process.send_signal(number)
                try:
                    self._process.wait(patience)
                    break
                except subprocess.TimeoutExpired:
                    continue
            else:
                self._process.kill()
                self._process.wait()
            self._process = None
        os.close(self._lock)
        self._lock = None

    def ensure_running(self) -> bool:
        """Start the database again if it has ended; costs one system call while it runs.

        Does not wait until it answers: callers of the database see that by themselves. Call it
        from the thread that called ``start``.

        Returns:
            Whether the process runs now.
        """
        if self._process is not None and self._process.poll() is None:
            return True
        if self._lock is None:
            return False
        if self._process is not None and not self._exit_told:
            self._exit_told = True
            log.error(
                "the embedded database ended with status %s; starting it again",
                self._process.returncode,
            )
        # What a killed server leaves behind holds its memory for a moment; a new one would refuse.
        if self._leftovers():
            return False
        self.restarts += 1
        self._spawn()
        return True

    async def supervise(self, interval: float = 0.25) -> None:
        """Start the database again whenever it ends, until cancelled."""
        while True:
            try:
                self.ensure_running()
            except OSError as error:
                log.error("the embedded database cannot be started: %s", error.strerror)
            await asyncio.sleep(interval)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _take_lock(self) -> None:
        """Be the only fastchat on this folder; the lock vanishes with the process, even killed."""
        path = self._data_dir / "postgres.lock"
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + LEFTOVER_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                text = os.pread(lock, 20, 0).decode(errors="replace").strip()
                # Its owner was killed, and a worker forked from it is about to follow.
                if text.isdigit() and not _is_alive(int(text)) and time.monotonic() < deadline:
                    time.sleep(POLL_SECONDS)
                    continue
                os.close(lock)
                raise EmbeddedError(
                    f"{self._data_dir}: another fastchat (pid {text or 'unknown'}) uses the"
                    " database there: stop it, or set FASTCHAT_DATA_DIR to another folder"
                ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock

    def _prepare(self) -> None:
        """Make the database unless there is one, and have its files belong to who runs it."""
        version_file = self._folder / "PG_VERSION"
        if not version_file.exists():
            if self._folder.exists() and any(self._folder.iterdir()):
                raise EmbeddedError(f"{self._folder}: no database, expected one or an empty folder")
            self._initialise()
        found, brought = version_file.read_text().strip(), self._brought_version()
        if found != brought:
            raise EmbeddedError(
                f"{self._folder}: was made by PostgreSQL {found}, this fastchat brings {brought}:"
                " dump it with that version first, or move the folder away"
            )
        password_file = self._data_dir / "postgres.password"
        self._password = password_file.read_text().strip()
        _give(self._folder, self._binaries.owner)
        with contextlib.suppress(FileNotFoundError):
            if self._log_path.stat().st_size > MAX_LOG_BYTES:
                self._log_path.unlink()

    def _brought_version(self) -> str:
        share = self._binaries.folder / "share"
        catalog = next(share.rglob("postgres.bki"))
        with catalog.open() as file:
            return file.readline().split()[-1]  # "# PostgreSQL 18"

    def _initialise(self) -> None:
        """Make a database aside and move it into place when it is whole."""
        unfinished = self._data_dir / "postgres.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        _give(unfinished, self._binaries.owner)
        password = secrets.token_urlsafe(32)
        arguments = [
            f"--pgdata={HERE}",
            f"--username={USER}",
            "--pwfile=/dev/stdin",
            "--auth=scram-sha-256",
            # The password is 256 random bits: stretching it would only make log-ins slow.
            "--set=scram_iterations=1",
            "--set=password_encryption=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        ]
        # A file in memory: no other program sees the password, in no list of processes, in no folder.
        with os.fdopen(os.memfd_create("password"), "wb") as file, self._open_log() as output:
            file.write(password.encode() + b"\n")
            file.flush()
            os.fchown(file.fileno(), self._binaries.owner, -1)
            process = self._binaries.spawn(
                "initdb", arguments, cwd=unfinished, output=output, stdin=file
            )
        try:
            status = process.wait(INITDB_SECONDS)
        except BaseException:
            process.kill()
            process.wait()
            raise
        if status != 0:
            raise EmbeddedError(f"the embedded database cannot be made: {self._last_words()}")
        final = self._data_dir / "postgres.password"
        final.touch(mode=0o600)
        final.write_text(password + "\n")
        if self._folder.exists():
            self._folder.rmdir()
        unfinished.rename(self._folder)

    def _start_and_wait(self) -> None:
        now = time.monotonic()
        deadline, leftover_deadline = now + START_SECONDS, now + LEFTOVER_SECONDS
        attempts = 3
        while time.monotonic() < deadline:
            if self._process is None:
                leftovers = self._leftovers()
                if not leftovers:
                    self._remove_stale_pid_file()
                    self._spawn()
                elif time.monotonic() > leftover_deadline:
                    raise EmbeddedError(
                        f"{self._folder}: another PostgreSQL (pid {leftovers[0]}) uses it: stop it"
                    )
            elif self._process.poll() is not None:
                # The port may have been taken a moment ago.
                attempts -= 1
                if not attempts:
                    break
                self._process, self.port = None, _free_port()
            elif self.is_ready():
                return
            time.sleep(POLL_SECONDS)
        raise EmbeddedError(f"the embedded database does not start: {self._last_words()}")

    def is_ready(self) -> bool:
        """Whether our own server, and nobody else on its port, accepts connections."""
        try:
            first_line = (self._folder / "postmaster.pid").read_text().split("\n", 1)[0]
        except (OSError, ValueError):
            return False
        return first_line == str(self.pid) and _accepts_connections(self.port)

    def _spawn(self) -> None:
        arguments = ["-D", HERE, "-p", str(self.port)]
        for name, value in self._settings.items():
            arguments += ["-c", f"{name}={value}"]
        with self._open_log() as output:
            self._process = self._binaries.spawn(
                "postgres", arguments, cwd=self._folder, output=output
            )
        self._exit_told = False

    def _remove_stale_pid_file(self) -> None:
        """Remove the pid file of a server that is gone.

        PostgreSQL would refuse to start when the file is damaged, or when its number now belongs
        to another program. We hold the lock and no PostgreSQL has its home here, so it is stale.
        """
        with contextlib.suppress(FileNotFoundError):
            (self._folder / "postmaster.pid").unlink()

    def _leftovers(self) -> list[int]:
        """Process ids of every PostgreSQL whose home is our folder; costs some milliseconds."""
        home = self._folder.stat()
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            # It may end at any moment, and those of others cannot be looked into.
            with contextlib.suppress(OSError):
                if Path(f"/proc/{entry}/comm").read_text().strip() == "postgres":
                    there = os.stat(f"/proc/{entry}/cwd")
                    if (there.st_dev, there.st_ino) == (home.st_dev, home.st_ino):
                        found.append(int(entry))
        return found

    def _open_log(self) -> BinaryIO:
        return os.fdopen(
            os.open(self._log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb"
        )

    def _last_words(self) -> str:
        """The last lines of the server's log, as one line."""
        try:
            lines = self._log_path.read_text(errors="replace").splitlines()[-3:]
        except OSError:
            lines = []
        return " / ".join(line.strip() for line in lines) or f"see {self._log_path}"


def _free_port() -> int:
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise EmbeddedError(f"no free port from {PORTS.start} to {PORTS.stop - 1} on {HOST}")


def _accepts_connections(port: int) -> bool:
    """Say who we are and see whether the server asks for the password."""
    parameters = f"user\0{USER}\0database\0{DATABASE}\0\0".encode()
    greeting = struct.pack("!ii", 8 + len(parameters), 3 << 16) + parameters
    try:
        with socket.create_connection((HOST, port), timeout=1.0) as probe:
            probe.sendall(greeting)
            return probe.recv(1) == b"R"
    except OSError:
        return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _give(folder: Path, owner: int) -> None:
    """Have a folder and everything in it belong to somebody; only root ever has to change it."""
    if folder.stat().st_uid == owner:
        return
    for parent, _, files in os.walk(folder):
        for name in (parent, *(os.path.join(parent, name) for name in files)):
            os.chown(name, owner, -1, follow_symlinks=False)
