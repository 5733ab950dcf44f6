"""``gentoken`` and ``checktoken``: what one makes, the other accepts and never prints."""

import base64
import io

import pytest

from fastchat.auth.tokens import TokenChecker
from fastchat.cli import main
from tests.unit.config.test_config import PRODUCTION, SECRET


@pytest.fixture(autouse=True)
def production(monkeypatch):
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)


def generate(capsys, *arguments):
    assert main(["gentoken", "--user", "42", *arguments]) == 0
    return capsys.readouterr().out.strip()


def test_generated_token_is_valid_for_an_hour(capsys):
    token = generate(capsys)
    assert main(["checktoken", token]) == 0
    output = capsys.readouterr().out
    assert "user id: 42" in output
    assert output.startswith(("valid for 3600 s", "valid for 3599 s"))


def test_lifetime_is_as_asked(capsys):
    token = generate(capsys, "--expires", "60")
    assert main(["checktoken", token]) == 0
    assert capsys.readouterr().out.startswith(("valid for 60 s", "valid for 59 s"))


def test_token_is_never_printed_by_the_check(capsys):
    token = generate(capsys)
    for candidate in (token, token[:-2], "x" + token):
        main(["checktoken", candidate])
        captured = capsys.readouterr()
        assert candidate not in captured.out + captured.err


def test_token_of_another_secret_is_not_valid(capsys, monkeypatch):
    token = generate(capsys)
    monkeypatch.setenv("JWT_SECRET", base64.b64encode(bytes(48)).decode())
    assert main(["checktoken", token]) == 1
    assert capsys.readouterr().out.startswith("not valid: ")


def test_token_is_read_from_the_input_when_it_is_a_dash(capsys, monkeypatch):
    token = generate(capsys)
    monkeypatch.setattr("sys.stdin", io.StringIO(token + "\n"))
    assert main(["checktoken", "-"]) == 0


def test_missing_secret_is_explained(capsys, monkeypatch):
    monkeypatch.delenv("JWT_SECRET")
    assert main(["gentoken", "--user", "1"]) == 1
    captured = capsys.readouterr()
    assert (captured.out, "JWT_SECRET: not set" in captured.err) == ("", True)


def test_wrong_secret_is_explained_and_not_shown(capsys, monkeypatch):
    monkeypatch.setenv("JWT_SECRET", SECRET[:20])
    assert main(["gentoken", "--user", "1"]) == 1
    captured = capsys.readouterr()
    assert "at least 32 bytes" in captured.err
    assert SECRET[:20] not in captured.err


def test_only_the_secret_is_needed_to_make_a_token(capsys, monkeypatch):
    for name in ("CHAT_ENCRYPTION_KEY", "DATABASE_URL"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PORT", "wrong")
    assert generate(capsys)


def test_development_uses_the_secret_of_the_data_directory(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("JWT_SECRET")
    monkeypatch.setenv("NODE_ENV", "development")
    monkeypatch.setenv("FASTCHAT_DATA_DIR", str(tmp_path / "data"))
    token = generate(capsys)
    assert main(["checktoken", token]) == 0
    monkeypatch.setenv("FASTCHAT_DATA_DIR", str(tmp_path / "other"))
    assert main(["checktoken", token]) == 1


def test_a_token_of_the_backend_names_no_user_and_is_none_of_a_user(capsys):
    assert main(["gentoken", "--service"]) == 0
    token = capsys.readouterr().out.strip()
    assert TokenChecker(base64.b64decode(SECRET)).check_service(token) is None
    assert main(["checktoken", token]) == 1
    assert "names no user" in capsys.readouterr().out
