"""The command as a whole: usage, exit codes, and that it imports only what it needs."""

import json
import os
import subprocess
import sys

import pytest

from fastchat import __version__
from fastchat.cli import main
from tests.unit.config.test_config import DEVELOPMENT, PRODUCTION

SERVER_PARTS = ("uvloop", "asyncpg", "picows", "aiohttp", "prometheus_client")
KEPT = ("PATH", "LANG", "LC_ALL", "PYTHONPATH")


def fastchat(*arguments, code="", **environ):
    """Run the command in a process of its own with nothing but these settings."""
    base = {name: os.environ[name] for name in KEPT if name in os.environ}
    start = [sys.executable, "-W", "error"]
    start += ["-c", code] if code else ["-m", "fastchat"]
    return subprocess.run(
        [*start, *arguments],
        env=base | environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [("config",), ("gentoken", "--user", "1"), ("checktoken", "x")],
    ids=lambda arguments: arguments[0],
)
def test_command_that_needs_no_server_imports_none(arguments):
    code = (
        "import sys, json\nfrom fastchat.cli import main\nmain(sys.argv[1:])\n"
        f"print(json.dumps([part for part in {SERVER_PARTS} if part in sys.modules]))"
    )
    result = fastchat(*arguments, code=code, **PRODUCTION)
    assert result.stderr == ""
    assert json.loads(result.stdout.splitlines()[-1]) == []


def test_wrong_settings_stop_the_start_with_one_line_each():
    result = fastchat("migrate", PORT="x")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 4
    assert lines[0] == "fastchat migrate: PORT='x': expected a whole number from 0 to 65535"


def test_secrets_of_wrong_settings_are_not_shown():
    result = fastchat("migrate", JWT_SECRET="hunter2", DATABASE_URL="http://u:hunter3@h/n")
    assert result.returncode == 1
    assert "hunter" not in result.stdout + result.stderr


def test_migration_as_sql_is_a_script_also_where_no_database_is_configured():
    result = fastchat("migrate", "--sql", **DEVELOPMENT)
    assert (result.returncode, result.stderr) == (0, "")
    (line,) = result.stdout.splitlines()
    assert line.startswith("-- No database is configured")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("dance",),
        ("gentoken",),
        ("gentoken", "--user", "1", "--expires", "0"),
        ("gentoken", "--user", "1", "--expires", "٣"),
        ("config", "--env", "--docs"),
    ],
)
def test_wrong_usage_is_explained_and_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: fastchat" in capsys.readouterr().err


def test_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"fastchat {__version__}\n"


def test_closed_pipe_is_no_traceback():
    code = (
        "import os, sys\nfrom fastchat.cli import main\n"
        "read, write = os.pipe()\nos.close(read)\nos.dup2(write, 1)\n"
        "sys.stdout = open(1, 'w', buffering=1, closefd=False)\nsys.exit(main(['config']))"
    )
    result = fastchat(code=code)
    assert (result.returncode, result.stderr) == (1, "")
