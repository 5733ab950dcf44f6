"""Plain HTTP on the port: a table of routes, served by aiohttp's low-level server.

Every answer is small and every wait is bounded. Errors have the shape of docs/protocol.md, "HTTP".
"""

import asyncio
import json
import logging
import traceback
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

from aiohttp import web
from multidict import CIMultiDictProxy

from fastchat.transport.client_ip import Network, find_client_ip

JSON = "application/json"
MAX_BODY = 64 * 1024  # bytes
BODY_TIMEOUT = 5.0  # seconds for the whole body
IDLE_TIMEOUT = 15.0  # seconds a connection without a request is kept

log = logging.getLogger("fastchat.transport")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request, its body complete."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    remote_ip: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """One answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]
Routes = Mapping[str, Mapping[str, Handler]]  # path → method → handler; GET answers HEAD too
# (remote_ip, path) → 0, or the whole seconds until another request is welcome.
AdmitRequest = Callable[[str, str], int]
# (stream, headers, rest, leave): calls ``leave`` before it takes the stream; raises HttpError.
Upgrade = Callable[[asyncio.Transport, "CIMultiDictProxy[str]", bytes, Callable[[], None]], None]


class HttpError(Exception):
    """A request that a handler refuses."""

    def __init__(self, status: int, code: str, message: str, details: str) -> None:
        """Take the HTTP status and the fields of the body."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details


def error_response(
    status: int, code: str, message: str, details: str, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """Make the answer to a refused request."""
    body = {"status": "error", "code": code, "message": message, "details": details}
    return HttpResponse(status=status, body=json.dumps(body).encode(), headers=headers or {})


def admit_all(remote_ip: str, path: str) -> int:
    """Admit every request."""
    return 0


def is_allowed_origin(origins: Sequence[str], allowed: Collection[str]) -> bool:
    """Tell whether a browser page of this origin may talk to us.

    Args:
        origins: values of all ``Origin`` headers; none: the client is no browser.
        allowed: empty: any.
    """
    return not allowed or not origins or (len(origins) == 1 and origins[0].lower() in allowed)


class HttpServer:
    """Answers requests from the table; makes one protocol per connection.

    Attributes:
        upgrade: What makes a WebSocket of a connection that was used before; None: nothing does.
    """

    def __init__(
        self,
        routes: Routes,
        *,
        admit: AdmitRequest = admit_all,
        trusted_proxies: Sequence[Network] = (),
        allowed_origins: Collection[str] = (),
    ) -> None:
        """Take the table, who may ask, which proxies are believed, which pages may ask."""
        self._routes = routes
        self._admit = admit
        self._trusted_proxies = trusted_proxies
        self._allowed_origins = frozenset(origin.lower() for origin in allowed_origins)
        self._server: web.Server | None = None
        self.upgrade: Upgrade | None = None

    def make_protocol(self) -> asyncio.Protocol:
        """Make the protocol of one connection; needs a running loop."""
        if self._server is None:
            self._server = web.Server(
                self._answer,
                access_log=None,
                keepalive_timeout=IDLE_TIMEOUT,
                lingering_time=0.0,
                auto_decompress=False,
            )
        protocol: asyncio.Protocol = self._server()
        return protocol

    async def stop(self, timeout: float) -> None:
        """Let running requests end, then close every connection."""
        if self._server is not None:
            self._server.pre_shutdown()
            await self._server.shutdown(timeout)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        if self.upgrade is not None and is_handshake(request):
            response = self._hand_over(request, self.upgrade)
        else:
            response = await self._respond(request)
        answer = web.Response(
            status=response.status, body=response.body, headers=response.headers or None
        )
        answer.headers["Content-Type"] = response.content_type
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["Server"] = "fastchat"
        if not request.content.is_eof():
            # Nobody reads the rest of this body.
            answer.force_close()
        return answer

    def _hand_over(self, request: web.BaseRequest, upgrade: Upgrade) -> HttpResponse:
        """Let a connection that was used for plain HTTP become a WebSocket.

        Clients and proxies that keep connections take any of them for a handshake.
        """
        protocol, stream = request.protocol, request.transport
        # What came behind the handshake, before its answer: a client must not, but it may.
        rest = bytes(protocol._message_tail)

        def leave() -> None:
            # aiohttp believes the connection lost, and what it would answer goes nowhere.
            protocol.transport = None
            protocol.connection_lost(None)

        try:
            upgrade(cast(asyncio.Transport, stream), request.headers, rest, leave)
        except HttpError as error:
            return error_response(error.status, error.code, error.message, error.details)
        return HttpResponse()

    async def _respond(self, request: web.BaseRequest) -> HttpResponse:
        peer = request.transport.get_extra_info("peername") if request.transport else None
        forwarded = request.headers.getall("X-Forwarded-For", [])
        remote_ip = find_client_ip(peer[0] if peer else "", forwarded, self._trusted_proxies)
        if remote_ip is None:
            return error_response(
                400, "VALIDATION_ERROR", "Invalid IP address", "Expected an IP address."
            )
        if not is_allowed_origin(request.headers.getall("Origin", []), self._allowed_origins):
            return error_response(
                403, "PERMISSION_DENIED", "Origin not allowed", "This page may not connect."
            )
        wait = self._admit(remote_ip, request.path)
        if wait:
            return error_response(
                429,
                "RATE_LIMIT_EXCEEDED",
                "Too many requests",
                f"Please try again in {wait} seconds.",
                {"Retry-After": str(wait)},
            )
        methods = self._routes.get(request.path)
        if methods is None:
            return error_response(404, "RESOURCE_NOT_FOUND", "Not found", "There is no such page.")
        method = "GET" if request.method == "HEAD" else request.method
        handler = methods.get(method)
        if handler is None:
            allowed = sorted({*methods, *(["HEAD"] if "GET" in methods else [])})
            return error_response(
                405,
                "VALIDATION_ERROR",
                "Method not allowed",
                f"Expected one of: {', '.join(allowed)}.",
                {"Allow": ", ".join(allowed)},
            )
        try:
            result = handler(
                HttpRequest(
                    method=method,
                    path=request.path,
                    query=request.query,
                    headers=request.headers,
                    remote_ip=remote_ip,
                    body=await _read_body(request),
                )
            )
            return result if isinstance(result, HttpResponse) else await result
        except HttpError as error:
            return error_response(error.status, error.code, error.message, error.details)
        except Exception as error:
            return _bug(error)


def is_handshake(request: web.BaseRequest) -> bool:
    """Whether a request wants to become a WebSocket."""
    return request.headers.get("Upgrade", "").lower() == "websocket"


async def _read_body(request: web.BaseRequest) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            while chunk := await request.content.readany():
                body += chunk
                if len(body) > MAX_BODY:
                    raise HttpError(
                        413,
                        "VALIDATION_ERROR",
                        "Body too large",
                        f"Expected at most {MAX_BODY} bytes.",
                    )
    except TimeoutError:
        raise HttpError(
            408, "VALIDATION_ERROR", "Request timeout", "The body did not arrive in time."
        ) from None
    return bytes(body)


def _bug(error: Exception) -> HttpResponse:
    # Where, not what: the text of an exception may hold what a client sent.
    error_id = str(uuid.uuid4())
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("HTTP handler failed with %s, error %s\n%s", type(error).__name__, error_id, where)
    return error_response(
        500, "INTERNAL_ERROR", "Internal error", f"The server failed; error id {error_id}."
    )


def head_response(status: int, code: str, details: str, extra: str = "") -> bytes:
    """Make the answer to a head that never becomes a request; the connection ends with it."""
    phrase = HTTPStatus(status).phrase
    body = error_response(status, code, phrase, details).body
    head = (
        f"HTTP/1.1 {status} {phrase}\r\nContent-Type: {JSON}\r\nContent-Length: {len(body)}\r\n"
        f"{extra}Connection: close\r\n\r\n"
    )
    return head.encode() + body
