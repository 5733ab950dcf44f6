"""What a crash may leave in the embedded database's folder, and what its log may not hold."""

import os
import subprocess

import asyncpg
import pytest

from fastchat.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
from tests.functional.store.folders import public_folder

REST = "/nowhere\n0\n1\n\n\n0 0\nready   \n"


@pytest.fixture
def folder():
    with public_folder() as folder:
        yield folder / "data"


@pytest.fixture
def living_program(folder):
    """A program of the user who runs the database, with nothing to do with it."""
    with EmbeddedPostgres(folder):
        owner = (folder / "postgres").stat().st_uid
    program = subprocess.Popen(["sleep", "60"], user=owner if os.geteuid() == 0 else None)
    yield program.pid
    program.kill()
    program.wait()


@pytest.mark.parametrize("text", ["", "no number\n", "{pid}\n" + REST])
def test_starts_whatever_is_in_the_pid_file_of_a_server_that_is_gone(folder, living_program, text):
    path = folder / "postgres" / "postmaster.pid"
    path.write_text(text.format(pid=living_program))
    owner = path.parent.stat()
    os.chown(path, owner.st_uid, owner.st_gid)
    path.chmod(0o600)
    with EmbeddedPostgres(folder) as server:
        assert path.read_text().startswith(f"{server.pid}\n")


def test_a_server_at_home_in_the_folder_keeps_its_pid_file(folder):
    with EmbeddedPostgres(folder) as server:
        path = folder / "postgres" / "postmaster.pid"
        before = path.read_text()
        second = EmbeddedPostgres(folder)
        with pytest.raises(EmbeddedPostgresError, match="another fastchat"):
            second.start()
        # The second one would get this far only if the lock were lost.
        second._remove_stale_pid_file()
        assert path.read_text() == before
        assert server.pid


async def test_log_of_the_server_holds_no_rows_and_no_parameters(folder):
    secret = "text-of-a-message-71c3"
    with EmbeddedPostgres(folder) as server:
        connection = await asyncpg.connect(server.dsn, ssl=False)
        await connection.execute("CREATE TABLE rows (number int NOT NULL, content text)")
        for query, args in (
            (f"INSERT INTO rows VALUES (NULL, '{secret}')", ()),
            ("INSERT INTO rows SELECT NULL, $1::text", (secret,)),
        ):
            with pytest.raises(asyncpg.NotNullViolationError):
                await connection.execute(query, *args)
        connection.terminate()
    text = (folder / "postgres.log").read_text()
    assert "violates not-null constraint" in text
    assert secret not in text


@pytest.mark.parametrize("program", ["initdb", "createdb"])
async def test_a_first_start_that_was_cut_off_is_made_again(folder, monkeypatch, program):
    run = EmbeddedPostgres._run

    def cut_off(self, *command, **options):
        run(self, *command, **options)
        if str(command[0]).endswith(program):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(EmbeddedPostgres, "_run", cut_off)
        with pytest.raises(KeyboardInterrupt):
            EmbeddedPostgres(folder).start()
    with EmbeddedPostgres(folder) as server:
        connection = await asyncpg.connect(server.dsn, ssl=False)
        assert await connection.fetchval("SELECT current_database()") == "fastchat"
        connection.terminate()


def test_data_that_is_not_complete_is_never_overwritten(folder):
    stranger = folder / "postgres" / "something"
    stranger.parent.mkdir(parents=True)
    stranger.write_text("of somebody")
    with pytest.raises(EmbeddedPostgresError, match="cannot be made: Directory not empty"):
        EmbeddedPostgres(folder).start()
    assert stranger.read_text() == "of somebody"
