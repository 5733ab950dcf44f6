"""The HTTP API of the main backend as an OpenAPI document, generated from its Structs.

Source: docs/backend-api.md; OpenAPI 3.1.0.
"""

from typing import Any, NamedTuple

import msgspec

from fastchat.protocol.event import Shape
from fastchat.protocol.service_types import (
    WEBHOOKS,
    Answer,
    Closed,
    ConnectionList,
    DisconnectBody,
    Failure,
    InvalidateBody,
    Invalidated,
    RevokeBody,
    SendBody,
    Sent,
    Told,
)

PLACE = "#/components/schemas/{name}"
Document = dict[str, Any]


class Operation(NamedTuple):
    """One thing that the main backend may ask for."""

    method: str
    path: str
    name: str
    summary: str
    body: type[Shape] | None
    answer: type[Answer]
    statuses: tuple[int, ...]  # besides those that every operation may answer with


OPERATIONS = (
    Operation(
        "POST",
        "/api/service/messages",
        "sendMessage",
        "Send a message as a user or as the system; answered once it is durable.",
        SendBody,
        Sent,
        (403, 404),
    ),
    Operation(
        "GET",
        "/api/service/connections",
        "listConnections",
        "List the connections of a user.",
        None,
        ConnectionList,
        (),
    ),
    Operation(
        "POST",
        "/api/service/disconnect",
        "disconnectUser",
        "Close the connections of a user with 1008; his token stays good.",
        DisconnectBody,
        Closed,
        (),
    ),
    Operation(
        "POST",
        "/api/service/tokens/revoke",
        "revokeToken",
        "Revoke a token: its sessions end now, and no new one begins with it.",
        RevokeBody,
        Closed,
        (),
    ),
    Operation(
        "POST",
        "/api/service/profiles/invalidate",
        "invalidateProfile",
        "Forget the names and the picture of a user; messages have the new name from now on.",
        InvalidateBody,
        Invalidated,
        (),
    ),
)
_STATUSES = {
    400: "a field is missing or wrong",
    401: "no token, or one that is not good or not the main backend's",
    403: "the sender may not send there, or one of the two users blocks the other",
    404: "there is no such user, group or message",
    413: "the body is above 64 KiB",
    429: "too many requests with bad tokens from this address",
    500: "a bug; `details` has the error id of the log",
    503: "the database did not answer; what was asked may be done, and may be asked again",
}
_ALWAYS = (400, 401, 413, 429, 500, 503)
USER_ID = {
    "name": "userId",
    "in": "query",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": 128},
}
HEADERS = {
    "webhook-id": "Of the webhook, the same for every try.",
    "webhook-timestamp": "Unix seconds of this try.",
    "webhook-signature": "`v1,` and the base64 of HMAC-SHA-256 over id, timestamp and body,"
    " joined by full stops.",
}


def openapi(version: str) -> Document:
    """Return the document."""
    kinds: set[type[Any]] = {Failure, *WEBHOOKS}
    for operation in OPERATIONS:
        kinds |= {operation.answer} | ({operation.body} if operation.body else set())
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template=PLACE)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fastchat for the main backend",
            "version": version,
            "description": "docs/backend-api.md explains it.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{"service": []}],
        "paths": {
            operation.path: {operation.method.lower(): _describe(operation)}
            for operation in OPERATIONS
        },
        "webhooks": {_name_of(kind): {"post": _describe_webhook(kind)} for kind in WEBHOOKS},
        "components": {
            "securitySchemes": {
                "service": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": 'HS256 with `JWT_SECRET`, `role: "service"` and `exp`.',
                }
            },
            "schemas": {name: _tidy(schemas[name]) for name in sorted(schemas)},
        },
    }


def _describe(operation: Operation) -> Document:
    described: Document = {"operationId": operation.name, "summary": operation.summary}
    if operation.body is None:
        described["parameters"] = [USER_ID]
    else:
        described["requestBody"] = {"required": True, "content": _content(operation.body)}
    described["responses"] = {
        "200": {"description": "done", "content": _content(operation.answer)},
        **{
            str(status): {"description": _STATUSES[status], "content": _content(Failure)}
            for status in sorted((*_ALWAYS, *operation.statuses))
        },
    }
    return described


def _describe_webhook(kind: type[Told]) -> Document:
    return {
        "operationId": _name_of(kind),
        "summary": (kind.__doc__ or "").strip(),
        "security": [],
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": text,
                "schema": {"type": "string"},
            }
            for name, text in HEADERS.items()
        ],
        "requestBody": {"required": True, "content": _content(kind)},
        "responses": {
            "2XX": {"description": "taken; after any other answer it is tried again"},
        },
    }


def _name_of(kind: type[Told]) -> str:
    return str(kind.__struct_config__.tag)


def _content(kind: type[Any]) -> Document:
    return {"application/json": {"schema": {"$ref": PLACE.format(name=kind.__name__)}}}


def _tidy(value: Any) -> Any:
    """Write descriptions as Markdown, and leave out what only other dialects know."""
    if isinstance(value, list):
        return [_tidy(one) for one in value]
    if not isinstance(value, dict):
        return value
    tidy = {name: _tidy(one) for name, one in value.items() if name != "discriminator"}
    if isinstance(tidy.get("description"), str):
        tidy["description"] = tidy["description"].replace("``", "`")
    return tidy
