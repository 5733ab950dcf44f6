"""One WebSocket connection and its endpoint: frames to messages, messages to frames, deadlines.

Hot path. picows parses frames and does the handshake; everything that is written, and every duty of
RFC 6455 that picows leaves open, is here. Nothing calls upwards but the endpoint's callbacks,
and none of them runs inside a call from above.
"""

import asyncio
import logging
import traceback
import uuid
from time import monotonic

from libc.errno cimport EAGAIN, EINTR, EWOULDBLOCK, errno
from cpython.buffer cimport PyBUF_SIMPLE, PyObject_GetBuffer, PyBuffer_Release
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memcpy
from picows.picows cimport WSFrame, WSListener, WSMsgType, WSTransport

from picows.picows import WSAutoPingStrategy, WSProtocol
from picows.api import WSUpgradeResponse, WSUpgradeResponseWithListener

from fastchat._speedups.frames cimport (
    COMPRESSED,
    FIN,
    HEADER_SIZE,
    is_ascii,
    is_close_code,
    write_header,
)
from fastchat._speedups.outbox cimport outbox_append, outbox_release

from fastchat._speedups.deflate import Deflater, TooLarge, inflate
from fastchat._speedups.endpoint_limits import EndpointLimits

cdef extern from "<sys/socket.h>" nogil:
    ssize_t c_send "send"(int fd, const void* data, size_t size, int flags)
    int MSG_NOSIGNAL

cdef enum:
    # States of a connection, in this order.
    NEW = 0
    OPEN = 1
    CLOSING = 2  # our close frame is queued; nothing may follow it
    LOST = 3

    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10

    FLUSH_FROM = 65536  # bytes; more are written at once, not at the end of the turn
    READ_SIZE = 1792  # bytes of a new parser's buffer
    SCRATCH_SIZE = 65536

log = logging.getLogger("fastchat.transport")

_REASONS = {
    1002: "Protocol error",
    1007: "Invalid UTF-8",
    1009: "Message too big",
    1011: "Internal error",
}


cdef class _Detached:
    """What picows is left with instead of the socket once it only parses."""

    def close(self):
        """Do nothing: the connection closes its socket itself."""

    def abort(self):
        """Do nothing: the connection closes its socket itself."""


cdef object DETACHED = _Detached()


cdef class SharedFrame:
    """One event for many receivers: its header is built once, and it is compressed at most once."""

    def __cinit__(self, bytes payload not None):
        self.payload = payload
        self.header_size = write_header(self.header, FIN | TEXT, PyBytes_GET_SIZE(payload))
        self.compressed = None


cdef class Connection(WSListener, asyncio.BufferedProtocol):
    """One socket that speaks WebSocket; made by ``Endpoint.accept``.

    It is the event loop's protocol and picows's listener in one: bytes go through picows's parser
    and come back as frames.
    """

    def __init__(self, Endpoint endpoint, object stream, str remote_ip, int window_bits):
        self.client_id = str(uuid.uuid4())
        self.remote_ip = remote_ip
        self.opened_at = self._heard_at = self._active_at = monotonic()
        self._endpoint = endpoint
        self._stream = stream
        self._window_bits = window_bits
        self._read_size = READ_SIZE
        self._fd = -1
        if stream.get_extra_info("ssl_object") is None:
            self._fd = stream.get_extra_info("socket").fileno()

    def __dealloc__(self):
        outbox_release(&self._outbox)

    @property
    def is_open(self):
        """Whether anything sent now can still reach the client."""
        return self._state == OPEN

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

    cpdef send(self, bytes payload):
        """Queue one event; never raises. A full outbox ends the connection with 1013."""
        if self._state != OPEN:
            return
        cdef Py_ssize_t limit = self._endpoint._outbox_limit + self._reply_size
        if self._is_blocked and not self._has_room(PyBytes_GET_SIZE(payload), limit):
            self._slow_consumer()
            return
        self._append_message(TEXT, payload)

    cpdef send_ephemeral(self, bytes payload):
        """Queue one event that is dropped when the backlog is over its mark."""
        if self._state != OPEN:
            return
        cdef Py_ssize_t size = PyBytes_GET_SIZE(payload)
        if self._is_blocked and not self._has_room(size, self._endpoint._outbox_mark):
            self._endpoint.ephemeral_sheds += 1
            return
        self._append_message(TEXT, payload)

    cpdef send_reply(self, bytes payload):
        """Queue one reply of any size; it waits while more than the mark is before it.

        Replies keep their order among themselves; events may overtake one that waits.
        """
        if self._state != OPEN:
            return
        cdef Py_ssize_t size = PyBytes_GET_SIZE(payload)
        if not self._replies and self._has_room(0, self._endpoint._outbox_mark):
            self._reply_size += size
            self._append_message(TEXT, payload)
            return
        if self._waiting + size > self._endpoint._replies_limit:
            self._slow_consumer()
            return
        if self._replies is None:
            self._replies = []
        self._replies.append(payload)
        self._waiting += size
        self._is_throttled = True
        self._apply_reading()

    def send_binary(self, bytes payload not None):
        """Queue one binary message; nothing in the chat protocol is one."""
        if self._state == OPEN:
            self._append_message(BINARY, payload)

    cpdef close(self, int code, str reason):
        """End the connection after what was queued before."""
        if self._state == OPEN:
            self._close(code, reason)

    def abort(self):
        """Drop the socket now; ``on_close`` follows on a later turn."""
        self._abort()

    def pause_reading(self):
        """Deliver nothing that arrives from now on, until ``resume_reading``."""
        self._is_held = True
        self._apply_reading()

    def resume_reading(self):
        """Undo ``pause_reading``."""
        self._is_held = False
        self._apply_reading()

    # What the event loop calls.

    def get_buffer(self, Py_ssize_t size_hint):
        """Give the parser's free space; its growth shows how much memory the parser holds."""
        cdef Py_buffer free_space
        if self._parser is None:
            return self._endpoint._scratch
        view = self._parser.get_buffer(size_hint)
        PyObject_GetBuffer(view, &free_space, PyBUF_SIMPLE)
        cdef Py_ssize_t size = free_space.len
        PyBuffer_Release(&free_space)
        # The buffer doubles and never shrinks.
        while size > self._read_size:
            self._endpoint.pinned_bytes += self._read_size
            self._read_size *= 2
        return view

    def buffer_updated(self, Py_ssize_t size):
        """Parse what arrived; frames come back through ``on_ws_frame``."""
        cdef Endpoint endpoint = self._endpoint
        self._is_heard = True
        endpoint.bytes_in += size
        parser = self._parser
        if parser is None:
            return
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
        self._fd = -1
        self._stream = self._parser = self._message = self._replies = None
        outbox_release(&self._outbox)
        self._endpoint._leave(self)

    cpdef pause_writing(self):
        """Keep what follows in the outbox."""
        self._is_blocked = True

    cpdef resume_writing(self):
        """Go on: the event loop's buffer is empty."""
        self._is_blocked = False
        self._handed = 0
        self._flush()

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
        # From here on picows only parses. Whatever it would still write or close by itself would
        # bypass the outbox and its bounds.
        transport.is_close_frame_sent = True
        transport.underlying_transport = DETACHED
        transport.request = transport.response = transport.listener_proxy = None
        transport.disconnected_future = None
        transport._tr_write = transport._tr_get_write_buffer_size = None
        transport._write_buffer = None

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
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
        elif kind == PING:
            self._is_active = True
            # A peer that floods and does not read gets no more answers, only the latest matter
            # (RFC 6455, section 5.5.3).
            if self._has_room(frame.payload_size, endpoint._outbox_mark):
                self._append(FIN | PONG, frame.payload_ptr, frame.payload_size)
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
            if frame.fin:
                payload, self._message = bytes(self._message), None
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
