"""The writing half of a connection: an outbox that is written once per turn of the event loop.

Hot path. Frames are appended to the outbox; at the end of the turn, or earlier by ``flush``, each
connection with something to write costs one send(2). What the socket does not take goes to the
event loop's buffer, and as long as that is not empty, everything else stays in the outbox, where it
is counted: so the backlog of a slow reader has a bound. Nothing here calls upwards.
"""

from time import monotonic

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EINTR, errno
from picows.picows cimport WSListener

from fastchat._speedups.frames cimport COMPRESSED, FIN, HEADER_SIZE, is_close_code, write_header
from fastchat._speedups.outbox cimport outbox_append, outbox_release

from fastchat._speedups.deflate import Deflater

cdef extern from "<sys/socket.h>" nogil:
    ssize_t c_send "send"(int fd, const void* data, size_t size, int flags)
    int MSG_NOSIGNAL

cdef enum:
    FLUSH_FROM = 65536  # bytes; more are written at once, not at the end of the turn
    REASON_SIZE = 123  # bytes; RFC 6455, section 5.5


cdef class EndpointBase:
    """What all connections of one listening server share: bounds, counters, who has to write."""

    def __init__(self, object loop, object limits):
        self._loop = loop
        self._flush_callback = self.flush
        self._deflaters = {}
        self._dirty = []
        self.limits = limits
        self._outbox_mark = limits.outbox_mark
        self._outbox_limit = limits.outbox_limit
        self._replies_limit = limits.replies_limit
        self._deflate_from = limits.deflate_from
        self._close_time = limits.close
        self._burst_limit = limits.burst_limit
        self._burst_time = limits.burst

    cdef void _mark_dirty(self, Sender sender):
        if not self._dirty:
            self._loop.call_soon(self._flush_callback)
        self._dirty.append(sender)

    def flush(self):
        """Write every outbox; those of clients that got an answer come last.

        Who is answered asks on at once. Once everybody has been written to, the next questions come
        together, and make one batch instead of several.
        """
        cdef Sender sender
        cdef list dirty = self._dirty
        self._dirty = []
        for sender in dirty:
            sender._is_dirty = False
            if not sender._is_answered:
                sender._flush()
        for sender in dirty:
            if sender._is_answered:
                sender._is_answered = False
                sender._flush()

    cdef bytes _deflate(self, bytes payload, int window_bits):
        """Compress one message; None: it would not be smaller."""
        deflater = self._deflaters.get(window_bits)
        if deflater is None:
            deflater = self._deflaters[window_bits] = Deflater(window_bits)
        cdef bytes packed = deflater.deflate(payload)
        self.deflated += 1
        return packed if PyBytes_GET_SIZE(packed) < PyBytes_GET_SIZE(payload) else None


cdef class SharedFrame:
    """One event for many receivers: its header is built once, and it is compressed at most once."""

    def __cinit__(self, bytes payload not None):
        self.payload = payload
        self.header_size = write_header(self.header, FIN | TEXT, PyBytes_GET_SIZE(payload))

    cdef bytes deflated(self, EndpointBase endpoint, int window_bits):
        if self.compressed is None:
            self.compressed = {}
        if window_bits not in self.compressed:
            self.compressed[window_bits] = endpoint._deflate(self.payload, window_bits)
        return self.compressed[window_bits]


cdef class Sender(WSListener):
    """The writing half of a connection."""

    def __cinit__(self):
        self._lost_from = self._taken = -1

    def __dealloc__(self):
        outbox_release(&self._outbox)

    @property
    def is_open(self):
        """Whether anything sent now can still reach the client."""
        return self._state == OPEN

    @property
    def backlog(self):
        """Bytes queued and not yet taken by the socket."""
        cdef Py_ssize_t buffered = 0
        if self._stream is not None:
            buffered = self._stream.get_write_buffer_size()
        return self._outbox.size + self._waiting + buffered

    @property
    def queued(self):
        """Bytes of frames queued so far: where the last one ends."""
        return self._queued

    @property
    def taken(self):
        """How many of them the socket took, known also when the connection has ended."""
        return self._taken if self._taken >= 0 else self._count_taken()

    @property
    def unsent(self):
        """Tokens of marked events that the socket did not take, in their order."""
        if self._marks is None:
            return ()
        taken = self.taken
        return [token for end, token in self._marks if end > taken]

    def send(self, bytes payload not None):
        """Queue one event; never raises. A full outbox ends the connection with 1013."""
        cdef Py_ssize_t limit = self._base._outbox_limit + self._reply_size
        if self._state != OPEN:
            return
        if self._keeps_up(PyBytes_GET_SIZE(payload), limit):
            self._is_answered = True
            self._append_message(TEXT, payload)
        else:
            self._slow_consumer()

    def send_ephemeral(self, bytes payload not None):
        """Queue one event that is dropped when the backlog is over its mark."""
        if self._state != OPEN:
            return
        if self._has_room(PyBytes_GET_SIZE(payload), self._base._outbox_mark):
            self._append_message(TEXT, payload)
        else:
            self._base.ephemeral_sheds += 1

    def send_reply(self, bytes payload not None):
        """Queue one reply of any size; it waits while more than the mark is before it.

        Replies keep their order among themselves; events may overtake one that waits.
        """
        cdef Py_ssize_t size = PyBytes_GET_SIZE(payload)
        if self._state != OPEN:
            return
        if not self._replies and self._has_room(0, self._base._outbox_mark):
            self._reply_size += size
            self._append_message(TEXT, payload)
        elif self._waiting + size > self._base._replies_limit:
            self._slow_consumer()
        else:
            if self._replies is None:
                self._replies = []
            self._replies.append(payload)
            self._waiting += size
            self._throttle()

    def send_binary(self, bytes payload not None):
        """Queue one binary message; nothing in the chat protocol is one."""
        if self._state == OPEN:
            self._append_message(BINARY, payload)

    def close(self, int code, str reason not None):
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

    cpdef pause_writing(self):
        # Called by the event loop inside its write(): what follows stays in the outbox.
        self._is_blocked = True
        if self._blocked_at == 0.0:
            self._blocked_at = monotonic()

    cpdef resume_writing(self):
        self._is_blocked = False
        self._handed = 0
        self._flush()

    cdef bint offer(self, SharedFrame frame, bint ephemeral):
        """Queue one event of many receivers; tell whether it was."""
        cdef EndpointBase base = self._base
        cdef Py_ssize_t size = PyBytes_GET_SIZE(frame.payload)
        cdef bytes packed
        if self._state != OPEN:
            return False
        if self._is_blocked:
            if ephemeral:
                if not self._has_room(size, base._outbox_mark):
                    base.ephemeral_sheds += 1
                    return False
            elif not self._keeps_up(size, base._outbox_limit + self._reply_size):
                self._slow_consumer()
                return False
        base.messages_out += 1
        if self._window_bits and size >= base._deflate_from:
            packed = frame.deflated(base, self._window_bits)
            if packed is not None:
                self._append_frame(
                    TEXT | COMPRESSED, PyBytes_AS_STRING(packed), PyBytes_GET_SIZE(packed)
                )
                return True
        self._push(frame.header, frame.header_size, PyBytes_AS_STRING(frame.payload), size)
        self._appended()
        return True

    cdef bint offer_marked(self, SharedFrame frame, object token):
        """Queue one event of which ``unsent`` tells whether it was lost."""
        if not self.offer(frame, False):
            return False
        if self._marks is None:
            self._marks = []
        self._marks.append((self._queued, token))
        return True

    cdef void _append_message(self, int kind, bytes payload):
        self._push_message(kind, payload)
        self._appended()

    cdef void _push_message(self, int kind, bytes payload):
        cdef unsigned char header[HEADER_SIZE]
        cdef Py_ssize_t header_size
        cdef bytes packed
        if self._window_bits and PyBytes_GET_SIZE(payload) >= self._base._deflate_from:
            packed = self._base._deflate(payload, self._window_bits)
            if packed is not None:
                payload = packed
                kind |= COMPRESSED
        self._base.messages_out += 1
        header_size = write_header(header, FIN | kind, PyBytes_GET_SIZE(payload))
        self._push(header, header_size, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))

    cdef void _append_frame(self, int kind, const char* payload, Py_ssize_t size):
        """Queue one frame as it is, whatever the backlog."""
        cdef unsigned char header[HEADER_SIZE]
        self._push(header, write_header(header, FIN | kind, size), payload, size)
        self._appended()

    cdef void _push(
        self,
        const unsigned char* header,
        Py_ssize_t header_size,
        const char* payload,
        Py_ssize_t size,
    ):
        self._base.bytes_out += header_size + size
        self._queued += header_size + size
        if outbox_append(&self._outbox, header, header_size, payload, size) < 0:
            self._abort()

    cdef void _appended(self):
        if self._is_blocked:
            if not self._is_throttled and not self._has_room(0, self._base._outbox_mark):
                self._throttle()
        elif self._outbox.size >= FLUSH_FROM:
            # So that a burst within one turn is not mistaken for a slow reader.
            self._flush()
        elif not self._is_dirty:
            self._is_dirty = True
            self._base._mark_dirty(self)

    cdef bint _has_room(self, Py_ssize_t size, Py_ssize_t limit):
        """Tell whether the backlog stays within the limit with so many bytes more."""
        if not self._is_blocked or self._outbox.size + self._handed + size <= limit:
            return True
        self._handed = self._stream.get_write_buffer_size()
        return self._outbox.size + self._handed + size <= limit

    cdef bint _keeps_up(self, Py_ssize_t size, Py_ssize_t limit):
        """Tell whether a message more is within the limit, or part of a burst.

        A second of a room's messages may come in one turn: who could not have read them yet is no
        slow reader.
        """
        cdef EndpointBase base = self._base
        if self._has_room(size, limit):
            return True
        if self._outbox.size + self._handed + size > max(limit, base._burst_limit):
            return False
        return monotonic() - self._blocked_at < base._burst_time

    cdef void _flush(self):
        if self._is_blocked or self._state == LOST:
            return
        while True:
            if self._outbox.size:
                self._write()
            if self._is_blocked:
                if not self._has_room(0, self._base._outbox_mark):
                    self._throttle()
                return
            if self._stream is None or not self._replies:
                break
            payload = self._replies.pop(0)
            self._waiting -= len(payload)
            self._reply_size = len(payload)
            self._push_message(TEXT, payload)
        self._settle()

    cdef void _write(self):
        """Hand everything over; ``pause_writing`` tells that the socket did not take it all."""
        cdef Py_ssize_t sent = 0
        if self._fd >= 0:
            sent = c_send(self._fd, self._outbox.data, self._outbox.size, MSG_NOSIGNAL)
            if sent == self._outbox.size:
                outbox_release(&self._outbox)
                return
            if sent < 0:
                if errno != EAGAIN and errno != EINTR:
                    self._abort()
                    return
                sent = 0
        rest = PyBytes_FromStringAndSize(self._outbox.data + sent, self._outbox.size - sent)
        self._handed = self._outbox.size - sent
        outbox_release(&self._outbox)
        self._stream.write(rest)

    cdef long long _count_taken(self):
        """Count the bytes that the socket took, from the beginning."""
        cdef Py_ssize_t buffered = self._stream.get_write_buffer_size()
        if self._is_blocked:
            if buffered or self._state != LOST:
                self._handed = buffered
            else:
                buffered = self._handed  # a connection that was reset has thrown it away
        if self._lost_from >= 0:
            return max(0, self._lost_from - buffered)
        return self._queued - self._outbox.size - buffered

    cdef void _settle(self):
        """Everything queued has gone out: do what waited for that."""
        self._reply_size = 0
        self._blocked_at = 0.0
        if self._lost_from < 0 and self._taken < 0:
            self._marks = None
        if self._is_throttled:
            self._is_throttled = False
            self._apply_reading()
        if self._is_finishing:
            self._is_finishing = False
            self._stream.close()
        elif self._ends_output:
            self._ends_output = False
            if self._stream.can_write_eof():
                self._stream.write_eof()

    cdef void _throttle(self):
        self._is_throttled = True
        self._apply_reading()

    cdef void _apply_reading(self):
        cdef bint paused = self._is_throttled or self._is_held
        if paused == self._is_paused or self._stream is None or self._stream.is_closing():
            return
        self._is_paused = paused
        if paused:
            self._stream.pause_reading()
        else:
            self._stream.resume_reading()

    cdef void _slow_consumer(self):
        # The outbox holds whole frames, so the close frame may follow what the event loop has.
        self._base.slow_consumers += 1
        self._lost_from = self._queued - self._outbox.size
        outbox_release(&self._outbox)
        self._close(1013, "Slow consumer")

    cdef void _close(self, int code, str reason):
        if not is_close_code(code):
            code = 1011
        text = reason.encode("utf-8", "replace")[:REASON_SIZE].decode("utf-8", "ignore")
        self._append_close(code.to_bytes(2, "big") + text.encode())

    cdef void _append_close(self, bytes payload):
        self._state = CLOSING
        self._deadline = monotonic() + self._base._close_time
        self._replies = None
        self._waiting = 0
        # The peer's answer has to be read.
        self._is_held = False
        self._apply_reading()
        self._append_frame(CLOSE, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))

    cdef void _finish(self):
        """Close the socket once everything has gone out."""
        self._is_finishing = True
        if not self._outbox.size and not self._is_blocked and self._stream is not None:
            self._settle()

    cdef void _abort(self):
        if self._state == LOST:
            return
        if self._taken < 0:
            self._taken = self._count_taken()
        self._state = CLOSING
        self._replies = None
        self._is_finishing = self._ends_output = False
        outbox_release(&self._outbox)
        self._stream.abort()
