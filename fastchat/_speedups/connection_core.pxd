"""What the routing table needs of a connection."""

from picows.picows cimport WSFrame, WSListener, WSTransport

from fastchat._speedups.outbox cimport Outbox


cdef class SharedFrame:
    cdef bytes payload
    cdef unsigned char header[10]
    cdef int header_size
    cdef dict compressed  # window bits → payload, or None where compressing gains nothing


cdef class Connection(WSListener):
    cdef readonly str client_id
    cdef readonly str remote_ip
    cdef public object session
    cdef readonly double opened_at  # monotonic seconds

    cdef Endpoint _endpoint
    cdef object _stream  # the event loop's transport
    cdef object _parser  # picows's protocol; None: what arrives is thrown away
    cdef Outbox _outbox  # whole frames, not yet handed to the socket
    cdef list _replies  # payloads that wait until everything before has gone out
    cdef bytearray _message  # fragments so far
    cdef double _heard_at  # monotonic seconds
    cdef double _active_at
    cdef double _pinged_at  # 0.0: no ping is unanswered
    cdef double _deadline  # of the closing handshake
    cdef Py_ssize_t _waiting  # bytes in _replies
    cdef Py_ssize_t _reply_size  # bytes of replies in the backlog
    cdef Py_ssize_t _handed  # bytes in the event loop's buffer, at most
    cdef Py_ssize_t _read_size  # bytes of the parser's buffer
    cdef int _fd  # -1: TLS
    cdef int _fragments
    cdef int _failure  # close code of what the parser found wrong; 0: nothing
    cdef unsigned char _state
    cdef unsigned char _window_bits  # of permessage-deflate; 0: not negotiated
    cdef unsigned char _message_kind
    cdef bint _message_compressed
    cdef bint _was_opened
    cdef bint _is_authenticated
    cdef bint _is_heard  # since the last sweep
    cdef bint _is_active  # since the last sweep
    cdef bint _is_dirty  # in the endpoint's list
    cdef bint _is_blocked  # the event loop's buffer is not empty
    cdef bint _is_throttled  # reading pauses until everything has gone out
    cdef bint _is_held  # reading pauses until the owner resumes it
    cdef bint _is_paused  # what the event loop was told
    cdef bint _is_finishing  # close the socket once everything has gone out
    cdef bint _ends_output  # half-close it once everything has gone out

    cdef bint offer(self, SharedFrame frame, bint ephemeral)

    cdef void _on_other_frame(self, WSFrame frame)
    cdef void _on_close_frame(self, WSFrame frame)
    cdef void _on_continuation(self, WSFrame frame)
    cdef void _complete(self, int kind, bint is_compressed, bytes payload)
    cdef void _deliver(self, int kind, bytes payload)
    cdef void _bug(self, str callback, object error)
    cdef void _append_message(self, int kind, bytes payload)
    cdef void _append(self, int first, const char* payload, Py_ssize_t size)
    cdef void _appended(self)
    cdef bint _has_room(self, Py_ssize_t size, Py_ssize_t limit)
    cdef void _flush(self)
    cdef bint _write(self)
    cdef void _settle(self)
    cdef void _apply_reading(self)
    cdef void _slow_consumer(self)
    cdef void _close(self, int code, str reason)
    cdef void _append_close(self, bytes payload)
    cdef void _finish(self)
    cdef void _discard_input(self)
    cdef void _abort(self)
    cdef void _sweep(self, double now)


cdef class Endpoint:
    cdef object _loop
    cdef object _on_open
    cdef object _on_message
    cdef object _on_close
    cdef object _on_binary
    cdef object _flush_callback
    cdef object _scratch  # where thrown away bytes are read to
    cdef object _empty_waiter
    cdef dict _deflaters  # window bits → Deflater
    cdef list _dirty
    cdef set _all  # every connection, also refused and closing ones
    cdef bint _is_scheduled

    cdef Py_ssize_t _max_message, _outbox_mark, _outbox_limit, _replies_limit
    cdef Py_ssize_t _pinned_limit, _deflate_from
    cdef double _keep_alive, _inactivity, _authentication, _close_time

    cdef readonly object limits
    cdef readonly long long connections, peak_connections, opened, closed
    cdef readonly long long messages_in, messages_out, bytes_in, bytes_out
    cdef readonly long long ephemeral_sheds, slow_consumers, violations
    cdef readonly long long inactivity_timeouts, keep_alive_timeouts, authentication_timeouts
    cdef readonly long long pinned_bytes, pinned_closed, inflated, deflated

    cdef void _mark_dirty(self, Connection connection)
    cdef bytes _deflate(self, bytes payload, int window_bits)
    cdef void _relieve(self)
    cdef void _leave(self, Connection connection)
