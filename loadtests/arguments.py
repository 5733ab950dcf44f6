"""What both locustfiles are told: who there is, and how tokens are signed."""

import base64
import os

from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import WorkerRunner

from fastchat.auth.tokens import make_token

LIFETIME = 6 * 3600.0  # seconds of a token


@events.init_command_line_parser.add_listener
def add_arguments(parser: LocustArgumentParser) -> None:
    group = parser.add_argument_group("fastchat")
    group.add_argument(
        "--first-user", type=int, default=1, help="id of the first user; they must exist"
    )
    group.add_argument(
        "--users-per-worker", type=int, default=1000, help="ids that each worker of Locust has"
    )
    group.add_argument(
        "--spread",
        type=int,
        default=1,
        help="1: connections come from many addresses of 127.0.0.0/8; 0: from this machine's own",
    )
    group.add_argument("--connections", type=int, default=1000, help="of each worker, in fast.py")
    group.add_argument("--rate", type=float, default=500.0, help="messages/s of each, in fast.py")


def first_user(environment: Environment) -> int:
    """Return the first user of this worker of Locust; no two workers have the same."""
    options = environment.parsed_options
    runner = environment.runner
    index = runner.worker_index if isinstance(runner, WorkerRunner) else 0
    return int(options.first_user + index * options.users_per_worker)


def token(user_id: str) -> str:
    """Sign a token with JWT_SECRET, which is that of the server."""
    secret = os.environ.get("JWT_SECRET", "")
    if not secret:
        raise SystemExit("JWT_SECRET is not set: expected that of the server")
    return make_token(base64.b64decode(secret), user_id, LIFETIME)
