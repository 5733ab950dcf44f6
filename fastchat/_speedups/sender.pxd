"""The writing half of a connection, as the connection core and the routing table use it."""

from picows.picows cimport WSListener

from fastchat._speedups.outbox cimport Outbox

cdef enum State:
    NEW = 0
    OPEN = 1
    CLOSING = 2  # our close frame is queued; nothing may follow it
    LOST = 3

cdef enum:
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


cdef class EndpointBase:
    cdef object _loop
    cdef object _flush_callback
    cdef dict _deflaters  # window bits → Deflater
    cdef list _dirty  # senders with something to write in this turn

    cdef Py_ssize_t _outbox_mark  # bytes, as the following
    cdef Py_ssize_t _outbox_limit
    cdef Py_ssize_t _burst_limit
    cdef Py_ssize_t _replies_limit
    cdef Py_ssize_t _deflate_from
    cdef double _close_time  # seconds, as the following
    cdef double _burst_time

    cdef readonly object limits
    cdef readonly long long messages_out
    cdef readonly long long bytes_out
    cdef readonly long long ephemeral_sheds
    cdef readonly long long slow_consumers
    cdef readonly long long deflated

    cdef void _mark_dirty(self, Sender sender)
    cdef bytes _deflate(self, bytes payload, int window_bits)


cdef class SharedFrame:
    cdef bytes payload
    cdef unsigned char header[10]
    cdef int header_size
    cdef dict compressed  # window bits → payload, or None where compressing gains nothing

    cdef bytes deflated(self, EndpointBase endpoint, int window_bits)


cdef class Sender(WSListener):
    cdef EndpointBase _base
    cdef object _stream  # the event loop's transport
    cdef Outbox _outbox  # whole frames that were not yet handed to the socket
    cdef list _replies  # payloads that wait until everything before has gone out
    cdef double _deadline  # of the closing handshake, monotonic seconds
    cdef double _blocked_at  # when the backlog began, monotonic seconds; 0.0: there is none
    cdef Py_ssize_t _waiting  # bytes in _replies
    cdef Py_ssize_t _reply_size  # bytes of replies in the backlog, at most
    cdef Py_ssize_t _handed  # bytes in the event loop's buffer, at most
    cdef list _marks  # (end, token) of marked events, until everything has gone out
    cdef long long _queued  # bytes of all frames so far; where the last one ends
    cdef long long _lost_from  # where frames begin that were thrown away; -1: none
    cdef long long _taken  # bytes that the socket took by the end; -1 before it
    cdef int _fd  # -1: TLS
    cdef unsigned char _state
    cdef unsigned char _window_bits  # of permessage-deflate; 0: not negotiated
    cdef bint _is_dirty  # in the endpoint's list
    cdef bint _is_answered  # something in the outbox is for this client alone
    cdef bint _is_blocked  # the event loop's buffer is not empty
    cdef bint _is_throttled  # reading pauses until everything has gone out
    cdef bint _is_held  # reading pauses until the owner resumes it
    cdef bint _is_paused  # what the event loop was told
    cdef bint _is_finishing  # close the socket once everything has gone out
    cdef bint _ends_output  # half-close it once everything has gone out

    cdef bint offer(self, SharedFrame frame, bint ephemeral)
    cdef bint offer_marked(self, SharedFrame frame, object token)

    cdef void _append_message(self, int kind, bytes payload)
    cdef void _push_message(self, int kind, bytes payload)
    cdef void _push(
        self,
        const unsigned char* header,
        Py_ssize_t header_size,
        const char* payload,
        Py_ssize_t size,
    )
    cdef void _append_frame(self, int kind, const char* payload, Py_ssize_t size)
    cdef void _appended(self)
    cdef bint _has_room(self, Py_ssize_t size, Py_ssize_t limit)
    cdef bint _keeps_up(self, Py_ssize_t size, Py_ssize_t limit)
    cdef void _flush(self)
    cdef void _write(self)
    cdef long long _count_taken(self)
    cdef void _settle(self)
    cdef void _apply_reading(self)
    cdef void _throttle(self)
    cdef void _slow_consumer(self)
    cdef void _close(self, int code, str reason)
    cdef void _append_close(self, bytes payload)
    cdef void _finish(self)
    cdef void _abort(self)
