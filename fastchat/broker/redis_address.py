"""Where a Redis is and who we are to it: the URL of the settings, parsed."""

import re
import ssl
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, unquote, urlsplit

EXPECTED = "redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH, with USER:PASSWORD@ if needed"
DEFAULT_PORT = 6379
DEFAULT_USER = "default"  # who has the password when an URL names no user
MOST_PORT = 65535


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One server, and how to log in there.

    ``path`` is the Unix socket, empty where ``host`` and ``port`` are used. ``db`` selects
    nothing, since published messages know no databases; it keeps the channels of two
    installations apart. With ``is_verified`` the certificate must be of an authority in
    ``ca_file``, or of one the system knows where that is empty.
    """

    host: str = ""
    port: int = DEFAULT_PORT
    path: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    db: int = 0
    is_encrypted: bool = False
    is_verified: bool = True
    ca_file: str = ""

    @classmethod
    def parse(cls, url: str) -> "RedisAddress":
        """Read ``redis://``, ``rediss://`` or ``unix://``.

        Parameters after ``?``: ``db``, and with ``rediss://`` also ``ssl_cert_reqs`` (``none``:
        the certificate is not verified) and ``ssl_ca_certs`` (a file of certificates).

        Raises:
            ValueError: what was expected; the URL itself is not repeated, it may hold a secret.
        """
        try:
            parts = urlsplit(url.strip())
            port = parts.port
            parameters = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
        except ValueError:
            raise ValueError(EXPECTED) from None
        if parts.scheme not in ("redis", "rediss", "unix") or parts.fragment:
            raise ValueError(EXPECTED)
        is_encrypted = parts.scheme == "rediss"
        common = cls(
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            is_encrypted=is_encrypted,
            is_verified=_is_verified(parameters.pop("ssl_cert_reqs", ""), is_encrypted),
            ca_file=_ca_file(parameters.pop("ssl_ca_certs", ""), is_encrypted),
            db=_database(parameters.pop("db", "")),
        )
        if parameters:
            raise ValueError(f"no parameter but db, ssl_cert_reqs and ssl_ca_certs: {EXPECTED}")
        if common.user and not common.password:
            raise ValueError(f"a password beside the user: {EXPECTED}")
        if parts.scheme == "unix":
            if parts.hostname or not parts.path.startswith("/") or port is not None:
                raise ValueError(f"an absolute path after unix://: {EXPECTED}")
            return replace(common, path=unquote(parts.path))
        if not parts.hostname or port == 0:
            raise ValueError(EXPECTED)
        name = parts.path.strip("/")
        return replace(
            common,
            host=parts.hostname,
            port=DEFAULT_PORT if port is None else port,
            db=_database(name) if name else common.db,
        )

    def at(self, host: str, port: int) -> "RedisAddress":
        """Return the address of another server of the same cluster."""
        return replace(self, host=host, port=port, path="")

    def credentials(self) -> tuple[str, ...]:
        """Return what follows ``AUTH``: user and password, or nothing when there is no password."""
        return (self.user or DEFAULT_USER, self.password) if self.password else ()

    def tls_context(self) -> ssl.SSLContext | None:
        """Return how to encrypt, None: not at all.

        Raises:
            OSError: the file of certificates cannot be read.
        """
        if not self.is_encrypted:
            return None
        context = ssl.create_default_context(cafile=self.ca_file or None)
        if not self.is_verified:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def __str__(self) -> str:
        """Return where it is, without a secret."""
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _database(text: str) -> int:
    if text and not re.fullmatch(r"[0-9]{1,5}", text):
        raise ValueError(f"a number as database: {EXPECTED}/DATABASE")
    return int(text or 0)


def _is_verified(text: str, is_encrypted: bool) -> bool:
    if text and (text not in ("none", "required") or not is_encrypted):
        raise ValueError("ssl_cert_reqs to be none or required, and with rediss:// alone")
    return text != "none"


def _ca_file(text: str, is_encrypted: bool) -> str:
    if text and not is_encrypted:
        raise ValueError("ssl_ca_certs with rediss:// alone")
    return text
