"""The JWT secret for commands that need nothing else of the settings."""

from collections.abc import Mapping
from pathlib import Path

from fastchat.cli.development import SECRETS_FILE, development_secrets
from fastchat.config import ConfigError
from fastchat.config.kinds import parse_jwt_secret
from fastchat.config.settings import SETTINGS


def jwt_secret(environ: Mapping[str, str]) -> bytes:
    """Take ``JWT_SECRET``, or in development the generated one.

    Only the variables that matter are read: a token can be made without a database.

    Raises:
        ConfigError: the secret is missing or wrong.
    """
    text = environ.get("JWT_SECRET", "")
    if not text.strip() and environ.get("NODE_ENV", "").strip().lower() == "development":
        defaults = {setting.name: setting.default or "" for setting in SETTINGS}
        name = "FASTCHAT_DATA_DIR"
        folder = environ.get(name, "").strip() or defaults[name]
        text = development_secrets(Path(folder))["JWT_SECRET"]
    if not text.strip():
        raise ConfigError(["JWT_SECRET: not set (with NODE_ENV=development one is generated)"])
    try:
        return parse_jwt_secret(text)
    except ValueError as error:
        raise ConfigError(
            [f"JWT_SECRET ({len(text)} characters, not shown): expected {error}"]
        ) from None


def server_secret(environ: Mapping[str, str]) -> bytes:
    """Take the secret of a server on this machine.

    With neither ``JWT_SECRET`` nor ``NODE_ENV`` set, the one that a development server has left in
    ``FASTCHAT_DATA_DIR`` is used, so that a second terminal needs no settings.

    Raises:
        ConfigError: there is none.
        DevelopmentError: the data directory cannot be used.
    """
    folder = environ.get("FASTCHAT_DATA_DIR", "").strip() or ".fastchat"
    is_unset = not any(environ.get(name, "").strip() for name in ("JWT_SECRET", "NODE_ENV"))
    if is_unset and Path(folder, SECRETS_FILE).exists():
        environ = {**environ, "NODE_ENV": "development"}
    return jwt_secret(environ)
