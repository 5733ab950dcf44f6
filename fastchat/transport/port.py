"""The listening port: a WebSocket upgrade or plain HTTP, over TCP or TLS.

The head of a connection's first request is gathered here, within a bound and a deadline. An upgrade
goes to the connection core, which answers it; anything else goes to the HTTP server, which
keeps the connection.
"""

import asyncio
import base64
import binascii
import logging
import re
import socket
import ssl
import traceback
from collections.abc import Callable, Collection, Sequence
from time import monotonic
from typing import NamedTuple, cast
from weakref import WeakSet

from multidict import CIMultiDict, CIMultiDictProxy
from picows.picows import _parse_http_request  # type: ignore[attr-defined]

from fastchat._speedups.connection_core import Endpoint
from fastchat.protocol.codes import CloseCode
from fastchat.transport.client_ip import Network, find_client_ip
from fastchat.transport.extensions import negotiate
from fastchat.transport.http import HttpError, HttpServer, head_response, is_allowed_origin

MAX_HEAD = 16 * 1024  # bytes
HEAD_TIMEOUT = 5.0  # seconds for the whole head, and for the TLS handshake
UNSENT_LIMIT = 64 * 1024  # bytes that the kernel keeps and has not sent yet, per connection
CLOSE_TIMEOUT = 2.0  # seconds for a peer to take an error, and for its part of closing TLS
SWEEP_INTERVAL = 1.0  # seconds
BACKLOG = 1024
DRAIN_POLL = 0.01  # seconds
MAX_HEADS = 4096  # connections whose first head is not complete
HTTP_STALL_TIMEOUT = 30_000  # milliseconds, as the kernel counts them
_UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*\bwebsocket\b", re.IGNORECASE)

Headers = CIMultiDict[str] | CIMultiDictProxy[str]

log = logging.getLogger("fastchat.transport")


class Refusal(NamedTuple):
    """Why a connection ends right after its handshake."""

    close_code: int
    reason: str
    payload: bytes | None = None  # an error frame to send before


# (remote_ip, headers, origin) → None to let the connection in. Called once per handshake, right
# before ``on_open`` if it returns None.
Admit = Callable[[str, Headers, str | None], Refusal | None]


class BadHandshake(Exception):
    """An upgrade that is answered by an HTTP error."""

    def __init__(self, status: int, details: str, extra: str = "") -> None:
        """Take the HTTP status, the sentence for people and more header lines."""
        super().__init__(details)
        self.status = status
        self.details = details
        self.extra = extra


class Listener:
    """The sockets of one endpoint, and what hangs on them: open heads, HTTP, the sweep."""

    def __init__(
        self,
        endpoint: Endpoint,
        http: HttpServer,
        *,
        admit: Admit,
        trusted_proxies: Sequence[Network] = (),
        allowed_origins: Collection[str] = (),
        head_timeout: float = HEAD_TIMEOUT,
        max_heads: int = MAX_HEADS,
        compress: bool = True,
    ) -> None:
        """Take where connections go and who may come; ``start`` opens the port.

        Above ``max_heads`` connections without a complete head the oldest of them is dropped.
        """
        self.endpoint = endpoint
        self.http = http
        http.upgrade = self._upgrade_used
        self.admit = admit
        self.trusted_proxies = trusted_proxies
        self.allowed_origins = frozenset(origin.lower() for origin in allowed_origins)
        self.head_timeout = head_timeout
        self.compress = compress
        self.max_heads = max_heads
        self.heads: dict[HeadProtocol, None] = {}  # the oldest first
        self.head_timeouts = 0
        self.head_drops = 0
        self.bad_handshakes = 0
        self._loop = asyncio.get_running_loop()
        self._servers: list[asyncio.AbstractServer] = []
        self._addresses: list[tuple[str, int]] = []
        self._sweep_timer: asyncio.TimerHandle | None = None
        # The loop tells us when a TLS handshake is over, but not when it fails: then it lets go of
        # the protocol.
        self._handshakes: WeakSet[HeadProtocol] = WeakSet()

    @property
    def port(self) -> int:
        """Port of the first socket."""
        return self._addresses[0][1]

    @property
    def addresses(self) -> Sequence[tuple[str, int]]:
        """Host and port of each socket."""
        return self._addresses

    async def start(
        self, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None = None
    ) -> None:
        """Accept connections on bound sockets, which belong to the listener from now on."""
        for bound in sockets:
            self._addresses.append(bound.getsockname()[:2])
            server = await self._loop.create_server(
                self._accept_tls if tls else self._accept,
                sock=bound,
                ssl=tls,
                backlog=BACKLOG,
                ssl_handshake_timeout=self.head_timeout if tls else None,
                ssl_shutdown_timeout=CLOSE_TIMEOUT if tls else None,
            )
            self._servers.append(server)
        self._sweep()

    def close_accepting(self) -> None:
        """Take no more connections; those that are here stay."""
        for server in self._servers:
            server.close()

    async def drain_heads(self, timeout: float) -> None:
        """Let those who have just connected say what they want: nobody is cut off before."""
        give_up = self._loop.time() + min(timeout, self.head_timeout)
        # Polled: nobody tells when a handshake has failed.
        while (self.heads or self._handshakes) and self._loop.time() < give_up:  # noqa: ASYNC110
            await asyncio.sleep(DRAIN_POLL)

    def begin_head(self, head: "HeadProtocol") -> None:
        """Note a connection whose head is awaited; drop the oldest when there are too many."""
        self._handshakes.discard(head)
        self.heads[head] = None
        if len(self.heads) > self.max_heads:
            self.head_drops += 1
            next(iter(self.heads)).drop()

    async def stop(self, code: int, reason: str, timeout: float) -> None:
        """Close everything within ``timeout`` seconds; what is left then is dropped."""
        self.close_accepting()
        for head in list(self.heads):
            head.drop()
        empty = self.endpoint.wait_empty()
        self.endpoint.close_all(code, reason)
        http = asyncio.create_task(self.http.stop(timeout))
        await asyncio.wait([empty], timeout=timeout)
        if not empty.done():
            self.endpoint.abort_all()
            # The event loop tells of lost connections in its next turns.
            await asyncio.wait([empty], timeout=1.0)
        await http
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
            self._sweep_timer = None
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()

    def upgrade(
        self,
        stream: asyncio.Transport,
        headers: Headers,
        rest: bytes,
        leave: Callable[[], None],
    ) -> None:
        """Make a WebSocket of a connection whose handshake has come.

        Args:
            stream: The connection.
            headers: Of the handshake.
            rest: What came behind it.
            leave: Called when the handshake is good, before the stream gets its new protocol.

        Raises:
            BadHandshake: it is none, or comes from another page.
        """
        key = check_handshake(headers)
        origins = headers.getall("Origin", [])
        if not is_allowed_origin(origins, self.allowed_origins):
            raise BadHandshake(403, "This origin is not allowed.")
        agreement = None
        if self.compress:
            agreement = negotiate(headers.getall("Sec-WebSocket-Extensions", []))
        peer = stream.get_extra_info("peername")
        forwarded = headers.getall("X-Forwarded-For", [])
        remote_ip = find_client_ip(peer[0] if peer else "", forwarded, self.trusted_proxies)
        leave()
        bits, extensions = agreement or (0, None)
        connection = self.endpoint.accept(stream, key, remote_ip or "", bits, extensions)
        refusal: Refusal | None
        if remote_ip is None:
            refusal = Refusal(CloseCode.POLICY_VIOLATION, "Invalid IP address")
        else:
            try:
                refusal = self.admit(remote_ip, headers, origins[0] if origins else None)
            except Exception as error:
                # Where, not what: headers may hold secrets.
                where = "".join(traceback.format_tb(error.__traceback__))
                log.error("admit failed with %s\n%s", type(error).__name__, where)
                refusal = Refusal(CloseCode.INTERNAL_ERROR, "Internal error")
        if refusal is None:
            connection.open()
        else:
            connection.refuse(*refusal)
        if rest:
            connection.feed(rest)

    def _upgrade_used(
        self,
        stream: asyncio.Transport,
        headers: Headers,
        rest: bytes,
        leave: Callable[[], None],
    ) -> None:
        """Like ``upgrade``, for a connection that was used for plain HTTP before."""
        try:
            self.upgrade(stream, headers, rest, leave)
        except BadHandshake as error:
            self.bad_handshakes += 1
            code = "PERMISSION_DENIED" if error.status == 403 else "VALIDATION_ERROR"
            raise HttpError(error.status, code, "No WebSocket", error.details) from None
        # A WebSocket is judged by its outbox.
        _set_stall_timeout(stream, 0)
        if not stream.is_reading():
            stream.resume_reading()

    def _accept(self) -> "HeadProtocol":
        return HeadProtocol(self)

    def _accept_tls(self) -> "HeadProtocol":
        head = HeadProtocol(self)
        self._handshakes.add(head)
        return head

    def _sweep(self) -> None:
        self._sweep_timer = self._loop.call_later(SWEEP_INTERVAL, self._sweep)
        self.endpoint.sweep(monotonic())


class HeadProtocol(asyncio.Protocol):
    """Gathers the head of a connection's first request and hands the connection over."""

    __slots__ = ("__weakref__", "_head", "_is_ended", "_listener", "_stream", "_timer")

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._head = bytearray()
        self._stream: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the deadline."""
        self._stream = cast(asyncio.Transport, transport)
        self._listener.begin_head(self)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._listener.head_timeout, self._expire)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._leave()

    def data_received(self, data: bytes) -> None:
        """Gather; decide when the head is complete."""
        if self._is_ended:
            return
        # The end may be split over two reads.
        start = max(0, len(self._head) - 3)
        self._head += data
        end = self._head.find(b"\r\n\r\n", start)
        if max(end, len(self._head) if end < 0 else 0) > MAX_HEAD:
            self._refuse(431, "The head of the request is too long.")
        elif end >= 0:
            self._hand_over(end)

    def drop(self) -> None:
        """End the connection now."""
        stream = self._stream
        self._leave()
        if stream is not None:
            stream.abort()

    def _hand_over(self, end: int) -> None:
        stream = self._stream
        assert stream is not None
        listener = self._listener
        received = bytes(self._head)
        if _UPGRADE.search(received, 0, end + 2):
            try:
                self._upgrade(stream, received[:end], received[end + 4 :])
            except BadHandshake as error:
                listener.bad_handshakes += 1
                self._refuse(error.status, error.details, error.extra)
        else:
            self._leave()
            # Answers are small, so a peer that takes none for so long reads nothing.
            _set_stall_timeout(stream, HTTP_STALL_TIMEOUT)
            protocol = listener.http.make_protocol()
            stream.set_protocol(protocol)
            protocol.connection_made(stream)
            protocol.data_received(received)

    def _upgrade(self, stream: asyncio.Transport, head: bytes, rest: bytes) -> None:
        try:
            headers = _parse_http_request(head).headers
        except RuntimeError:
            raise BadHandshake(400, "Malformed request.") from None
        self._listener.upgrade(stream, headers, rest, self._leave)

    def _refuse(self, status: int, details: str, extra: str = "") -> None:
        stream = self._stream
        if stream is None:
            return
        code = "PERMISSION_DENIED" if status == 403 else "VALIDATION_ERROR"
        stream.write(head_response(status, code, details, extra))
        self._end(stream)

    def _expire(self) -> None:
        self._listener.head_timeouts += 1
        self._refuse(408, "The head of the request did not arrive in time.")

    def _end(self, stream: asyncio.Transport) -> None:
        self._is_ended = True
        if self._timer is not None:
            self._timer.cancel()
        stream.close()
        # A peer that does not read, or does not end its TLS, must not keep the socket.
        self._timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self.drop)

    def _leave(self) -> None:
        self._is_ended = True
        self._listener.heads.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._stream = None
        self._head = bytearray()


def _set_stall_timeout(stream: asyncio.Transport, milliseconds: int) -> None:
    stream.get_extra_info("socket").setsockopt(
        socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds
    )


def check_handshake(headers: Headers) -> bytes:
    """Check an upgrade and return its key.

    Raises:
        BadHandshake: it is none.

    Source: RFC 6455, section 4.2.1. The tokens of ``Connection`` are a list: Firefox sends
    ``keep-alive, Upgrade``.
    """
    if "websocket" not in tokens(headers, "Upgrade") or "upgrade" not in tokens(
        headers, "Connection"
    ):
        raise BadHandshake(400, "Expected 'Upgrade: websocket' and 'Connection: Upgrade'.")
    if headers.getall("Sec-WebSocket-Version", []) != ["13"]:
        raise BadHandshake(
            426,
            "Expected WebSocket version 13.",
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        )
    keys = headers.getall("Sec-WebSocket-Key", [])
    try:
        if len(keys) == 1 and len(base64.b64decode(keys[0], validate=True)) == 16:
            return keys[0].encode("ascii")
    except (binascii.Error, ValueError):
        pass
    raise BadHandshake(400, "Expected a 'Sec-WebSocket-Key' of 16 bytes.")


def tokens(headers: Headers, name: str) -> set[str]:
    """Split the values of a list header into its tokens, in lower case."""
    return {
        token.strip().lower() for value in headers.getall(name, []) for token in value.split(",")
    }


def bind(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    """Bind one TCP socket, restartable at once; port 0: any free one.

    Shared ones may have the same port: whoever connects goes to one of those that listen.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Connections inherit it. The kernel would keep megabytes for a client that does not read.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_LIMIT)
        bound.setblocking(False)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound


def bind_shared(host: str, port: int, count: int) -> list[socket.socket]:
    """Bind several sockets to one port that nobody else listens on.

    Raises:
        OSError: the port cannot be had.
    """
    # Without this another server of the same user, whose sockets are shared too, would get half
    # of our clients, and we half of its.
    bind(host, port).close()
    first = bind(host, port, is_shared=True)
    sockets = [first]
    try:
        while len(sockets) < count:
            sockets.append(bind(host, first.getsockname()[1], is_shared=True))
    except BaseException:
        for bound in sockets:
            bound.close()
        raise
    return sockets


def make_tls_context(key: str, cert: str, ca: str | None = None) -> ssl.SSLContext:
    """Load key and certificate, in PEM files.

    ``ca`` holds certificates of the authority that are missing in ``cert``: they complete the chain
    sent to clients. Clients are not asked for certificates.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    if ca is not None:
        context.load_verify_locations(ca)
    return context
