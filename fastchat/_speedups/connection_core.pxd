"""The types of the connection core."""

from picows.picows cimport WSFrame

from fastchat._speedups.sender cimport EndpointBase, Sender


cdef class Connection(Sender):
    cdef readonly str client_id
    cdef readonly str remote_ip
    cdef public object session
    cdef readonly double opened_at  # monotonic seconds

    cdef Endpoint _endpoint
    cdef object _parser  # picows's protocol; None: what arrives is thrown away
    cdef bytearray _message  # fragments so far
    cdef double _heard_at  # monotonic seconds, to the sweep
    cdef double _active_at
    cdef double _pinged_at  # 0.0: no ping is unanswered
    cdef Py_ssize_t _read_size  # bytes of the parser's buffer
    cdef Py_ssize_t _free  # bytes of it
    cdef Py_ssize_t _pinned  # bytes beyond what an idle connection takes
    cdef int _fragments
    cdef int _failure  # close code of what the parser found wrong; 0: nothing
    cdef unsigned char _message_kind
    cdef bint _message_compressed
    cdef bint _was_opened
    cdef bint _is_authenticated
    cdef bint _is_heard  # since the last sweep
    cdef bint _is_active  # since the last sweep
    cdef bint _is_between_frames  # no part of a frame is in the parser

    cdef void _on_other_frame(self, WSFrame frame)
    cdef void _on_close_frame(self, WSFrame frame)
    cdef void _on_continuation(self, WSFrame frame)
    cdef void _complete(self, int kind, bint is_compressed, bytes payload)
    cdef void _deliver(self, int kind, bytes payload)
    cdef void _bug(self, str callback, object error)
    cdef void _pin(self, Py_ssize_t change)
    cdef void _discard_input(self)
    cdef bint _shrink(self)
    cdef tuple _idleness(self)
    cdef void _sweep(self, double now)


cdef class Endpoint(EndpointBase):
    cdef object _on_open
    cdef object _on_message
    cdef object _on_close
    cdef object _on_binary
    cdef object _scratch  # where bytes are read to that are thrown away
    cdef object _empty_waiter
    cdef set _all  # every connection, also refused and closing ones

    cdef Py_ssize_t _max_message  # bytes
    cdef Py_ssize_t _pinned_limit  # bytes
    cdef double _keep_alive  # seconds
    cdef double _inactivity
    cdef double _authentication

    cdef readonly long long connections
    cdef readonly long long peak_connections
    cdef readonly long long opened
    cdef readonly long long closed
    cdef readonly long long messages_in
    cdef readonly long long bytes_in
    cdef readonly long long inflated
    cdef readonly long long violations
    cdef readonly long long inactivity_timeouts
    cdef readonly long long keep_alive_timeouts
    cdef readonly long long authentication_timeouts
    cdef readonly long long pinned_bytes
    cdef readonly long long pinned_closes

    cdef void _relieve(self)
    cdef void _leave(self, Connection connection)
