"""The settings: the environment, read once, validated, frozen.

``settings.SETTINGS`` says everything about every variable; this module reads them all and holds
what they may not be together. Milliseconds exist only in the environment: inside there are seconds
(``float``) and bytes. All wrong settings are reported at once, and secrets are never shown.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fastchat.config.kinds import MIN_JWT_SECRET_BYTES, Network
from fastchat.config.settings import REDIS_NAMES, SETTINGS, Setting

LEAST_CONNECTIONS = 3  # to the database, for one of several workers: writer, pool, recovery
DOCUMENTED_ENCRYPTION_KEY = "super-secure-aes-encryption-key-32"


class ConfigError(Exception):
    """Wrong settings; ``problems`` has one line for each."""

    def __init__(self, problems: list[str]) -> None:
        """Take the lines; none of them contains a secret."""
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every setting, parsed; durations in seconds, sizes in bytes.

    The fields have the names of the variables in lower case. In development ``jwt_secret`` and
    ``chat_encryption_key`` are empty until the generated ones are filled in with
    ``dataclasses.replace``; an empty ``database_url`` and ``db_host`` mean the embedded database.
    """

    host: str
    port: int
    node_env: str
    web_concurrency: int
    max_connections: int
    max_connections_per_ip: int
    max_payload_size: int
    keep_alive_timeout: float
    connection_timeout: float
    auth_timeout: float
    shutdown_timeout: float
    trusted_proxies: tuple[Network, ...]
    allowed_origins: tuple[str, ...]  # lower case; empty: any
    demo_page: bool
    message_rate_limit: int
    command_rate_limit: int
    ip_rate_limit: int
    max_message_length: int
    max_group_members: int
    edit_window: float
    presence_scope: str
    offline_grace_period: float
    event_delivery_delay: float
    profile_picture_url_template: str
    database_url: str = field(repr=False)
    db_host: str
    db_port: int
    db_name: str
    db_user: str
    db_pass: str = field(repr=False)
    db_ssl: bool
    db_max_connections: int
    db_min_connections: int
    db_idle_timeout: float  # 0.0: never
    db_connection_timeout: float
    db_statement_timeout: float
    db_query_timeout: float
    block_check_fail_open: bool
    redis_url: str = field(repr=False)  # the first one set of the three variables
    jwt_secret: bytes = field(repr=False)  # decoded
    revocation_check_interval: float
    chat_encryption_key: str = field(repr=False)
    chat_encryption_keys: tuple[tuple[str, str], ...] = field(repr=False)  # (id, key)
    chat_encryption_salt: str = field(repr=False)
    encryption_format: str
    encryption_fallback_plaintext: bool
    webhook_url: str = field(repr=False)  # empty: no webhooks
    webhook_secret: bytes = field(repr=False)  # decoded
    system_user_id: str
    tls_key: str
    tls_cert: str
    tls_ca: str
    log_level: str
    log_format: str
    fastchat_data_dir: Path
    warnings: tuple[str, ...] = ()  # what the operator should hear once, at start

    @property
    def is_development(self) -> bool:
        """Whether generated secrets and demo users are in use."""
        return self.node_env == "development"

    @property
    def demo_secret(self) -> bytes | None:
        """What signs tokens of the demo users; None where there are no such users."""
        return self.jwt_secret if self.is_development and self.uses_embedded_database else None

    @property
    def uses_embedded_database(self) -> bool:
        """Whether no database is named, so that fastchat runs its own."""
        return not self.database_url and not self.db_host

    def url_at(self, port: int) -> str:
        """Where a client on this machine connects to."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host
        shown = f"[{host}]" if ":" in host else host
        return f"{'wss' if self.tls_cert else 'ws'}://{shown}:{port}"

    def for_one_worker(self) -> "Config":
        """The same settings, with one worker's share of the database connections."""
        most = self.db_max_connections // self.web_concurrency
        least = -(-self.db_min_connections // self.web_concurrency)
        return replace(self, db_max_connections=most, db_min_connections=min(least, most))


def load(environ: Mapping[str, str]) -> Config:
    """Read all settings; empty variables count as unset.

    Raises:
        ConfigError: one line for each wrong or missing setting, all at once.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    wrong: set[str] = set()
    for setting in SETTINGS:
        given = environ.get(setting.name, "")
        text = given if given.strip() else setting.default
        try:
            values[setting.field] = _unset(setting) if text is None else setting.kind.parse(text)
        except ValueError as error:
            values[setting.field] = _unset(setting)
            wrong.add(setting.name)
            problems.append(f"{_found(setting, given)}: expected {error}")
    given_names = {name for name, text in environ.items() if text.strip()}
    urls = [values.pop(name.lower()) for name in REDIS_NAMES]
    values["redis_url"] = next(filter(None, urls), "")
    if not values["log_format"]:
        values["log_format"] = "text" if values["node_env"] == "development" else "json"
    if values["demo_page"] == "":
        values["demo_page"] = values["node_env"] == "development"
    problems += _contradictions(values, given_names, wrong)
    if values["node_env"] == "production":
        problems += _missing_in_production(values, wrong)
    if problems:
        raise ConfigError(problems)
    return Config(**values, warnings=tuple(_warnings(values, given_names)))


def _unset(setting: Setting) -> object:
    if setting.default is None:
        return setting.kind.unset
    return setting.kind.parse(setting.default)


def _found(setting: Setting, given: str) -> str:
    if setting.secret:
        return f"{setting.name} ({len(given)} characters, not shown)"
    return f"{setting.name}={given[:200]!r}"


def _contradictions(values: dict[str, Any], given: set[str], wrong: set[str]) -> list[str]:
    problems = []
    least, most = values["db_min_connections"], values["db_max_connections"]
    if least > most and not wrong & {"DB_MIN_CONNECTIONS", "DB_MAX_CONNECTIONS"}:
        problems.append(f"DB_MIN_CONNECTIONS={least}: expected at most DB_MAX_CONNECTIONS={most}")
    workers = values["web_concurrency"]
    needed = workers * LEAST_CONNECTIONS
    if workers > 1 and most < needed and "DB_MAX_CONNECTIONS" not in wrong:
        problems.append(
            f"DB_MAX_CONNECTIONS={most}: expected at least {needed},"
            f" {LEAST_CONNECTIONS} for each of WEB_CONCURRENCY={workers} workers"
        )
    parts = ("DB_HOST", "DB_NAME", "DB_USER")
    missing = [name for name in parts if name not in given]
    if "DATABASE_URL" not in given and 0 < len(missing) < len(parts):
        problems.append(
            f"{', '.join(missing)}: not set, expected together with the other DB_* ones"
        )
    if ("TLS_KEY" in given) != ("TLS_CERT" in given):
        unset = "TLS_CERT" if "TLS_KEY" in given else "TLS_KEY"
        problems.append(f"{unset}: not set, expected both TLS_KEY and TLS_CERT, or none")
    if "TLS_CA" in given and not {"TLS_KEY", "TLS_CERT"} & given:
        problems.append("TLS_CA: set, expected TLS_KEY and TLS_CERT beside it")
    if ("WEBHOOK_URL" in given) != ("WEBHOOK_SECRET" in given):
        unset = "WEBHOOK_SECRET" if "WEBHOOK_URL" in given else "WEBHOOK_URL"
        problems.append(f"{unset}: not set, expected both WEBHOOK_URL and WEBHOOK_SECRET, or none")
    secret = values["jwt_secret"]
    if secret and values["webhook_secret"] == secret:
        problems.append("WEBHOOK_SECRET: equals JWT_SECRET, expected a key of its own")
    named = (("CHAT_ENCRYPTION_KEY", values["chat_encryption_key"]),)
    for name, key in named + values["chat_encryption_keys"]:
        label = name if name == "CHAT_ENCRYPTION_KEY" else f"CHAT_ENCRYPTION_KEYS, key {name!r}"
        if key and secret and _same_key(key, secret):
            problems.append(f"{label}: equals JWT_SECRET, expected a key of its own")
        if key == DOCUMENTED_ENCRYPTION_KEY and values["node_env"] == "production":
            problems.append(f"{label}: is the published example, expected a secret key")
    return problems


def _same_key(key: str, secret: bytes) -> bool:
    if key.encode(errors="surrogateescape") == secret:
        return True
    try:
        return base64.b64decode(key.strip(), validate=True) == secret
    except ValueError:
        return False


def _missing_in_production(values: dict[str, Any], wrong: set[str]) -> list[str]:
    problems = []
    for name, what in (
        ("JWT_SECRET", f"base64 of at least {MIN_JWT_SECRET_BYTES} bytes"),
        ("CHAT_ENCRYPTION_KEY", "a secret key, best 32 random characters"),
    ):
        if not values[name.lower()] and name not in wrong:
            problems.append(f"{name}: not set, expected {what}")
    if not wrong & {"DATABASE_URL"} and not any(
        values[name] for name in ("database_url", "db_host", "db_name", "db_user")
    ):
        problems.append("DATABASE_URL: not set, expected it or DB_HOST, DB_NAME and DB_USER")
    return problems


def _warnings(values: dict[str, Any], given: set[str]) -> list[str]:
    warnings = []
    if "DATABASE_URL" in given and given & {"DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASS"}:
        warnings.append("DATABASE_URL: used; DB_HOST, DB_PORT, DB_NAME, DB_USER, DB_PASS are not")
    if values["node_env"] == "production" and not values["allowed_origins"]:
        warnings.append("ALLOWED_ORIGINS: not set, so pages of any origin may connect")
    if values["node_env"] == "production" and values["webhook_url"].startswith("http:"):
        warnings.append("WEBHOOK_URL: http, so messages in webhooks can be read on the way")
    if values["encryption_fallback_plaintext"]:
        warnings.append(
            "ENCRYPTION_FALLBACK_PLAINTEXT: on; a message whose encryption fails is stored readable"
        )
    return warnings
