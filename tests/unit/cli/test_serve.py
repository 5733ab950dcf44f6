"""What ``fastchat serve`` says, and when."""

import re
import sys
from types import SimpleNamespace

import pytest

from fastchat.auth.demo import demo_key
from fastchat.auth.tokens import TokenChecker
from fastchat.cli import chat, main
from fastchat.cli.serve import banner
from fastchat.config import load
from tests.unit.config.test_config import DEVELOPMENT, PRODUCTION, SECRET

URL = "ws://127.0.0.1:3001"
CONFIG = load(DEVELOPMENT | {"JWT_SECRET": SECRET})


@pytest.fixture
def program(monkeypatch):
    monkeypatch.setattr(sys, "argv", [".venv/bin/fastchat", "serve"])


@pytest.mark.usefixtures("program")
def test_banner_names_the_url_the_health_page_and_the_commands_to_chat():
    lines = banner(CONFIG, URL, {}).splitlines()
    assert f"fastchat, development mode: {URL}   health: http://127.0.0.1:3001/health" in lines
    assert "  .venv/bin/fastchat chat --as alice --to bob" in lines
    assert "  .venv/bin/fastchat chat --as bob --to alice" in lines


def test_banner_links_to_the_page_with_the_key_of_this_secret():
    link = f"Chat in the browser: http://127.0.0.1:3001/demo#{demo_key(bytes(range(48)))}"
    assert link in banner(CONFIG, URL, {}).splitlines()


def test_banner_links_to_no_page_that_is_off():
    config = load(DEVELOPMENT | {"JWT_SECRET": SECRET, "DEMO_PAGE": "false"})
    assert "/demo" not in banner(config, URL, {})


@pytest.mark.usefixtures("program")
def test_commands_name_what_is_not_as_usual():
    text = banner(CONFIG, "wss://127.0.0.1:4000", {"FASTCHAT_DATA_DIR": "a b"})
    assert "health: https://127.0.0.1:4000/health\n" in text
    command = ".venv/bin/fastchat chat --as alice --to bob --url wss://127.0.0.1:4000\n"
    assert f"  FASTCHAT_DATA_DIR='a b' {command}" in text


def test_commands_carry_a_token_when_the_secret_was_given():
    text = banner(CONFIG, URL, {"JWT_SECRET": SECRET})
    tokens = re.findall(r"--to \w+ --token (\S+)\n", text)
    assert [user_of(token) for token in tokens] == ["1", "2"]


def test_a_program_of_another_name_is_named_as_a_module(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/x/fastchat/__main__.py", "serve"])
    assert f"{sys.executable} -m fastchat chat --as alice" in banner(CONFIG, URL, {})


def user_of(token):
    return TokenChecker(bytes(range(48))).check(token).user_id


def test_banner_holds_a_valid_token_for_each_demo_user():
    tokens = re.findall(r'"token":"([^"]+)"', banner(CONFIG, URL, {}))
    assert [user_of(token) for token in tokens] == ["1", "2"]


def test_with_a_database_of_ones_own_no_demo_user_is_offered():
    config = load(PRODUCTION | DEVELOPMENT)
    text = banner(config, URL, {})
    assert "alice" not in text
    assert "gentoken --user ID" in text
    assert "Chat in the browser: http://127.0.0.1:3001/demo" in text.splitlines()


@pytest.fixture
def serve(monkeypatch):
    """Run the command with a server that is ready at once; return the exit code."""
    monkeypatch.setattr("fastchat.telemetry.logs.setup", lambda level, format: None)

    def run(config, on_ready=None):
        if on_ready is not None:
            on_ready(URL)
        return 3

    def serve(environ):
        for name in (*PRODUCTION, *DEVELOPMENT):
            monkeypatch.delenv(name, raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return main(["serve"])

    monkeypatch.setitem(sys.modules, "fastchat.app", SimpleNamespace(run=run))
    return serve


def test_in_development_the_banner_appears_once_the_port_is_open(serve, capsys, tmp_path):
    environ = DEVELOPMENT | {"FASTCHAT_DATA_DIR": str(tmp_path)}
    assert serve(environ) == 3
    assert URL in capsys.readouterr().out


def test_in_production_nothing_is_printed(serve, capsys):
    assert serve(PRODUCTION) == 3
    assert capsys.readouterr().out == ""


def test_chat_takes_its_names_url_and_token(monkeypatch):
    seen = []
    monkeypatch.setattr(chat, "run", lambda args: seen.append(vars(args)) or 0)
    assert main(["chat", "--as", "alice", "--to", "bob"]) == 0
    assert main(["chat", "--as", "a", "--to", "b", "--url", "ws://x", "--token", "t"]) == 0
    assert seen == [
        {"command": "chat", "as_name": "alice", "to": "bob", "url": URL, "token": None},
        {"command": "chat", "as_name": "a", "to": "b", "url": "ws://x", "token": "t"},
    ]
