"""Exact sliding windows, compiled; the contract is in ``sliding_window_py``. Hot path."""

from libc.stdlib cimport free, malloc

cdef Py_ssize_t FIRST_SIZE = 8


cdef class SlidingWindow:
    """The stamps accepted within the last ``window`` seconds."""

    cdef double* _ring  # owned; seconds
    cdef Py_ssize_t _size  # entries of _ring
    cdef Py_ssize_t _next  # where the next stamp goes
    cdef Py_ssize_t _count  # stamps in the ring, the newest before _next
    cdef Py_ssize_t _limit
    cdef Py_ssize_t _capacity
    cdef double _window  # seconds
    cdef readonly Py_ssize_t counted  # stamps that were ever recorded

    def __cinit__(self, Py_ssize_t limit, double window, Py_ssize_t capacity=0):
        capacity = capacity or limit
        if limit < 1 or not window > 0.0 or capacity < limit:
            raise ValueError(
                f"limit={limit}, window={window}, capacity={capacity}: "
                "expected 1 <= limit <= capacity and window > 0"
            )
        self._limit = limit
        self._window = window
        self._capacity = capacity
        self._size = min(FIRST_SIZE, capacity)
        self._next = 0
        self._count = 0
        self._ring = <double*>malloc(self._size * sizeof(double))
        if self._ring == NULL:
            raise MemoryError()

    def __dealloc__(self):
        free(self._ring)

    cpdef double wait(self, double now, Py_ssize_t limit=0) except -1.0:
        """Return 0.0 when one more is admitted now, else the seconds until it is."""
        cdef Py_ssize_t position
        cdef double age
        if limit == 0:
            limit = self._limit
        if limit < 1 or limit > self._capacity:
            raise ValueError(f"limit={limit}: expected 1 to {self._capacity}")
        if self._count < limit:
            return 0.0
        position = self._next - limit
        if position < 0:
            position += self._size
        age = now - self._ring[position]
        return 0.0 if age >= self._window else self._window - age

    cpdef int record(self, double now) except -1:
        """Add one accepted stamp."""
        if self._count == self._size and self._size < self._capacity:
            self._grow(now)
        self._ring[self._next] = now
        self._next += 1
        if self._next == self._size:
            self._next = 0
        if self._count < self._size:
            self._count += 1
        self.counted += 1
        return 0

    cpdef double take(self, double now, Py_ssize_t limit=0) except -1.0:
        """Record and return 0.0 when one more is admitted now, else the seconds until it is."""
        cdef double wait = self.wait(now, limit)
        if wait == 0.0:
            self.record(now)
        return wait

    cpdef bint admit(self, double now, Py_ssize_t limit=0) except -1:
        """Record and return True when one more is admitted now."""
        if self.wait(now, limit) > 0.0:
            return False
        self.record(now)
        return True

    cpdef bint is_idle(self, double now) noexcept:
        """Whether every stamp has left the window."""
        cdef Py_ssize_t newest
        if self._count == 0:
            return True
        newest = (self._next if self._next else self._size) - 1
        return now - self._ring[newest] >= self._window

    cdef int _grow(self, double now) except -1:
        cdef Py_ssize_t size = self._size
        cdef Py_ssize_t new_size = min(2 * size, self._capacity)
        cdef Py_ssize_t index
        cdef double* ring
        # Full, so the oldest stamp is where the next one goes.
        if now - self._ring[self._next] >= self._window:
            return 0
        ring = <double*>malloc(new_size * sizeof(double))
        if ring == NULL:
            raise MemoryError()
        for index in range(size):
            ring[index] = self._ring[(self._next + index) % size]
        free(self._ring)
        self._ring = ring
        self._size = new_size
        self._next = size
        return 0


def admit_both(SlidingWindow first, SlidingWindow second, double now, Py_ssize_t limit):
    """Record in both windows when both admit; else record in none."""
    cdef double wait = max(first.wait(now, limit), second.wait(now, limit))
    if wait == 0.0:
        first.record(now)
        second.record(now)
    return wait
