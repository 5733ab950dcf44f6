"""``fastchat check``, apart from what it asks a real database."""

import socket
import subprocess

import pytest

from fastchat.cli.check import checks, descriptor_line, key_lines, tls_lines
from fastchat.config import DOCUMENTED_ENCRYPTION_KEY, load
from tests.unit.config.test_config import DEVELOPMENT, PRODUCTION

MAKE_CERTIFICATE = [
    "openssl",
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-subj",
    "/CN=localhost",
]
GOOD_KEY = "vK3_9sQx-Lp0aWmZ7bTgYc2RdHfEuJn5"


def outcome(lines):
    return {line.subject: line.level for line in lines}


def test_wrong_settings_are_one_failure_each():
    lines = list(checks({"PORT": "x"}))
    assert [line.level for line in lines] == ["FAIL"] * 4
    assert lines[0].found.startswith("PORT='x'")


def test_development_without_any_setting_passes(tmp_path):
    lines = list(checks(DEVELOPMENT | {"FASTCHAT_DATA_DIR": str(tmp_path / "new")}))
    assert {line.level for line in lines} == {"ok"}
    assert not (tmp_path / "new").exists()


def test_data_directory_that_cannot_be_made_fails(tmp_path):
    (tmp_path / "file").write_text("")
    lines = checks(DEVELOPMENT | {"FASTCHAT_DATA_DIR": str(tmp_path / "file" / "data")})
    assert outcome(lines)["FASTCHAT_DATA_DIR"] == "FAIL"


@pytest.mark.parametrize(
    ("key", "level"),
    [(GOOD_KEY, "ok"), (GOOD_KEY[:31], "warn"), ("ab" * 20, "warn")],
)
def test_guessable_encryption_key_is_a_warning_and_not_shown(key, level):
    lines = list(key_lines(load(PRODUCTION | {"CHAT_ENCRYPTION_KEY": key})))
    assert outcome(lines) == {"JWT_SECRET": "ok", "CHAT_ENCRYPTION_KEY": level}
    assert key not in repr(lines)


def test_every_key_of_the_ring_is_judged():
    config = load(PRODUCTION | {"CHAT_ENCRYPTION_KEYS": f"new:{GOOD_KEY},old:short"})
    found = outcome(key_lines(config))
    assert found["CHAT_ENCRYPTION_KEYS, new"] == "ok"
    assert found["CHAT_ENCRYPTION_KEYS, old"] == "warn"


def test_published_key_is_a_warning_in_development():
    config = load(DEVELOPMENT | {"CHAT_ENCRYPTION_KEY": DOCUMENTED_ENCRYPTION_KEY})
    assert outcome(key_lines(config))["CHAT_ENCRYPTION_KEY"] == "warn"


@pytest.mark.parametrize(("limit", "level"), [(123, "FAIL"), (124, "ok"), (-1, "ok")])
def test_descriptors_must_suffice_for_connections_database_and_files(limit, level):
    config = load(PRODUCTION)  # 50 connections, 10 to the database, 64 others
    assert descriptor_line(config, limit).level == level


def test_certificate_and_key_must_fit_together(tmp_path):
    paths = [str(tmp_path / name) for name in ("a.key", "a.pem", "b.key", "b.pem")]
    for key, cert in (paths[:2], paths[2:]):
        subprocess.run(
            [*MAKE_CERTIFICATE, "-keyout", key, "-out", cert],
            check=True,
            capture_output=True,
            timeout=30,
        )
    for key, cert, level in ((paths[0], paths[1], "ok"), (paths[0], paths[3], "FAIL")):
        config = load(DEVELOPMENT | {"TLS_KEY": key, "TLS_CERT": cert})
        assert outcome(tls_lines(config)) == {"TLS": level}


def test_database_that_refuses_is_one_failure_without_the_password():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        url = f"postgresql://u:hunter2@127.0.0.1:{closed.getsockname()[1]}/n"
        lines = list(checks(PRODUCTION | {"DATABASE_URL": url, "DB_SSL": "false"}))
    assert outcome(lines)["database"] == "FAIL"
    assert "hunter2" not in repr(lines)


def test_database_that_never_answers_is_given_up_at_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u:p@127.0.0.1:{silent.getsockname()[1]}/n"
        settings = {"DATABASE_URL": url, "DB_SSL": "false", "DB_CONNECTION_TIMEOUT": "100"}
        lines = list(checks(PRODUCTION | settings))
    assert lines[-1].found == "no answer within DB_CONNECTION_TIMEOUT"
