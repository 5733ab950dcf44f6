"""``fastchat serve``: run the server until it is told to stop."""

import argparse
import logging
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from fastchat.cli import CHAT_URL
from fastchat.cli.development import DEMO_USERS, load_complete
from fastchat.config import Config
from fastchat.telemetry import logs

TOKEN_LIFETIME = 24 * 3600.0  # seconds
DATA_DIR = "FASTCHAT_DATA_DIR"
PAGE = "/demo"

log = logging.getLogger("fastchat")


def run(args: argparse.Namespace) -> int:
    """Read the settings, set up logging and serve; in development say what to do next."""
    config = load_complete(os.environ)
    logs.setup(config.log_level, config.log_format)
    for warning in config.warnings:
        log.warning(warning)
    # The server's modules only now: wrong settings are reported without them.
    from fastchat.app import run as run_server

    if not config.is_development:
        return run_server(config)
    return run_server(config, lambda url: print(banner(config, url, os.environ), flush=True))


def banner(config: Config, url: str, environ: Mapping[str, str]) -> str:
    """Write what a newcomer needs: the URL, the page, two tokens, and the commands to chat.

    The demo users exist in the embedded database only; with another one the way to a token is
    named instead.

    Args:
        config: The settings, complete.
        url: Where the server listens.
        environ: What the settings were read from; the commands must find the same secret.
    """
    from fastchat.auth.demo import demo_key
    from fastchat.auth.tokens import make_token

    health = "http" + url.removeprefix("ws") + "/health"
    lines = ["", f"fastchat, development mode: {url}   health: {health}", ""]
    program = _program()
    if config.demo_page:
        key = f"#{demo_key(config.demo_secret)}" if config.demo_secret else ""
        lines += [f"Chat in the browser: http{url.removeprefix('ws')}{PAGE}{key}", ""]
    if not config.uses_embedded_database:
        return "\n".join([*lines, f"A token for a user: {program} gentoken --user ID", ""])
    first, second = list(DEMO_USERS)[:2]
    tokens = {
        name: make_token(config.jwt_secret, DEMO_USERS[name], TOKEN_LIFETIME)
        for name in (first, second)
    }
    lines.append("Chat in two other terminals:")
    folder = environ.get(DATA_DIR, "").strip()
    if folder:
        program = f"{DATA_DIR}={shlex.quote(folder)} {program}"
    options = "" if url == CHAT_URL else f" --url {url}"
    for name, other in ((first, second), (second, first)):
        # The commands make their own tokens, from the secret that was generated.
        token = f" --token {tokens[name]}" if environ.get("JWT_SECRET", "").strip() else ""
        lines.append(f"  {program} chat --as {name} --to {other}{options}{token}")
    lines += ["", "Or with a client of your own; send this first:"]
    lines += [
        f'  {name}: {{"type":"authenticate","token":"{token}"}}' for name, token in tokens.items()
    ]
    return "\n".join([*lines, ""])


def _program() -> str:
    """How this very command is called again."""
    if Path(sys.argv[0]).name == "fastchat":
        return shlex.quote(sys.argv[0])
    return f"{shlex.quote(sys.executable)} -m fastchat"
