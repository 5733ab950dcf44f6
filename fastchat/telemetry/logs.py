"""Logs: one line per event, JSON in production, never a message text, never a token.

Callers log a plain sentence and put what varies into ``extra``: ``log.warning("Pool is full",
extra={"waiting": 3})``. As a last line of defence every finished line is redacted here: whatever
looks like a token or a password in a URL is replaced, also inside exceptions.
"""

import json
import logging
import math
import re
import sys
from datetime import UTC, datetime
from typing import TextIO

REDACTED = "[redacted]"

# Three base64url parts, the first two JSON objects ("eyJ" is '{"'); any other three long parts
# joined by dots might be a token too.
_TOKEN = re.compile(
    r"\beyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?"
    r"|(?<![A-Za-z0-9_.-])[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"
)
_BEARER = re.compile(r"\b(bearer\s+)[^\s\"',]+", re.IGNORECASE)
# user:password@ of a URL, up to the last "@": a password may hold one that is not encoded.
_URL_PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.-]{1,30}://[^\s:/?#@\"']*:)[^\s\"']+(?=@)", re.I)
_NAMED_SECRET = re.compile(
    r"(\b\w*(?:token|password|passwd|pwd|secret|db_pass|encryption_keys?)"
    r"[\"']?\s*[=:]\s*[\"']?)[^\s&\"',;}]+",
    re.IGNORECASE,
)
_SECRET_FIELDS = frozenset(
    {"token", "password", "secret", "content", "text", "payload", "authorization"}
)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def redact(line: str) -> str:
    """Replace what looks like a token or a password; the rest of the line stays as it is."""
    line = _TOKEN.sub(REDACTED, line)
    line = _BEARER.sub(rf"\1{REDACTED}", line)
    line = _URL_PASSWORD.sub(rf"\1{REDACTED}", line)
    return _NAMED_SECRET.sub(rf"\1{REDACTED}", line)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """The caller's ``extra``, without what must never be logged whoever asks for it."""
    return {
        name: REDACTED if name.lower() in _SECRET_FIELDS else value
        for name, value in vars(record).items()
        if name not in _STANDARD
    }


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # arguments that do not fit must not cost the event
        return f"{record.msg} (its arguments do not fit)"


def _timestamp(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


class JsonFormatter(logging.Formatter):
    """One JSON object per event, exceptions included, on one line."""

    def __init__(self, worker: int | None = None) -> None:
        """Take the number of the worker whose events these are; None: of no worker."""
        super().__init__()
        self._fields = {} if worker is None else {"worker": worker}

    def format(self, record: logging.LogRecord) -> str:
        """Write the record; values JSON does not know become their text."""
        entry: dict[str, object] = {
            "time": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(_message(record)),
            **self._fields,
        }
        for name, value in _fields(record).items():
            entry.setdefault(name, _plain(value))
        if record.exc_info:
            entry["exception"] = redact(self.formatException(record.exc_info))
        if record.stack_info:
            entry["stack"] = redact(record.stack_info)
        return json.dumps(entry, ensure_ascii=True)


def _plain(value: object) -> object:
    """JSON's own scalars as they are, anything else as its redacted text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return redact(value if isinstance(value, str) else repr(value))


class TextFormatter(logging.Formatter):
    """One line for people; line breaks and control characters inside are escaped."""

    def __init__(self, worker: int | None = None) -> None:
        """Take the number of the worker whose events these are; None: of no worker."""
        super().__init__()
        self._suffix = "" if worker is None else f"[{worker}]"

    def format(self, record: logging.LogRecord) -> str:
        """Write the record, fields last as ``name=value``."""
        source = record.name + self._suffix
        line = f"{_timestamp(record)} {record.levelname:<7} {source}: {_message(record)}"
        for name, value in _fields(record).items():
            line += f" {name}={value!r}" if isinstance(value, str) else f" {name}={value}"
        if record.exc_info:
            line += f" | {self.formatException(record.exc_info)}"
        if record.stack_info:
            line += f" | {record.stack_info}"
        return _CONTROL.sub(_escape, redact(line))


# Line breaks would make two events of one, escapes would reach the terminal.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _escape(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode()


def setup(level: str, format: str, stream: TextIO | None = None, worker: int | None = None) -> None:
    """Send all logs to a stream, standard error unless told; calling it again replaces it.

    Writing is synchronous: a line costs about 20 µs, and the hot path logs nothing per message.
    Third parties speak only when it matters, and Python's own warnings are logged.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        format: ``json`` or ``text``.
        stream: Where the lines go.
        worker: Its number is in every line; None: this process is no worker.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(worker) if format == "json" else TextFormatter(worker))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    # When a stream fails (a full disk, a closed pipe), logging would print the arguments of the
    # call to standard error, past the redaction.
    logging.raiseExceptions = False
    for name in ("asyncio", "aiohttp", "asyncpg", "picows"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
