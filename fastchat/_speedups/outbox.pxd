"""The bytes that one connection has to send: a growing buffer that costs nothing when empty."""

from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

cdef enum:
    SMALLEST = 1024  # bytes of the first allocation


cdef struct Outbox:
    char* data  # owned; NULL while empty
    Py_ssize_t size  # bytes
    Py_ssize_t capacity  # bytes


cdef inline int outbox_append(
    Outbox* box,
    const unsigned char* header,
    Py_ssize_t header_size,
    const char* payload,
    Py_ssize_t payload_size,
) noexcept nogil:
    """Copy one frame to the end; return -1, with nothing changed, when there is no memory."""
    cdef Py_ssize_t needed = box.size + header_size + payload_size
    cdef Py_ssize_t capacity = box.capacity
    cdef char* data
    if needed > capacity:
        if capacity == 0:
            capacity = SMALLEST
        while capacity < needed:
            capacity *= 2
        data = <char*>realloc(box.data, capacity)
        if data == NULL:
            return -1
        box.data = data
        box.capacity = capacity
    memcpy(box.data + box.size, header, header_size)
    if payload_size:
        memcpy(box.data + box.size + header_size, payload, payload_size)
    box.size = needed
    return 0


cdef inline void outbox_release(Outbox* box) noexcept nogil:
    """Empty it and give its memory back."""
    free(box.data)
    box.data = NULL
    box.size = 0
    box.capacity = 0
