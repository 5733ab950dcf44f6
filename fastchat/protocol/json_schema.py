"""The wire as a JSON Schema: every command and every event, from the Structs that define them.

The schema of a command is what the server accepts, other spellings and numbers as ids included.
Events are left open for more fields, as clients must be.

Source: docs/protocol.md; JSON Schema 2020-12.
"""

from typing import Any

import msgspec
from msgspec.structs import fields

from fastchat.protocol.command import Command, find_ids, type_of
from fastchat.protocol.commands import COMMANDS, TYPE_SPELLINGS
from fastchat.protocol.event import Event, Shape
from fastchat.protocol.event_types import EVENTS
from fastchat.protocol.sync_types import Tombstone

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PLACE = "#/$defs/{name}"

_NOTES = ("description", "default")  # that stay beside the types of a field

Schema = dict[str, Any]


def json_schema() -> Schema:
    """Return the schema of every object that a client or the server may send."""
    commands, events = ([_reference(kind) for kind in kinds] for kinds in (COMMANDS, EVENTS))
    return {
        "$schema": DIALECT,
        "title": "The wire protocol of fastchat",
        "description": "One object per text message; docs/protocol.md explains them.",
        "anyOf": [{"$ref": "#/$defs/command"}, {"$ref": "#/$defs/event"}],
        "$defs": {
            "command": {"description": "What a client sends.", "anyOf": commands},
            "event": {"description": "What the server sends.", "anyOf": events},
            **definitions(),
        },
    }


def definitions() -> dict[str, Schema]:
    """Return the schema of every command and event, and of what they are made of, by name."""
    kinds = (*COMMANDS, *EVENTS, Tombstone)
    _, found = msgspec.json.schema_components(kinds, ref_template=PLACE)
    for kind in COMMANDS:
        _describe_input(kind, found[kind.__name__])
    for shape in _shapes(Shape):
        if shape.EXACTLY_ONE and shape.__name__ in found:
            wire_names = {field.name: field.encode_name for field in fields(shape)}
            choices = [{"required": [wire_names[name]]} for name in shape.EXACTLY_ONE]
            found[shape.__name__]["oneOf"] = choices
    return {name: _tidy(found[name]) for name in sorted(found)}


def _reference(kind: type[Command | Event]) -> Schema:
    return {"$ref": PLACE.format(name=kind.__name__)}


def _shapes(base: type[Shape]) -> list[type[Shape]]:
    found = [base]
    for kind in found:
        found += kind.__subclasses__()
    return found


def _describe_input(kind: type[Command], schema: Schema) -> None:
    """Add what the codec accepts besides: other spellings, numbers as ids, null for absent."""
    properties, required = schema["properties"], schema["required"]
    for name in find_ids(kind):
        field = properties[name]
        if "items" in field:
            field["items"] = _widen(field["items"], "integer")
        else:
            properties[name] = _widen(field, "integer")
    alternatives = [kind.AT_LEAST_ONE] if kind.AT_LEAST_ONE else []
    for spelling, name in kind.SPELLINGS.items():
        description = f"Another spelling of `{name}`."
        properties[spelling] = {"description": description, **properties[name]}
        if name in required:
            required.remove(name)
            alternatives.append((name, spelling))
    for name in properties.keys() - set(required):
        properties[name] = _widen(properties[name], "null")
    if alternatives:
        schema["allOf"] = [{"anyOf": [_there(name) for name in names]} for names in alternatives]
    tag = type_of(kind)
    spellings = [other for other, name in TYPE_SPELLINGS.items() if name == tag]
    properties["type"] = {"enum": [tag, *spellings]}


def _widen(schema: Schema, kind: str) -> Schema:
    """Return the schema of a field that may be of one more type."""
    notes = {name: value for name, value in schema.items() if name in _NOTES and value is not None}
    rest = {name: value for name, value in schema.items() if name not in _NOTES}
    choices = rest.get("anyOf", [rest])
    if rest and {"type": kind} not in choices:
        choices = [*choices, {"type": kind}]
    return {**notes, "anyOf": choices} if rest else notes


def _there(name: str) -> Schema:
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


def _tidy(value: Any) -> Any:
    """Leave out what only other dialects know, and what forbids more fields; write Markdown."""
    if isinstance(value, list):
        return [_tidy(one) for one in value]
    if not isinstance(value, dict):
        return value
    tidy = {
        name: _tidy(one)
        for name, one in value.items()
        if name != "discriminator" and (name, one) != ("additionalProperties", False)
    }
    if isinstance(tidy.get("description"), str):
        tidy["description"] = tidy["description"].replace("``", "`")
    return tidy
