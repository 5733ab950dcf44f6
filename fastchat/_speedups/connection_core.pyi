from asyncio import AbstractEventLoop, Future, Transport
from collections.abc import Callable
from typing import Any

from fastchat._speedups.endpoint_limits import EndpointLimits

class Connection:
    client_id: str
    remote_ip: str
    session: Any
    opened_at: float
    @property
    def is_open(self) -> bool: ...
    @property
    def backlog(self) -> int: ...
    def open(self) -> None: ...
    def refuse(self, code: int, reason: str, payload: bytes | None = None) -> None: ...
    def feed(self, data: bytes) -> None: ...
    def authenticated(self) -> None: ...
    def send(self, payload: bytes) -> None: ...
    def send_ephemeral(self, payload: bytes) -> None: ...
    def send_reply(self, payload: bytes) -> None: ...
    def send_binary(self, payload: bytes) -> None: ...
    def close(self, code: int, reason: str) -> None: ...
    def abort(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...

class Endpoint:
    limits: EndpointLimits
    connections: int
    peak_connections: int
    opened: int
    closed: int
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    ephemeral_sheds: int
    slow_consumers: int
    violations: int
    inflated: int
    deflated: int
    inactivity_timeouts: int
    keep_alive_timeouts: int
    authentication_timeouts: int
    pinned_bytes: int
    pinned_closes: int
    def __init__(
        self,
        loop: AbstractEventLoop,
        *,
        on_open: Callable[[Connection], object],
        on_message: Callable[[Connection, bytes], object],
        on_close: Callable[[Connection], object],
        limits: EndpointLimits,
        on_binary: Callable[[Connection, bytes], object] | None = None,
    ) -> None: ...
    def accept(
        self,
        stream: Transport,
        key: bytes,
        remote_ip: str,
        window_bits: int = 0,
        extensions: str | None = None,
    ) -> Connection: ...
    def sweep(self, now: float) -> None: ...
    def close_all(self, code: int, reason: str) -> None: ...
    def abort_all(self) -> None: ...
    def wait_empty(self) -> Future[None]: ...
