"""Log lines: one per event, whole JSON, and nothing secret in them."""

import io
import json
import logging
import time
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastchat.telemetry import logs

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl-_aGVyZQ"
log = logging.getLogger("fastchat.test")


@pytest.fixture
def lines():
    """Log in each format into a list of lines; the logging set-up is put back afterwards."""
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.raiseExceptions)
    streams = []

    def start(level="info", format="json"):
        stream = io.StringIO()
        streams.append(stream)
        logs.setup(level, format, stream)
        return lambda: stream.getvalue().splitlines()

    yield start
    logging.captureWarnings(False)
    root.handlers[:] = before[1]
    root.setLevel(before[0])
    logging.raiseExceptions = before[2]


def test_json_line_holds_time_level_logger_message_and_fields(lines):
    read = lines()
    log.warning("Pool is %s", "full", extra={"waiting": 3, "share": 0.9, "ok": None})
    (line,) = read()
    entry = json.loads(line)
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "level": "warning",
        "logger": "fastchat.test",
        "message": "Pool is full",
        "waiting": 3,
        "share": 0.9,
        "ok": None,
    }


def test_text_line_ends_with_the_fields(lines):
    read = lines(format="text")
    log.info("Connected", extra={"ip": "::1", "count": 2})
    (line,) = read()
    assert line.endswith("INFO    fastchat.test: Connected ip='::1' count=2")


@pytest.mark.parametrize("format", ["json", "text"])
def test_exception_is_one_line(lines, format):
    read = lines(format=format)
    try:
        raise ValueError(f"line one\nline two {TOKEN}")
    except ValueError:
        log.exception("Failed")
    (line,) = read()
    assert "ValueError" in line
    assert "line two" in line
    assert TOKEN not in line


@pytest.mark.parametrize("format", ["json", "text"])
@given(text=st.text(), field=st.text(max_size=20), value=st.text() | st.floats() | st.binary())
def test_no_text_makes_two_lines_or_broken_json(format, text, field, value):
    formatter = logs.JsonFormatter() if format == "json" else logs.TextFormatter()
    record = logging.LogRecord("n", logging.INFO, "p", 1, text, None, None)
    record.varying = value
    line = formatter.format(record)
    assert len(line.splitlines()) == 1
    if format == "json":
        json.loads(line, parse_constant=pytest.fail)


def test_field_cannot_replace_the_message(lines):
    read = lines()
    record = log.makeRecord("n", logging.INFO, "p", 1, "true message", (), None)
    record.level = "forged"
    log.handle(record)
    entry = json.loads(read()[0])
    assert (entry["message"], entry["level"]) == ("true message", "info")


SECRETS = [
    (f"got {TOKEN} from", TOKEN),
    (f"Authorization: Bearer {TOKEN}", TOKEN),
    ("authorization: bearer opaque-value", "opaque-value"),
    ("a" * 20 + "." + "b" * 20 + "." + "c" * 20, "b" * 20),
    ("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", "eyJzdWIiOiIxIn0"),
    ("postgresql://chat:hunter2@db/chat", "hunter2"),
    ("postgresql://chat:hun@ter2@db/chat", "hun@ter2"),
    ("redis://:hunter2@cache:6379", "hunter2"),
    ("GET /?token=hunter2&x=1", "hunter2"),
    ("GET /?access_token=hunter2", "hunter2"),
    ("password=hunter2", "hunter2"),
    ('{"password": "hunter2"}', "hunter2"),
    ("JWT_SECRET=hunter2 DB_PASS=hunter2 CHAT_ENCRYPTION_KEY=hunter2", "hunter2"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
@pytest.mark.parametrize("format", ["json", "text"])
def test_what_looks_like_a_secret_is_redacted_in_message_and_fields(lines, format, text, secret):
    read = lines(format=format)
    log.info(text)
    log.info("In a field", extra={"where": text, "nested": {"deep": [text]}})
    log.info("As an argument: %s", text)
    assert len(read()) == 3
    assert secret not in "".join(read())
    assert "[redacted]" in read()[1]


@pytest.mark.parametrize("name", ["token", "password", "content", "payload", "Authorization"])
def test_fields_that_may_never_be_logged_are_redacted_whatever_they_hold(lines, name):
    read = lines()
    log.info("Sent", extra={name: "hello"})
    assert json.loads(read()[0])[name] == "[redacted]"


@pytest.mark.parametrize(
    "text",
    [
        "listening on ws://127.0.0.1:3001",
        "fastchat.store.writer restarted version 0.1.0",
        "10.0.0.1 closed 1013 Slow consumer",
        "2 tokens checked",
        "message 123456789012345678-42",
    ],
)
def test_ordinary_lines_stay_as_they_are(text):
    assert logs.redact(text) == text


@pytest.mark.parametrize("unit", ["a", "a.a-", "x:", "eyJ.", "://:", "token", "a://b:", "a_"])
def test_redaction_takes_linear_time(unit):
    # A pattern that backtracks would need minutes for this.
    before = time.process_time()
    logs.redact(unit * 50_000)
    assert time.process_time() - before < 5.0


def test_less_severe_events_are_not_logged(lines):
    read = lines(level="warning")
    log.info("quiet")
    log.warning("loud")
    assert [json.loads(line)["message"] for line in read()] == ["loud"]


def test_arguments_that_do_not_fit_do_not_cost_the_event(lines):
    read = lines()
    log.info("%d of %d", 1)
    assert "arguments do not fit" in read()[0]


def test_setup_again_replaces_the_first_one(lines):
    first = lines()
    second = lines()
    log.info("once")
    assert (len(first()), len(second())) == (0, 1)


def test_python_warnings_are_logged(lines):
    read = lines()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old\nthing", UserWarning, stacklevel=1)
    assert any("old" in line for line in read()), read()


def test_failing_stream_does_not_reach_the_caller(lines, capsys):
    lines()
    logging.getLogger().handlers[0].setStream(type("Full", (), {"write": _fail, "flush": _fail})())
    log.info("lost", extra={"token": "x"})
    assert capsys.readouterr().err == ""


def _fail(*_):
    raise OSError("No space left on device")
