"""Development only: secrets that are made once and kept, and who the demo users are.

The secrets live in ``FASTCHAT_DATA_DIR``, readable by their owner only, so that tokens and stored
messages outlive a restart.
"""

import base64
import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fastchat.config import Config, load

SECRETS_FILE = "secrets.json"
NAMES = ("JWT_SECRET", "CHAT_ENCRYPTION_KEY")
DEMO_USERS = {"alice": "1", "bob": "2", "carol": "3"}  # as the development tables have them


class DevelopmentError(Exception):
    """Something in the data directory is not as it should be."""


def load_complete(environ: Mapping[str, str]) -> Config:
    """Read the settings; in development fill in the generated secrets where none is set.

    Raises:
        ConfigError: settings are wrong.
        DevelopmentError: the data directory cannot be used.
    """
    config = load(environ)
    if not config.is_development or (config.jwt_secret and config.chat_encryption_key):
        return config
    generated = development_secrets(config.fastchat_data_dir)
    return replace(
        config,
        jwt_secret=config.jwt_secret or base64.b64decode(generated["JWT_SECRET"]),
        chat_encryption_key=config.chat_encryption_key or generated["CHAT_ENCRYPTION_KEY"],
    )


def development_secrets(data_dir: Path) -> dict[str, str]:
    """Read the secrets of a data directory; make them, in a file of mode 0600, the first time.

    Two processes that start at once end up with the same secrets.

    Raises:
        DevelopmentError: the directory cannot be written or the file is damaged.
    """
    path = data_dir / SECRETS_FILE
    try:
        if not path.exists():
            data_dir.mkdir(parents=True, exist_ok=True)
            _write_first(path)
        found = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DevelopmentError(f"{path}: {error.strerror}") from None
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(
        isinstance(found.get(name), str) and found[name] for name in NAMES
    ):
        raise DevelopmentError(
            f"{path}: expected a JSON object with {' and '.join(NAMES)}; remove it to have new ones"
            " made (messages stored before become unreadable)"
        )
    return {name: found[name] for name in NAMES}


def _write_first(path: Path) -> None:
    """Write new secrets whole or not at all; somebody else's earlier file stays."""
    made = {
        "JWT_SECRET": base64.b64encode(secrets.token_bytes(48)).decode(),
        "CHAT_ENCRYPTION_KEY": secrets.token_urlsafe(24),
    }
    # mkstemp makes the file with mode 0600; the link fails when the name is taken.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=SECRETS_FILE)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(made, file)
        os.link(name, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(name)


def user_id(name: str) -> str:
    """The id of a demo user; any other name is taken as an id."""
    return DEMO_USERS.get(name.lower(), name)
