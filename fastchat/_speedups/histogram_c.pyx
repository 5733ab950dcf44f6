"""Histograms with fixed buckets, compiled; the contract is in ``histogram_py``. Hot path."""

from libc.stdlib cimport calloc, free

from fastchat._speedups.histogram_py import LATENCY_BOUNDS


cdef class LatencyHistogram:
    """Counts observations per bucket; a bucket holds what is not above its upper bound."""

    cdef double* _bounds  # owned; upper bounds, ascending
    cdef long long* _counts  # owned; one more than bounds
    cdef Py_ssize_t _size  # bounds
    cdef readonly long long count
    cdef readonly double sum

    def __cinit__(self, bounds=LATENCY_BOUNDS):
        cdef Py_ssize_t index
        found = tuple(map(float, bounds))
        self._size = len(found)
        self._bounds = <double*>calloc(self._size + 1, sizeof(double))
        self._counts = <long long*>calloc(self._size + 1, sizeof(long long))
        if self._bounds == NULL or self._counts == NULL:
            raise MemoryError()
        is_right = self._size > 0
        for index in range(self._size):
            self._bounds[index] = found[index]
            if not (index == 0 or self._bounds[index - 1] < self._bounds[index]):
                is_right = False
        if not is_right or self._bounds[0] != self._bounds[0]:
            raise ValueError(f"bounds={found}: expected at least one, in ascending order")

    def __dealloc__(self):
        free(self._bounds)
        free(self._counts)

    @property
    def bounds(self):
        """Upper bounds, inclusive; one fewer than ``counts``."""
        return tuple([self._bounds[index] for index in range(self._size)])

    @property
    def counts(self):
        """Observations per bucket, not cumulated; a copy."""
        return [self._counts[index] for index in range(self._size + 1)]

    cpdef int observe(self, double value) except -1:
        """Count one observation: seconds, or whatever the bounds are in. NaN is ignored."""
        cdef Py_ssize_t low = 0
        cdef Py_ssize_t high = self._size
        cdef Py_ssize_t middle
        if value != value:
            return 0
        while low < high:
            middle = (low + high) // 2
            if self._bounds[middle] < value:
                low = middle + 1
            else:
                high = middle
        self._counts[low] += 1
        self.count += 1
        self.sum += value
        return 0
