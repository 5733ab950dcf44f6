"""Write ``src/protocol.ts``: the types of every command and event, from the schema of the protocol.

``make docs`` runs it; a test says whether the file is current.
"""

from pathlib import Path
from typing import Any

from fastchat.protocol.command import type_of
from fastchat.protocol.commands import COMMANDS
from fastchat.protocol.event_types import EVENTS, REPLIES
from fastchat.protocol.json_schema import definitions

TARGET = Path(__file__).with_name("src") / "protocol.ts"
HEAD = """\
// The commands and events of the protocol. Written by generate.py from the schema; not by hand.
"""
PLAIN = {"string": "string", "integer": "number", "boolean": "boolean", "null": "null"}
RENAMED = {"Error": "Refusal"}  # names that JavaScript has already

Schema = dict[str, Any]


def protocol_types() -> str:
    """Return the text of the module."""
    schemas = definitions()
    spellings = {kind.__name__: set(kind.SPELLINGS) for kind in COMMANDS}
    parts = [HEAD]
    for name, schema in schemas.items():
        parts.append(_interface(name, schema, spellings.get(name)))
    types: dict[str, list[str]] = {}
    for event in EVENTS:
        types.setdefault(type_of(event), []).append(_name(event.__name__))
    commands = {type_of(kind): kind.__name__ for kind in COMMANDS}
    replies = {
        tag: [_name(reply.__name__) for reply in REPLIES[tag]] or ["void"] for tag in commands
    }
    parts.append(_table("Commands", "What each command carries, by its type.", commands))
    parts.append(_table("Replies", "What answers each command, by its type.", _unions(replies)))
    parts.append(_table("Events", "What the server sends, by its type.", _unions(types)))
    return "\n".join(parts)


def _interface(name: str, schema: Schema, spellings: set[str] | None) -> str:
    """Write one object; of a command without its type, its id and other spellings of its fields."""
    is_command = spellings is not None
    hidden = {"type", "requestId", *spellings} if spellings is not None else set()
    lines = [f"/** {_text(schema)} */", f"export interface {_name(name)} {{"]
    required = set(schema.get("required", ()))
    for field, found in schema["properties"].items():
        if field in hidden:
            continue
        if found.get("description"):
            lines.append(f"  /** {_text(found)} */")
        mark = "" if field in required else "?"
        kind = _type(found)
        if is_command and mark:
            kind = kind.replace(" | null", "")
        lines.append(f"  {field}{mark}: {kind};")
    return "\n".join([*lines, "}", ""])


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        return _name(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        return " | ".join(
            str(value).lower() if isinstance(value, bool) else f'"{value}"'
            for value in schema["enum"]
        )
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_type(choice) for choice in schema["anyOf"]))
    if schema.get("type") == "array":
        item = _type(schema["items"])
        return f"({item})[]" if " | " in item else f"{item}[]"
    if schema.get("type") == "object":
        return f"Record<string, {_type(schema['additionalProperties'])}>"
    return PLAIN[schema["type"]] if "type" in schema else "unknown"


def _table(name: str, text: str, rows: dict[str, str]) -> str:
    lines = [f"  {tag}: {kind};" for tag, kind in rows.items()]
    return "\n".join([f"/** {text} */", f"export interface {name} {{", *lines, "}", ""])


def _unions(rows: dict[str, list[str]]) -> dict[str, str]:
    return {tag: " | ".join(kinds) for tag, kinds in rows.items()}


def _name(name: str) -> str:
    return RENAMED.get(name, name)


def _text(schema: Schema) -> str:
    return " ".join(str(schema["description"]).split())


if __name__ == "__main__":
    TARGET.write_text(protocol_types(), "utf-8")
