"""``fastchat serve``: run the server until it is told to stop."""

import argparse
import logging
import os

from fastchat.cli.development import DEMO_USERS, load_complete
from fastchat.config import Config
from fastchat.telemetry import logs

TOKEN_LIFETIME = 24 * 60 * 60.0

log = logging.getLogger("fastchat")


def run(args: argparse.Namespace) -> int:
    """Read the settings, set up logging, say in development what to do next, and serve."""
    config = load_complete(os.environ)
    logs.setup(config.log_level, config.log_format)
    for warning in config.warnings:
        log.warning(warning)
    # The server's modules only now: wrong settings are reported without them.
    from fastchat.app import run as run_server

    if config.is_development:
        print(banner(config), flush=True)
    return run_server(config)


def banner(config: Config) -> str:
    """Write what a newcomer needs: the URL, two tokens, and the commands to chat."""
    from fastchat.auth.tokens import make_token

    scheme = "wss" if config.tls_cert else "ws"
    url = f"{scheme}://127.0.0.1:{config.port}"
    first, second = list(DEMO_USERS)[:2]
    lines = [
        "",
        f"fastchat, development mode: {url}",
        "",
        "Chat in two other terminals:",
    ]
    option = "" if config.port == 3001 and scheme == "ws" else f" --url {url}"
    for name, other in ((first, second), (second, first)):
        lines.append(f"  .venv/bin/fastchat chat --as {name} --to {other}{option}")
    lines += ["", "Or with a client of your own; send this first:"]
    for name in (first, second):
        token = make_token(config.jwt_secret, DEMO_USERS[name], TOKEN_LIFETIME)
        lines.append(f'  {name}: {{"type":"authenticate","token":"{token}"}}')
    return "\n".join([*lines, ""])
