"""The pages that the main backend asks for: messages, connections, tokens, profiles.

Every request has a token of the main backend itself. Requests with such a token are not counted per
address, all others are.

Source: docs/backend-api.md.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import orjson

from fastchat import __version__
from fastchat.auth.tokens import TokenChecker
from fastchat.errors import AuthFailed, CommandError, ServiceUnavailable, ValidationError
from fastchat.handlers.api import DEADLINE, MAX_ID_LENGTH, STATUS, read_bearer, refuse, refuse_token
from fastchat.handlers.on_behalf import OnBehalf, Reply
from fastchat.interfaces import Sessions
from fastchat.protocol.event import Shape
from fastchat.protocol.openapi import OPERATIONS, openapi
from fastchat.protocol.service_types import (
    DisconnectBody,
    InvalidateBody,
    RevokeBody,
    SendBody,
)
from fastchat.protocol.times import iso_time
from fastchat.store.revoked_tokens import RevokedTokens
from fastchat.store.users import Users
from fastchat.transport.http import (
    AdmitRequest,
    HttpRequest,
    HttpResponse,
    Routes,
    error_response,
)

PREFIX = "/api/service/"
DOCUMENT = "/api/openapi.json"

S = TypeVar("S", bound=Shape)
Fields = dict[str, Any]
Answer = Callable[[HttpRequest], Awaitable[Fields | HttpResponse]]


class Gate:
    """Lets the main backend in."""

    def __init__(
        self,
        tokens: TokenChecker,
        users: Users,
        admit: AdmitRequest,
        *,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Take who knows tokens and revocations, and what counts requests of others."""
        self._tokens = tokens
        self._users = users
        self._admit = admit
        self._wall_clock = wall_clock

    async def check(self, request: HttpRequest) -> None:
        """Refuse a request without a good token.

        Raises:
            AuthRequired, AuthFailed: and it was counted.
            ServiceUnavailable: whether the token is revoked cannot be looked up.
        """
        jti = self._tokens.check_service(read_bearer(request), self._wall_clock())
        if jti is not None and await self._users.fetch_revoked([jti]):
            raise AuthFailed("The token was revoked.")

    def guard(self, answer: Answer) -> Callable[[HttpRequest], Awaitable[HttpResponse]]:
        """Return a handler that asks for the token first, and is done within five seconds."""

        async def respond(request: HttpRequest) -> HttpResponse:
            try:
                async with asyncio.timeout(DEADLINE):
                    try:
                        await self.check(request)
                    except (CommandError, AuthFailed) as error:
                        return self._refuse_stranger(request, error)
                    found = await answer(request)
            except TimeoutError:
                return refuse(ServiceUnavailable())
            except CommandError as error:
                return refuse(error)
            if isinstance(found, HttpResponse):
                return found
            timestamp = iso_time(self._wall_clock())
            return HttpResponse(
                body=orjson.dumps({"status": "ok", **found, "timestamp": timestamp})
            )

        return respond

    def _refuse_stranger(
        self, request: HttpRequest, error: CommandError | AuthFailed
    ) -> HttpResponse:
        if error.code != ServiceUnavailable.code:
            wait = self._admit(request.remote_ip, request.path)
            if wait:
                return error_response(
                    429,
                    "RATE_LIMIT_EXCEEDED",
                    "Too many requests",
                    f"Please try again in {wait} seconds.",
                    {"Retry-After": str(wait)},
                )
        return refuse_token(error) if isinstance(error, AuthFailed) else refuse(error)


class ServicePages:
    """Carries out what the main backend asks for."""

    def __init__(self, sessions: Sessions, revoked: RevokedTokens, on_behalf: OnBehalf) -> None:
        """Take who is connected, where revoked tokens are kept, and what sends for others."""
        self._sessions = sessions
        self._revoked = revoked
        self._on_behalf = on_behalf

    async def send(self, request: HttpRequest) -> Fields | HttpResponse:
        """Send a message as a user or as the system."""
        body = _read(request, SendBody)
        to_group = body.group_id is not msgspec.UNSET
        if to_group is (body.recipient_id is not msgspec.UNSET):
            raise ValidationError("Expected exactly one of 'recipientId' and 'groupId'.")
        if body.is_announcement and not to_group:
            raise ValidationError("The field 'isAnnouncement': expected a 'groupId' beside it.")
        kind = "send_group_message" if to_group else "send_private_message"
        command: Fields = {
            "type": "send_announcement" if body.is_announcement else kind,
            "groupId" if to_group else "recipientId": _id(
                body.group_id if to_group else body.recipient_id
            ),
            "content": body.content,
        }
        if body.reply_to_message_id is not msgspec.UNSET:
            command["replyToMessageId"] = body.reply_to_message_id
        if body.client_message_id is not msgspec.UNSET:
            command["clientMessageId"] = body.client_message_id
        sender = None if body.sender_id is msgspec.UNSET else _id(body.sender_id)
        return _show(await self._on_behalf.send(sender, command))

    async def connections(self, request: HttpRequest) -> Fields:
        """List the connections of a user."""
        user_id = request.query.get("userId", "")
        if not 0 < len(user_id) <= MAX_ID_LENGTH:
            raise ValidationError(
                f"The parameter 'userId': expected an id of 1 to {MAX_ID_LENGTH} characters."
            )
        found = await self._sessions.connections(user_id)
        return {
            "userId": user_id,
            "connections": [
                {
                    "clientId": one.client_id,
                    "remoteIp": one.remote_ip,
                    "worker": one.worker,
                    "connectedAt": iso_time(one.opened_at),
                    "expiresAt": iso_time(one.expires_at),
                }
                for one in found
            ],
        }

    async def disconnect(self, request: HttpRequest) -> Fields:
        """Close the connections of a user."""
        body = _read(request, DisconnectBody)
        client_id = None if body.client_id is msgspec.UNSET else body.client_id
        return {"closed": await self._sessions.disconnect(_id(body.user_id), client_id)}

    async def revoke(self, request: HttpRequest) -> Fields:
        """Revoke a token, first for those who come and then for those who are here."""
        body = _read(request, RevokeBody)
        jti = _id(body.jti)
        expires_at = None if body.expires_at is msgspec.UNSET else body.expires_at
        await self._revoked.add(jti, expires_at)
        return {"closed": await self._sessions.end_token(jti)}

    async def invalidate(self, request: HttpRequest) -> Fields:
        """Forget a profile."""
        await self._sessions.refresh_profile(_id(_read(request, InvalidateBody).user_id))
        return {}


def make_routes(gate: Gate, pages: ServicePages) -> Routes:
    """Return the table of pages, and of the document that describes them."""
    answers: dict[str, Answer] = {
        "sendMessage": pages.send,
        "listConnections": pages.connections,
        "disconnectUser": pages.disconnect,
        "revokeToken": pages.revoke,
        "invalidateProfile": pages.invalidate,
    }
    document = HttpResponse(body=orjson.dumps(openapi(__version__)))
    return {
        DOCUMENT: {"GET": lambda request: document},
        **{
            operation.path: {operation.method: gate.guard(answers[operation.name])}
            for operation in OPERATIONS
        },
    }


def _read(request: HttpRequest, kind: type[S]) -> S:
    try:
        return msgspec.json.decode(request.body, type=kind)
    except msgspec.ValidationError as error:
        # Names of fields and types, nothing of what was sent but the name of an unknown field.
        raise ValidationError(f"The body: {str(error)[:200]}") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise ValidationError("Expected one JSON object as the body.") from None


def _id(value: object) -> str:
    text = str(value)
    if "\0" in text:
        raise ValidationError("An id: expected no NUL in it.")
    return text


def _show(reply: Reply) -> Fields | HttpResponse:
    """Turn the answer to a command into that to a request."""
    if reply["type"] == "error":
        code = reply["code"]
        headers = {"Retry-After": str(reply["retryAfter"])} if "retryAfter" in reply else {}
        return error_response(STATUS[code], code, reply["message"], reply["details"], headers)
    shown = {"messageId": reply["message"]["id"], "message": reply["message"]}
    if reply.get("duplicate"):
        shown["duplicate"] = True
    return shown
