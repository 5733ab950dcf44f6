"""WebSocket frames as bytes: the header a server writes, and checks of what a client sent."""

from libc.stdint cimport uint64_t
from libc.string cimport memcpy

cdef enum:
    HEADER_SIZE = 10  # at most, without a mask
    FIN = 0x80
    COMPRESSED = 0x40  # RSV1, RFC 7692, section 6


cdef inline int write_header(unsigned char* out, int first, Py_ssize_t size) noexcept nogil:
    """Write the header of an unmasked frame; return its length. RFC 6455, section 5.2."""
    cdef int index
    out[0] = <unsigned char>first
    if size < 126:
        out[1] = <unsigned char>size
        return 2
    if size < 65536:
        out[1] = 126
        out[2] = <unsigned char>(size >> 8)
        out[3] = <unsigned char>(size & 0xFF)
        return 4
    out[1] = 127
    for index in range(8):
        out[2 + index] = <unsigned char>((size >> (56 - 8 * index)) & 0xFF)
    return 10


cdef inline bint is_ascii(const char* data, Py_ssize_t size) noexcept nogil:
    """Tell whether every byte is below 128, eight at a time."""
    cdef uint64_t word
    cdef uint64_t seen = 0
    cdef Py_ssize_t index = 0
    while index + 8 <= size:
        memcpy(&word, data + index, 8)
        seen |= word
        index += 8
    while index < size:
        seen |= <unsigned char>data[index]
        index += 1
    return (seen & <uint64_t>0x8080808080808080) == 0


cdef inline bint is_close_code(int code) noexcept nogil:
    """Tell whether a close frame may carry this code. RFC 6455, section 7.4."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
