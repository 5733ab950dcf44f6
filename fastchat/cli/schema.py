"""``fastchat schema``: the wire for programs, as JSON Schema, AsyncAPI or OpenAPI."""

import argparse
import json

from fastchat import __version__
from fastchat.protocol.asyncapi import asyncapi
from fastchat.protocol.json_schema import json_schema
from fastchat.protocol.openapi import openapi


def run(args: argparse.Namespace) -> int:
    """Print the document asked for."""
    if args.openapi:
        print(openapi_text(), end="")
    else:
        print(asyncapi_text() if args.asyncapi else json_schema_text(), end="")
    return 0


def json_schema_text() -> str:
    """Write docs/schema/protocol.schema.json."""
    return _text(json_schema())


def asyncapi_text() -> str:
    """Write docs/schema/asyncapi.json."""
    return _text(asyncapi(__version__))


def openapi_text() -> str:
    """Write docs/schema/openapi.json: the HTTP API of the main backend."""
    return _text(openapi(__version__))


def _text(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
