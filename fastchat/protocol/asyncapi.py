"""The wire as an AsyncAPI document: one channel, an operation for each command and for events.

Source: docs/protocol.md; AsyncAPI 3.0.0.
"""

from typing import Any

from fastchat.protocol.command import Command, type_of
from fastchat.protocol.commands import COMMANDS
from fastchat.protocol.event import Event
from fastchat.protocol.event_types import EVENTS, REPLIES
from fastchat.protocol.json_schema import definitions
from fastchat.protocol.system_types import Error, Welcome

CHANNEL = "#/channels/connection"


def asyncapi(version: str) -> dict[str, Any]:
    """Return the document; operations are named as the server sees them."""
    kinds: tuple[type[Command | Event], ...] = (*COMMANDS, *EVENTS)
    schemas = _move(definitions())
    names = [message_name(kind) for kind in kinds]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "fastchat",
            "version": version,
            "description": "A real-time chat server. docs/protocol.md explains the protocol.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "development": {
                "host": "127.0.0.1:3001",
                "protocol": "ws",
                "description": "What `make run` starts.",
            }
        },
        "channels": {
            "connection": {
                "address": "/",
                "description": "One WebSocket per device, on any path.",
                "messages": {name: _to(f"#/components/messages/{name}") for name in names},
            }
        },
        "operations": {
            **{type_of(command): _operation(command) for command in COMMANDS},
            "events": {
                "action": "send",
                "summary": "What the server sends by itself, or after what others did.",
                "channel": _to(CHANNEL),
                "messages": [_message(event) for event in EVENTS],
            },
        },
        "components": {
            "messages": {
                message_name(kind): {
                    "name": type_of(kind),
                    "title": kind.__name__,
                    "summary": schemas[kind.__name__]["description"].partition("\n")[0],
                    "payload": _to(f"#/components/schemas/{kind.__name__}"),
                }
                for kind in kinds
            },
            "schemas": schemas,
        },
    }


def message_name(kind: type[Command | Event]) -> str:
    """Return what a message is called: its type; two events have the same one."""
    return "welcome" if kind is Welcome else type_of(kind)


def _operation(command: type[Command]) -> dict[str, Any]:
    replies: tuple[type[Event], ...] = (*REPLIES[type_of(command)], Error)
    return {
        "action": "receive",
        "summary": (command.__doc__ or "").partition("\n")[0].replace("``", "`"),
        "channel": _to(CHANNEL),
        "messages": [_message(command)],
        "reply": {"channel": _to(CHANNEL), "messages": [_message(reply) for reply in replies]},
    }


def _message(kind: type[Command | Event]) -> dict[str, str]:
    return _to(f"{CHANNEL}/messages/{message_name(kind)}")


def _to(place: str) -> dict[str, str]:
    return {"$ref": place}


def _move(value: Any) -> Any:
    """Return schemas whose references lead to where this kind of document keeps them."""
    if isinstance(value, list):
        return [_move(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        name: one.replace("#/$defs/", "#/components/schemas/") if name == "$ref" else _move(one)
        for name, one in value.items()
    }
