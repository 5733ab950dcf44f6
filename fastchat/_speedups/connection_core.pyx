"""One WebSocket connection and its endpoint: frames to messages, messages to frames, deadlines.

Hot path. picows parses frames and does the handshake; everything that is written, and every duty of
RFC 6455 that picows leaves open, is here. Nothing calls upwards but the endpoint's callbacks,
and none of them runs inside a call from above.
"""

import asyncio
import logging
import traceback
import uuid
from base64 import b64encode
from hashlib import sha1
from time import monotonic

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from picows.picows cimport WSFrame, WSMsgType, WSTransport

from fastchat._speedups.frames cimport is_ascii, is_close_code
from fastchat._speedups.outbox cimport outbox_release
from fastchat._speedups.sender cimport (
    BINARY, CLOSE, CLOSING, LOST, NEW, OPEN, PING, PONG, TEXT, EndpointBase, Sender,
)

from fastchat._speedups.deflate import TooLarge, inflate
from fastchat._speedups.parsing import READ_SIZE, make_parser

cdef enum:
    SCRATCH_SIZE = 65536  # bytes
    MOST_SHRINKS = 100  # read buffers that one sweep replaces

cdef Py_ssize_t FIRST_SIZE = READ_SIZE
cdef double SHRINK_AFTER = 5.0  # seconds of silence

log = logging.getLogger("fastchat.transport")

_REASONS = {
    1002: "Protocol error",
    1007: "Invalid UTF-8",
    1009: "Message too big",
    1011: "Internal error",
}


# RFC 6455, section 4.2.2.
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n%b\r\n"
)


cdef bint is_text(const char* data, Py_ssize_t size):
    """Tell whether it is valid UTF-8. RFC 3629: no surrogates, no overlong forms."""
    if is_ascii(data, size):
        return True
    try:
        PyUnicode_DecodeUTF8(data, size, NULL)
    except UnicodeDecodeError:
        return False
    return True


cdef class Connection(Sender, asyncio.BufferedProtocol):
    """One socket that speaks WebSocket; made by ``Endpoint.accept``.

    It is the event loop's protocol and picows's listener in one: bytes go through picows's parser
    and come back as frames.
    """

    def __init__(self, Endpoint endpoint, object stream, str remote_ip, int window_bits):
        self.client_id = str(uuid.uuid4())
        self.remote_ip = remote_ip
        self.opened_at = self._heard_at = self._active_at = monotonic()
        self._endpoint = self._base = endpoint
        self._stream = stream
        self._window_bits = window_bits
        self._read_size = FIRST_SIZE
        self._fd = -1
        if stream.get_extra_info("ssl_object") is None:
            self._fd = stream.get_extra_info("socket").fileno()

    # What the layers above call.

    def open(self):
        """Begin: call ``on_open``. Frames that arrive before are not delivered."""
        cdef Endpoint endpoint = self._endpoint
        if self._state != NEW:
            return
        self._state = OPEN
        self._was_opened = True
        endpoint.opened += 1
        endpoint.connections += 1
        endpoint.peak_connections = max(endpoint.peak_connections, endpoint.connections)
        try:
            endpoint._on_open(self)
        except Exception as error:
            self._bug("on_open", error)

    def refuse(self, int code, str reason, bytes payload=None):
        """End it before it began: one error frame, if any, then the close frame; no callbacks."""
        if self._state != NEW:
            return
        self._state = OPEN
        if payload is not None:
            self._append_message(TEXT, payload)
        self._close(code, reason)

    def feed(self, bytes data not None):
        """Take bytes that arrived together with the head of the handshake."""
        cdef Py_ssize_t position = 0, size
        while position < len(data):
            view = self.get_buffer(-1)
            size = min(<Py_ssize_t>len(view), len(data) - position)
            view[:size] = data[position:position + size]
            self.buffer_updated(size)
            position += size

    def authenticated(self):
        """Lift the authentication deadline."""
        self._is_authenticated = True

    # What the event loop calls.

    def get_buffer(self, Py_ssize_t size_hint):
        """Give the parser's free space."""
        cdef Py_buffer free_space
        if self._parser is None:
            return self._endpoint._scratch
        view = self._parser.get_buffer(size_hint)
        PyObject_GetBuffer(view, &free_space, PyBUF_SIMPLE)
        self._free = free_space.len
        PyBuffer_Release(&free_space)
        return view

    def buffer_updated(self, Py_ssize_t size):
        """Parse what arrived; frames come back through ``on_ws_frame``."""
        cdef Endpoint endpoint = self._endpoint
        self._is_heard = True
        endpoint.bytes_in += size
        parser = self._parser
        if parser is None:
            return
        self._is_between_frames = False
        # picows doubles the buffer by this rule, and never shrinks it.
        self._free -= size
        if self._free <= 256 or 100 * (self._read_size - self._free) // self._read_size > 90:
            self._pin(self._read_size)
            self._read_size *= 2
        parser.buffer_updated(size)
        # Only now: frames before the bad one were delivered by the call above.
        if self._failure:
            self._discard_input()
            if self._state == OPEN:
                endpoint.violations += 1
                self._close(self._failure, _REASONS[self._failure])
        if endpoint.pinned_bytes > endpoint._pinned_limit:
            endpoint._relieve()

    def eof_received(self):
        """Let the event loop close the socket, after what is still queued."""
        self._flush()
        return False

    def connection_lost(self, error):
        """Forget everything and call ``on_close`` if ``on_open`` was called."""
        self._state = LOST
        if self._taken < 0:
            self._taken = self._count_taken()
        self._fd = -1
        self._parser = self._message = self._replies = self._stream = None
        outbox_release(&self._outbox)
        self._endpoint._leave(self)

    # What picows calls. It reports what it finds wrong to its logger, which is the connection.

    def isEnabledFor(self, level):  # noqa: N802
        """Tell picows that nothing is logged."""
        return False

    def debug(self, *args):
        """Ignore."""

    info = log = warning = debug

    def error(self, message, reason=None):
        """Remember the close code of what the parser found wrong."""
        if not self._failure:
            self._failure = reason[0] if isinstance(reason, tuple) else 1011
            if self._failure not in _REASONS:
                self._failure = 1002

    def exception(self, *args):
        """Remember that the parser failed."""
        self._failure = self._failure or 1011

    cpdef on_ws_connected(self, WSTransport transport):
        # From here on picows only parses; this also drops what it holds for writing.
        transport.is_close_frame_sent = True
        transport.request = transport.response = transport.listener_proxy = None
        transport.disconnected_future = None
        transport._tr_write = transport._tr_get_write_buffer_size = None
        transport._write_buffer = None

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        self._is_between_frames = frame.tail_size == 0
        if self._state != OPEN:
            if self._state == CLOSING and frame.msg_type == WSMsgType.CLOSE:
                self._finish()
        elif (
            frame.msg_type == WSMsgType.TEXT
            and frame.fin
            and self._message is None
            and not (frame.rsv1 or frame.rsv2 or frame.rsv3)
        ):
            if is_text(frame.payload_ptr, frame.payload_size):
                self._deliver(
                    TEXT, PyBytes_FromStringAndSize(frame.payload_ptr, frame.payload_size)
                )
            else:
                self._close(1007, _REASONS[1007])
        else:
            self._on_other_frame(frame)

    cdef void _on_other_frame(self, WSFrame frame):
        cdef int kind = frame.msg_type
        cdef Endpoint endpoint = self._endpoint
        # RFC 7692, section 6.1: only the first frame of a message may be marked as compressed.
        if frame.rsv2 or frame.rsv3 or (
            frame.rsv1 and (not self._window_bits or kind not in (TEXT, BINARY))
        ):
            self._close(1002, "Reserved bit set")
            if kind == CLOSE:
                # The parser delivers no second one, so the peer's answer would never be seen.
                self._finish()
        elif kind == PING:
            self._is_active = True
            # A peer that floods and does not read is itself not read above the mark; those in the
            # bytes at hand may stay without an answer (RFC 6455, section 5.5.3).
            if self._has_room(frame.payload_size, endpoint._outbox_limit + self._reply_size):
                self._append_frame(PONG, frame.payload_ptr, frame.payload_size)
        elif kind == CLOSE:
            self._on_close_frame(frame)
        elif kind == 0:
            self._on_continuation(frame)
        elif kind == PONG:
            pass
        elif self._message is not None:
            self._close(1002, "Fragmented message interrupted")
        elif kind == BINARY and endpoint._on_binary is None:
            self._close(1003, "Text frames only")
        elif frame.fin:
            self._complete(kind, frame.rsv1, frame.get_payload_as_bytes())
        else:
            self._message = bytearray(frame.get_payload_as_bytes())
            self._pin(frame.payload_size)
            self._message_kind = kind
            self._message_compressed = frame.rsv1
            self._fragments = 1

    cdef void _on_close_frame(self, WSFrame frame):
        cdef Py_ssize_t size = min(frame.payload_size, 2)
        if size == 2 and not is_close_code(<int>frame.get_close_code()):
            self._close(1002, "Invalid close code")
        else:
            # RFC 6455, section 5.5.1: the answer repeats the code; an empty one stays empty.
            self._append_close(PyBytes_FromStringAndSize(frame.payload_ptr, size))
        self._finish()

    cdef void _on_continuation(self, WSFrame frame):
        if self._message is None:
            self._close(1002, "Nothing to continue")
            return
        self._fragments += 1
        if len(self._message) + frame.payload_size > self._endpoint._max_message:
            self._close(1009, _REASONS[1009])
        elif self._fragments > 64 + (len(self._message) + frame.payload_size) // 16:
            self._close(1008, "Too many fragments")
        else:
            self._message += frame.get_payload_as_bytes()
            self._pin(frame.payload_size)
            if frame.fin:
                payload, self._message = bytes(self._message), None
                self._pin(-len(payload))
                self._complete(self._message_kind, self._message_compressed, payload)

    cdef void _complete(self, int kind, bint is_compressed, bytes payload):
        if is_compressed:
            self._endpoint.inflated += 1
            try:
                payload = inflate(payload, self._endpoint._max_message)
            except TooLarge:
                self._close(1009, _REASONS[1009])
                return
            except ValueError:
                self._close(1007, "Invalid compressed data")
                return
        if kind == TEXT and not is_text(PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload)):
            self._close(1007, _REASONS[1007])
            return
        self._deliver(kind, payload)

    cdef void _deliver(self, int kind, bytes payload):
        cdef Endpoint endpoint = self._endpoint
        self._is_active = True
        endpoint.messages_in += 1
        try:
            if kind == TEXT:
                endpoint._on_message(self, payload)
            else:
                endpoint._on_binary(self, payload)
        except Exception as error:
            self._bug("on_message", error)

    cdef void _bug(self, str callback, object error):
        # Where, not what: the text of an exception may hold what a client sent.
        where = "".join(traceback.format_tb(error.__traceback__))
        log.error("%s failed with %s\n%s", callback, type(error).__name__, where)
        if self._state == OPEN:
            self._close(1011, _REASONS[1011])

    cdef void _pin(self, Py_ssize_t change):
        """Count memory that the peer's unfinished input holds, and its parser after large input."""
        self._pinned += change
        self._endpoint.pinned_bytes += change

    cdef void _discard_input(self):
        """Give that memory back; what still arrives is read and thrown away.

        The output is half-closed after the close frame: a socket that is closed with unread bytes
        is reset, and the client might never see why.
        """
        self._parser = self._message = None
        self._pin(-self._pinned)
        self._ends_output = True

    cdef bint _shrink(self):
        """Take a new parser with a small buffer, unless part of a frame is in the old one."""
        if self._parser is None or self._read_size == FIRST_SIZE or not self._is_between_frames:
            return False
        self._pin(FIRST_SIZE - self._read_size)
        self._read_size = FIRST_SIZE
        self._parser = make_parser(self, self._endpoint._max_message)
        return True

    cdef tuple _idleness(self):
        """Order of closing when input takes too much memory: silent for longest, then largest."""
        return (not self._is_heard, -self._heard_at, self._pinned)

    cdef void _sweep(self, double now):
        cdef Endpoint endpoint = self._endpoint
        # Who is not read cannot be heard; the bound of the outbox and inactivity still hold.
        if self._is_heard or self._is_paused:
            self._is_heard = False
            self._heard_at = now
            self._pinged_at = 0.0
        if self._is_active:
            self._is_active = False
            self._active_at = now
        if self._marks is not None and self._is_blocked:
            self._count_taken()  # while the event loop still knows
        if self._state == CLOSING:
            if now >= self._deadline:
                self._abort()
        elif self._state != OPEN:
            pass
        elif not self._is_authenticated and now - self.opened_at >= endpoint._authentication:
            endpoint.authentication_timeouts += 1
            self._close(1008, "Authentication timeout")
        elif now - self._active_at >= endpoint._inactivity:
            endpoint.inactivity_timeouts += 1
            self._close(1000, "Connection timeout")
        elif self._pinged_at:
            if now - self._pinged_at >= endpoint._keep_alive:
                endpoint.keep_alive_timeouts += 1
                self._abort()
        elif now - self._heard_at >= endpoint._keep_alive:
            self._pinged_at = now
            self._append_frame(PING, NULL, 0)


cdef class Endpoint(EndpointBase):
    """The connections of one listening server: their bounds, callbacks, deadlines and counters.

    Args:
        loop: the event loop.
        on_open: called with a connection after its handshake.
        on_message: called with a connection and the UTF-8 bytes of one complete text message.
        on_close: called with a connection, exactly once for each ``on_open``.
        limits: bounds, in seconds and bytes.
        on_binary: called like ``on_message`` for binary messages; None closes with 1003.
    """

    def __init__(self, loop, *, on_open, on_message, on_close, limits, on_binary=None):
        EndpointBase.__init__(self, loop, limits)
        self._on_open = on_open
        self._on_message = on_message
        self._on_close = on_close
        self._on_binary = on_binary
        self._scratch = memoryview(bytearray(SCRATCH_SIZE))
        self._all = set()
        self._max_message = limits.max_message
        self._pinned_limit = limits.pinned_limit
        self._keep_alive = limits.keep_alive
        self._inactivity = limits.inactivity
        self._authentication = limits.authentication

    def accept(self, stream, bytes key, str remote_ip, int window_bits=0, str extensions=None):
        """Answer a handshake and return its connection, which still has to be opened or refused.

        Args:
            stream: the event loop's transport; its protocol is replaced.
            key: ``Sec-WebSocket-Key``, known to be valid.
            remote_ip: address of the client.
            window_bits: of permessage-deflate, when it was negotiated.
            extensions: ``Sec-WebSocket-Extensions`` of the answer.
        """
        cdef Connection connection = Connection(self, stream, remote_ip, window_bits)
        accept = b64encode(sha1(key + _GUID).digest())
        extra = f"Sec-WebSocket-Extensions: {extensions}\r\n" if extensions else ""
        connection._parser = make_parser(connection, self._max_message)
        # TLS transports pause at the mark itself, plain ones above it.
        stream.set_write_buffer_limits(high=0 if connection._fd >= 0 else 1, low=0)
        stream.set_protocol(connection)
        self._all.add(connection)
        stream.write(_ANSWER % (accept, extra.encode("ascii")))
        return connection

    def sweep(self, double now):
        """Send keep-alive pings and end what is past a deadline; to be called each second.

        Cost: O(connections), 20 to 50 ns for one without anything due.
        """
        cdef Connection connection
        cdef int shrinks = MOST_SHRINKS if self.pinned_bytes > self._pinned_limit // 2 else 0
        for connection in list(self._all):
            connection._sweep(now)
            if shrinks and now - connection._heard_at >= SHRINK_AFTER and connection._shrink():
                shrinks -= 1

    def close_all(self, int code, str reason):
        """Close every connection."""
        for connection in list(self._all):
            connection.close(code, reason)

    def abort_all(self):
        """Drop every socket."""
        for connection in list(self._all):
            (<Connection>connection)._abort()

    def wait_empty(self):
        """Return a future that is done when no connection is left."""
        waiter = self._loop.create_future()
        if self._all:
            self._empty_waiter = waiter
        else:
            waiter.set_result(None)
        return waiter

    cdef void _relieve(self):
        """Close the idlest connections until unfinished input is within its bound."""
        cdef Connection connection, idlest
        while self.pinned_bytes > self._pinned_limit:
            idlest = None
            for connection in self._all:
                if connection._pinned and (
                    idlest is None or connection._idleness() > idlest._idleness()
                ):
                    idlest = connection
            if idlest is None:
                return
            self.pinned_closes += 1
            idlest._discard_input()
            if idlest._state == OPEN:
                idlest._close(1012, "Please reconnect")

    cdef void _leave(self, Connection connection):
        self._all.discard(connection)
        connection._pin(-connection._pinned)
        if connection._was_opened:
            connection._was_opened = False
            self.connections -= 1
            self.closed += 1
            try:
                self._on_close(connection)
            except Exception as error:
                connection._bug("on_close", error)
        if not self._all and self._empty_waiter is not None:
            if not self._empty_waiter.done():
                self._empty_waiter.set_result(None)
            self._empty_waiter = None
