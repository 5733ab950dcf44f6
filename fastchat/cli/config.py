"""``fastchat config``: all settings, as a table, an environment file or the documents' Markdown."""

import argparse
import textwrap

from fastchat.config.settings import SECTIONS, Setting

INTRODUCTION = """\
# Configuration

All settings are environment variables. An empty variable counts as unset. Durations are
milliseconds. The server reads them once, at its start, and reports everything that is wrong at
once, with what was found and what was expected; the values of secrets are never shown.

`fastchat config` prints this list in the terminal, `fastchat config --env` as a file to fill in,
and `fastchat check` tells whether the settings are right and the database is in order.

In production, which is the default, `JWT_SECRET`, `CHAT_ENCRYPTION_KEY` and a database
(`DATABASE_URL`, or `DB_HOST`, `DB_NAME` and `DB_USER`) must be set. With `NODE_ENV=development`
nothing must: fastchat then runs a PostgreSQL of its own, makes secrets and keeps them in
`FASTCHAT_DATA_DIR`, and knows a few demo users.

This page is generated: `make docs` writes it again."""


def run(args: argparse.Namespace) -> int:
    """Print the settings in the shape asked for."""
    if args.docs:
        print(markdown(), end="")
    elif args.env:
        print(environment_file(), end="")
    else:
        print(table(), end="")
    return 0


def table() -> str:
    """Write all settings for a terminal."""
    lines: list[str] = []
    for section, settings in SECTIONS.items():
        lines += [section, "-" * len(section)]
        for setting in settings:
            lines.append(f"{setting.name:<30} {_default(setting)} ({setting.kind.unit})")
            lines += textwrap.wrap(
                setting.meaning, 90, initial_indent="    ", subsequent_indent="    "
            )
        lines.append("")
    return "\n".join(lines).replace("`", "")


def environment_file() -> str:
    """Write all settings as an environment file in which everything is commented out."""
    lines = []
    for section, settings in SECTIONS.items():
        lines += [f"# {section}", ""]
        for setting in settings:
            meaning = setting.meaning.replace("`", "")
            note = (
                f"; default: {setting.default_note.replace('`', '')}"
                if setting.default_note
                else ""
            )
            lines += [
                f"# {meaning} ({setting.kind.unit.replace('`', '')}{note})",
                f"#{setting.name}={setting.default or ''}",
            ]
        lines.append("")
    return "\n".join(lines)


def markdown() -> str:
    """Write docs/configuration.md."""
    lines = [*INTRODUCTION.splitlines(), ""]
    for section, settings in SECTIONS.items():
        lines += [
            f"## {section}",
            "",
            "| Variable | Default | Unit | Meaning |",
            "|---|---|---|---|",
        ]
        for setting in settings:
            cells = (
                f"`{setting.name}`",
                _default(setting, "`"),
                setting.kind.unit,
                setting.meaning,
            )
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _default(setting: Setting, quote: str = "") -> str:
    if setting.default_note:
        return setting.default_note
    return f"{quote}{setting.default}{quote}" if setting.default is not None else "not set"
