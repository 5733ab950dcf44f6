"""From settings to the arguments of ``asyncpg.connect``."""

import logging
import ssl as tls
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

log = logging.getLogger(__name__)

APPLICATION_NAME = "fastchat"


def connect_arguments(
    *,
    dsn: str = "",
    host: str = "",
    port: int = 5432,
    name: str = "",
    user: str = "",
    password: str = "",
    ssl: bool = True,
    ca_file: str = "",
    server_settings: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Return the keyword arguments that reach the configured database.

    Args:
        dsn: The whole address; when given, host to password are not used. What it says of TLS
            (``sslmode`` and the like, with the meanings that libpq gives them) is done.
        host: Name, address, or folder of a Unix socket.
        port: TCP port.
        name: Database.
        user: Role.
        password: Of the role; empty: none.
        ssl: Encrypt the connection, where ``dsn`` has no ``sslmode``. A Unix socket is never
            encrypted.
        ca_file: Certificates to verify the server with; without them it is not verified.
        server_settings: PostgreSQL settings of this connection.

    Raises:
        OSError: the certificates cannot be read.
    """
    arguments: dict[str, Any] = {
        "server_settings": {"application_name": APPLICATION_NAME, **(server_settings or {})},
    }
    if dsn:
        ca_file = _parameter(dsn, "sslrootcert") or ca_file
        if _parameter(dsn, "sslmode"):
            if ca_file and not _parameter(dsn, "sslrootcert"):
                dsn += f"&sslrootcert={quote(ca_file)}"
            return arguments | {"dsn": dsn}
        arguments["dsn"] = dsn
    else:
        arguments |= {"host": host, "port": port, "database": name, "user": user}
        if password:
            arguments["password"] = password
    arguments["ssl"] = _tls_context(ca_file) if ssl and not host.startswith("/") else False
    return arguments


def _tls_context(ca_file: str) -> tls.SSLContext:
    context = tls.create_default_context(cafile=ca_file or None)
    if not ca_file:
        context.check_hostname = False
        context.verify_mode = tls.CERT_NONE
    return context


def _parameter(dsn: str, name: str) -> str:
    """Return a parameter of an address, empty when it has none."""
    return parse_qs(urlsplit(dsn).query).get(name, [""])[-1]


def warn_of_unverified_server(*, ssl: bool, ca_file: str = "", dsn: str = "") -> None:
    """Say once, at start, what the connection to the database does not protect from."""
    mode = _parameter(dsn, "sslmode") or ("require" if ssl else "disable")
    ca_file = _parameter(dsn, "sslrootcert") or ca_file
    if mode in ("allow", "prefer"):
        log.warning("sslmode=%s: the database connection may be unencrypted", mode)
    elif mode == "require" and not ca_file:
        log.warning("the database connection is encrypted, but its server is not verified")
