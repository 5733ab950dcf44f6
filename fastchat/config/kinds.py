"""Kinds of settings: from the text of a variable to its value.

A parser raises ``ValueError`` with what was expected, and never repeats what was found: it might be
a secret.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from fastchat.broker.redis_address import RedisAddress

Network = IPv4Network | IPv6Network

MIN_JWT_SECRET_BYTES = 32  # HS256: RFC 7518, section 3.2
LONGEST_MS = 2_147_483_647
MOST = 1_000_000_000
TLS_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")  # of libpq
TLS_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")


@dataclass(frozen=True, slots=True)
class Kind:
    """What the values of a setting are: their unit for people, their parser, the unset value."""

    unit: str
    parse: Callable[[str], object]
    unset: object = ""


def whole(lowest: int, highest: int, unit: str) -> Kind:
    """Whole numbers in a range."""
    return Kind(unit, lambda value: _whole_number(value, lowest, highest))


def milliseconds(lowest: int) -> Kind:
    """Durations: milliseconds in the environment, seconds inside."""
    return Kind("ms", lambda value: _whole_number(value, lowest, LONGEST_MS, " ms") / 1000)


def _whole_number(value: str, lowest: int, highest: int, unit: str = "") -> int:
    # ASCII digits only: int() also takes the digits of other scripts, and "1_0".
    if re.fullmatch(r"[+-]?[0-9]{1,20}", value.strip()) and lowest <= int(value) <= highest:
        return int(value)
    raise ValueError(f"a whole number from {lowest} to {highest}{unit}")


def choice(*names: str) -> Kind:
    """One of some names, in any case."""

    def parse(value: str) -> str:
        if value.strip().lower() in names:
            return value.strip().lower()
        raise ValueError("one of " + ", ".join(names))

    return Kind("name", parse)


def text(unit: str) -> Kind:
    """Any text, without the white space around it."""
    return Kind(unit, str.strip)


def _boolean(value: str) -> bool:
    if value.strip().lower() in ("true", "1", "yes", "on"):
        return True
    if value.strip().lower() in ("false", "0", "no", "off"):
        return False
    raise ValueError("true or false")


def _readable_file(value: str) -> str:
    path = value.strip()
    try:
        with open(path, "rb"):
            return path
    except OSError as error:
        raise ValueError(f"a readable file ({error.strerror})") from None


def _networks(value: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(part) for part in _parts(value))
    except ValueError:
        raise ValueError(
            "networks such as 10.0.0.0/8 (no bits after the prefix), separated by commas"
        ) from None


def _origins(value: str) -> tuple[str, ...]:
    parts = _parts(value)
    if parts == ["*"]:
        return ()
    for part in parts:
        if part != "null" and not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#\s*]+", part):
            raise ValueError(
                "origins such as https://example.com (scheme, host and port, no path),"
                " separated by commas"
            )
    return tuple(part.lower() for part in parts)


def _database_url(value: str) -> str:
    try:
        parts = urlsplit(value.strip())
        valid = parts.scheme in ("postgres", "postgresql") and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("postgresql://USER:PASSWORD@HOST:PORT/NAME")
    parameters = parse_qs(parts.query)
    if not set(parameters.get("sslmode", ())) <= set(TLS_MODES):
        raise ValueError("sslmode to be one of " + ", ".join(TLS_MODES))
    for name in TLS_FILES:
        for path in parameters.get(name, ()):
            try:
                _readable_file(path)
            except ValueError as error:
                raise ValueError(f"{name} to be {error}") from None
    return value.strip()


def _redis_url(value: str) -> str:
    RedisAddress.parse(value)
    return value.strip()


def parse_jwt_secret(value: str) -> bytes:
    """Decode the key of the tokens; it must be long enough for HS256."""
    expected = f"base64 of at least {MIN_JWT_SECRET_BYTES} bytes"
    try:
        secret = base64.b64decode(value.strip(), validate=True)
    except ValueError:
        raise ValueError(expected) from None
    if len(secret) < MIN_JWT_SECRET_BYTES:
        raise ValueError(f"{expected}, it has {len(secret)}")
    return secret


def _webhook_secret(value: str) -> bytes:
    """Decode the key of the signatures; the prefix is how other programs write such keys."""
    return parse_jwt_secret(value.strip().removeprefix("whsec_"))


def _webhook_url(value: str) -> str:
    parts = urlsplit(value.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise ValueError("http://HOST/PATH or https://HOST/PATH")
    return value.strip()


def _key_ring(value: str) -> tuple[tuple[str, str], ...]:
    keys: dict[str, str] = {}
    for part in _parts(value):
        name, _, key = part.partition(":")
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,32}", name) or not key or name in keys:
            raise ValueError(
                "ID:KEY pairs separated by commas, each ID once (1 to 32 of A-Z a-z 0-9 _ . -)"
            )
        keys[name] = key
    return tuple(keys.items())


def _picture_url(value: str) -> str:
    template = value.strip()
    rest = template.replace("{type}", "").replace("{id}", "")
    if "{id}" in template and not {"{", "}"} & set(rest) and re.match(r"https?://|/", template):
        return template
    raise ValueError("a URL with {id} and, if needed, {type}")


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


BOOLEAN = Kind("boolean", _boolean)
SECRET_TEXT = Kind("text", str)  # as given: every character of a key counts
PATH = Kind("path", lambda value: Path(value.strip()))
READABLE_FILE = Kind("path", _readable_file)
NETWORKS = Kind("networks", _networks, ())
ORIGINS = Kind("origins", _origins, ())
DATABASE_URL = Kind("URL", _database_url)
REDIS_URL = Kind("URL", _redis_url)
JWT_SECRET = Kind("base64", parse_jwt_secret, b"")
KEY_RING = Kind("`id:key,…`", _key_ring, ())
WEBHOOK_URL = Kind("URL", _webhook_url)
WEBHOOK_SECRET = Kind("base64", _webhook_secret, b"")
PICTURE_URL = Kind("URL", _picture_url)
