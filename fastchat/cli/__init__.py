"""The `fastchat` command; each subcommand imports only what it needs."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

CHAT_URL = "ws://127.0.0.1:3001"
METRICS_URL = "http://127.0.0.1:3001"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; its module is imported only now.

    Returns:
        The exit code: 0 for success, 1 for a problem that was explained, 2 for wrong usage.
    """
    args = _parser().parse_args(argv)
    command = importlib.import_module(f"fastchat.cli.{args.command}")
    try:
        return int(command.run(args))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has gone; Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if not _is_explained(error):
            raise
        print(f"fastchat {args.command}: {error}", file=sys.stderr)
        return 1


def _is_explained(error: Exception) -> bool:
    """Whether the message alone helps the user: wrong settings and the like, no bugs."""
    from fastchat.cli.development import DevelopmentError
    from fastchat.config import ConfigError

    return isinstance(error, ConfigError | DevelopmentError)


def _parser() -> argparse.ArgumentParser:
    from fastchat import __version__

    parser = argparse.ArgumentParser(prog="fastchat", description="A real-time chat server.")
    parser.add_argument("--version", action="version", version=f"fastchat {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("serve", help="run the server until SIGTERM or SIGINT")
    chat = commands.add_parser("chat", help="chat in the terminal")
    chat.add_argument(
        "--as", required=True, dest="as_name", metavar="NAME", help="a demo user, or a user id"
    )
    chat.add_argument("--to", required=True, metavar="NAME", help="a demo user, or a user id")
    chat.add_argument("--url", default=CHAT_URL, help="of the server; default: %(default)s")
    chat.add_argument(
        "--token", help="instead of one made here; FASTCHAT_TOKEN does the same, less visibly"
    )
    bench = commands.add_parser("bench", help="measure this machine and its database")
    bench.add_argument(
        "--database",
        metavar="URL",
        help="a PostgreSQL on which a database is made and dropped; default: an embedded one",
    )
    bench.add_argument(
        "--url", help="measure this running server instead, within its limits; needs its JWT_SECRET"
    )
    bench.add_argument(
        "--users", default="alice,bob", metavar="NAMES", help="who writes; default: %(default)s"
    )
    bench.add_argument(
        "--allow-remote", action="store_true", help="the server at --url is yours, though not here"
    )
    bench.add_argument(
        "--scale", type=_factor, default=1.0, metavar="X", help="X times as long; default: a minute"
    )
    commands.add_parser("check", help="check settings, database, keys and limits; exit code 0 or 1")
    doctor = commands.add_parser(
        "doctor", help="look for what is wrong in the database and in Redis, with what mends it"
    )
    doctor.add_argument("--sql", action="store_true", help="print only the SQL that mends it")
    top = commands.add_parser("top", help="watch a running server in the terminal")
    top.add_argument("--url", default=METRICS_URL, help="of the server; default: %(default)s")
    top.add_argument("--interval", type=_pause, default=1.0, metavar="SECONDS", help="default: 1")
    top.add_argument("--once", action="store_true", help="print one picture and end")
    migrate = commands.add_parser("migrate", help="bring the database to this version's schema")
    migrate.add_argument("--sql", action="store_true", help="print the SQL instead of running it")
    _add_adopt(commands)
    gentoken = commands.add_parser("gentoken", help="print a token for a user")
    whose = gentoken.add_mutually_exclusive_group(required=True)
    whose.add_argument("--user", metavar="ID", help="user id")
    whose.add_argument("--service", action="store_true", help="one of the main backend's own")
    gentoken.add_argument(
        "--expires", type=_seconds, default=3600, metavar="SECONDS", help="default: 3600"
    )
    checktoken = commands.add_parser(
        "checktoken", help="tell whether a token is valid, and why not"
    )
    checktoken.add_argument("token", metavar="TOKEN", help="the token; - reads it from the input")
    config = commands.add_parser("config", help="print all settings with their defaults")
    shape = config.add_mutually_exclusive_group()
    shape.add_argument("--env", action="store_true", help="as an environment file")
    shape.add_argument("--docs", action="store_true", help="as Markdown, as in the documentation")
    schema = commands.add_parser("schema", help="print the wire protocol for programs")
    format_ = schema.add_mutually_exclusive_group()
    format_.add_argument("--json-schema", action="store_true", help="as JSON Schema; the default")
    format_.add_argument("--asyncapi", action="store_true", help="as an AsyncAPI document")
    format_.add_argument(
        "--openapi", action="store_true", help="the HTTP API of the main backend, as OpenAPI"
    )
    return parser


def _add_adopt(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    adopt = commands.add_parser(
        "adopt",
        help="take over the tables of the previous server",
        description="Without an option it only reports what it would take over.",
    )
    what = adopt.add_mutually_exclusive_group()
    what.add_argument(
        "--copy", action="store_true", help="copy while the old server runs; may be repeated"
    )
    what.add_argument(
        "--switch", action="store_true", help="copy the rest, compare, and change places"
    )
    what.add_argument("--back", action="store_true", help="put the old tables back")
    what.add_argument("--abandon", action="store_true", help="remove a copy that was begun")
    adopt.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="KIND.COLUMN=NAME",
        help="a column that has an unusual name, such as reactions.reaction=symbol",
    )
    adopt.add_argument(
        "--time-zone", metavar="NAME", help="of times without one; default: the database's"
    )
    adopt.add_argument(
        "--slice", type=_count, default=20000, metavar="ROWS", help="default: %(default)s"
    )
    adopt.add_argument(
        "--pause", type=_milliseconds, default=0.0, metavar="MS", help="between slices; default: 0"
    )


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= 10**6:
        raise argparse.ArgumentTypeError("expected a whole number from 1 to 1000000")
    return int(text)


def _milliseconds(text: str) -> float:
    if not (text.isascii() and text.isdigit()) or not int(text) <= 10**6:
        raise argparse.ArgumentTypeError("expected whole milliseconds")
    return int(text) / 1000


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= 10**9:
        raise argparse.ArgumentTypeError("expected whole seconds, at least 1")
    return int(text)


def _factor(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0.01 <= found <= 100:
        raise argparse.ArgumentTypeError("expected a number from 0.01 to 100")
    return found


def _pause(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("expected seconds, 0.1 to 3600")
    return seconds
