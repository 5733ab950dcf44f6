"""A WebSocket client that sends whatever bytes a test wants, and reads only when told to."""

import asyncio
import contextlib
import os
import socket
import struct
from typing import NamedTuple

TIMEOUT = 5.0
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, section 1.3
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
DEFLATE = "permessage-deflate; client_no_context_takeover; server_no_context_takeover"


class Frame(NamedTuple):
    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0

    @property
    def close_code(self):
        return struct.unpack("!H", self.payload[:2])[0]

    @property
    def reason(self):
        return self.payload[2:].decode()


def frame(opcode, payload=b"", *, fin=True, rsv=0, mask=True, length=None):
    """One client frame; ``length`` overrides the announced length."""
    if isinstance(payload, str):
        payload = payload.encode()
    size = len(payload) if length is None else length
    flag = 0x80 if mask else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if size < 126:
        head += bytes([flag | size])
    elif size < 65536:
        head += bytes([flag | 126]) + struct.pack("!H", size)
    else:
        head += bytes([flag | 127]) + struct.pack("!Q", size)
    if not mask:
        return head + payload
    key = os.urandom(4)
    pad = (key * (len(payload) // 4 + 1))[: len(payload)]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return head + key + masked.to_bytes(len(payload), "big")


def close_frame(code, reason=""):
    return frame(CLOSE, struct.pack("!H", code) + reason.encode())


def upgrade_head(**headers):
    """An upgrade; a header given as None is left out, underscores become hyphens."""
    values = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
    }
    values.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = [f"{name}: {value}\r\n" for name, value in values.items() if value is not None]
    return ("GET /any/path HTTP/1.1\r\n" + "".join(lines) + "\r\n").encode()


class RawClient:
    """One socket. Every wait is bounded."""

    def __init__(self, sock):
        self.sock = sock
        self.received = bytearray()
        self.loop = asyncio.get_running_loop()

    @classmethod
    async def connect(cls, port, *, receive_buffer=None):
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            async with asyncio.timeout(TIMEOUT):
                await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except OSError:
            sock.close()
            raise
        return cls(sock)

    @classmethod
    async def open(cls, port, *, receive_buffer=None, **headers):
        """Connect and upgrade."""
        client = await cls.connect(port, receive_buffer=receive_buffer)
        await client.send(upgrade_head(**headers))
        head = await client.read_head()
        assert head.startswith("HTTP/1.1 101 "), head
        return client

    async def send(self, data):
        async with asyncio.timeout(TIMEOUT):
            await self.loop.sock_sendall(self.sock, data)

    async def send_frame(self, opcode, payload=b"", **options):
        await self.send(frame(opcode, payload, **options))

    async def _receive(self, timeout):
        async with asyncio.timeout(timeout):
            data = await self.loop.sock_recv(self.sock, 65536)
        self.received += data
        return data

    async def read_exactly(self, size, timeout=TIMEOUT):
        while len(self.received) < size:
            if not await self._receive(timeout):
                raise EOFError(f"end after {bytes(self.received[:200])!r}")
        data = bytes(self.received[:size])
        del self.received[:size]
        return data

    async def read_head(self):
        while b"\r\n\r\n" not in self.received:
            if not await self._receive(TIMEOUT):
                raise EOFError(f"end after {bytes(self.received[:200])!r}")
        size = self.received.index(b"\r\n\r\n") + 4
        return (await self.read_exactly(size)).decode()

    async def read_response(self):
        """One HTTP answer: its head and its body."""
        head = await self.read_head()
        lines = [line.partition(":") for line in head.lower().splitlines()]
        size = next(int(value) for name, _, value in lines if name == "content-length")
        return head, await self.read_exactly(size)

    async def read_frame(self, timeout=TIMEOUT):
        first, size = await self.read_exactly(2, timeout)
        assert not size & 0x80, "a server must not mask"
        if size == 126:
            (size,) = struct.unpack("!H", await self.read_exactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.read_exactly(8))
        payload = await self.read_exactly(size)
        return Frame(first & 0x0F, payload, bool(first & 0x80), first >> 4 & 7)

    async def read_text(self, timeout=TIMEOUT):
        got = await self.read_frame(timeout)
        assert got.opcode == TEXT, got
        return got.payload.decode()

    async def expect_close(self, code, reason=None, timeout=TIMEOUT):
        """The next frame that is no message is a close frame; answer it, and close at the end."""
        got = await self.read_frame(timeout)
        while got.opcode in (TEXT, BINARY, PING, PONG):
            got = await self.read_frame(timeout)
        assert got.opcode == CLOSE, got
        assert (got.close_code, got.reason) == (code, got.reason if reason is None else reason)
        with contextlib.suppress(OSError):
            await self.send(close_frame(code))
        await self.expect_end(timeout)
        self.close()
        return got

    async def expect_end(self, timeout=TIMEOUT):
        """Nothing more comes, and the connection ends."""
        with contextlib.suppress(ConnectionResetError):
            await self._receive(timeout)
        assert not self.received, bytes(self.received[:200])

    async def drain(self, timeout=TIMEOUT):
        """Read to the end; return how many bytes came."""
        size = len(self.received)
        self.received.clear()
        with contextlib.suppress(ConnectionResetError):
            while data := await self._receive(timeout):
                size += len(data)
                self.received.clear()
        return size

    def close(self):
        self.sock.close()

    def reset(self):
        """Close with a reset."""
        linger = struct.pack("ii", 1, 0)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.sock.close()
