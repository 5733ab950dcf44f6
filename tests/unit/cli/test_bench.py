"""What ``fastchat bench`` refuses, shows and computes."""

import io

import pytest

from fastchat.bench.measure import Result
from fastchat.cli import main
from fastchat.cli.bench import BenchError, bar, check_url, headroom, table
from fastchat.config import load


@pytest.fixture
def config():
    return load({"NODE_ENV": "development", "MAX_CONNECTIONS": "1000"})


def test_refuses_a_server_that_is_not_on_this_machine_unless_told(capsys):
    assert main(["bench", "--url", "ws://192.0.2.1:3001"]) == 1
    assert "--allow-remote says that you do" in capsys.readouterr().err
    check_url("ws://192.0.2.1:3001", allow_remote=True)
    check_url("ws://127.0.0.1:3001", allow_remote=False)


def test_refuses_what_is_no_url_of_a_websocket():
    with pytest.raises(BenchError, match="expected a ws:// or wss:// URL"):
        check_url("http://127.0.0.1:3001", allow_remote=True)


@pytest.mark.parametrize("users", ["alice", "alice,alice", "alice,1"])
def test_refuses_users_who_cannot_write_to_each_other(users, capsys):
    assert main(["bench", "--url", "ws://127.0.0.1:1", "--users", users]) == 1
    assert "expected two or more different users" in capsys.readouterr().err


@pytest.mark.parametrize("scale", ["0", "-1", "x", "nan", "1000"])
def test_refuses_a_scale_that_is_none(scale):
    with pytest.raises(SystemExit):
        main(["bench", "--scale", scale])


def test_holds_what_the_settings_allow_against_what_was_found(config):
    result = Result(capacity=8000.0, base=50 * 1024, per_connection=8.0)
    assert headroom(result, config) == [
        ("MAX_CONNECTIONS=1000", "58 MB when full"),
        ("  each at MESSAGE_RATE_LIMIT=240", "4,000 messages/s, headroom 2.0 times"),
        ("users who may write all they are allowed", "2,000"),
    ]
    result.capacity = 1000.0
    assert headroom(result, config)[1][1] == (
        "4,000 messages/s, 4.0 times what this machine can do"
    )


def test_shows_percentiles_and_what_was_refused(config):
    result = Result(acks=[0.001] * 99 + [0.5], deliveries=[0.002], refused={"USER_BLOCKED": 3})
    lines = table(result, config)
    assert any("p50" in line and "1.00 ms" in line and "2.00 ms" in line for line in lines)
    assert any("p99.9" in line and "500.00 ms" in line for line in lines)
    assert any("refused: USER_BLOCKED" in line and line.endswith("3") for line in lines)
    assert not any("memory" in line for line in lines)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_progress_is_a_bar_on_a_terminal_and_lines_elsewhere():
    file = io.StringIO()
    show = bar(file)
    for step, share in (("latency", 0.7), ("latency", 0.8), ("done", 1.0)):
        show(step, share)
    assert file.getvalue() == " 70%  latency\n100%  done\n"
    terminal = Terminal()
    show = bar(terminal)
    show("latency", 0.5)
    show("done", 1.0)
    first, second = terminal.getvalue().split("\r")[1:]
    assert first.rstrip() == "[" + "#" * 15 + "." * 15 + "]  50%  latency"
    assert second.endswith("\n")
