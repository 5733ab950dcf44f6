"""Exact windows in shared memory, compiled; the contract is in ``shared_window_py``. Hot path."""

from libc.stdint cimport int64_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    /* Sequentially consistent, between processes: on the machines we know these are lock-free. */
    static inline uint64_t fastchat_load(uint64_t* word) {
        return __atomic_load_n(word, __ATOMIC_SEQ_CST);
    }
    static inline void fastchat_store(uint64_t* word, uint64_t wanted) {
        __atomic_store_n(word, wanted, __ATOMIC_SEQ_CST);
    }
    static inline int fastchat_exchange(uint64_t* word, uint64_t found, uint64_t wanted) {
        return __atomic_compare_exchange_n(
            word, &found, wanted, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    """
    uint64_t load "fastchat_load"(uint64_t* word) noexcept nogil
    void store "fastchat_store"(uint64_t* word, uint64_t wanted) noexcept nogil
    bint exchange "fastchat_exchange"(
        uint64_t* word, uint64_t found, uint64_t wanted
    ) noexcept nogil

# As in shared_layout.
cdef uint64_t TICKS = 1 << 20  # per second
cdef int TURN_BITS = 12
cdef uint64_t CLOSED = <uint64_t>1 << 63
cdef uint64_t INDEX = (<uint64_t>1 << 56) - 1
cdef int SIZE_SHIFT = 56

# Words of an entry.
cdef int RING = 0
cdef int TAIL = 1


cdef inline uint64_t to_ticks(double now) noexcept:
    return <uint64_t>(now * TICKS)


cdef class SharedWindow:
    """The stamps that all processes together accepted within the last ``window`` seconds."""

    cdef uint64_t* _words  # of _memory
    cdef object _memory  # keeps the words alive
    cdef object _repair
    cdef Py_ssize_t _limit
    cdef Py_ssize_t _capacity
    cdef int64_t _window  # ticks
    cdef public Py_ssize_t entry
    cdef readonly object key
    cdef readonly Py_ssize_t counted  # stamps of this process

    def __cinit__(
        self, words, lock, repair, key, Py_ssize_t limit, double window, Py_ssize_t capacity=0
    ):
        cdef uint64_t[::1] view = words
        capacity = capacity or limit
        if limit < 1 or not window > 0.0 or capacity < limit:
            raise ValueError(
                f"limit={limit}, window={window}, capacity={capacity}: "
                "expected 1 <= limit <= capacity and window > 0"
            )
        self._words = &view[0]
        self._memory = words
        self._repair = repair
        self._limit = limit
        self._window = max(1, round(window * TICKS))
        self._capacity = capacity
        self.entry = 0
        self.key = key

    @property
    def capacity(self):
        """How many stamps the ring must be able to hold."""
        return self._capacity

    @property
    def window(self):
        """Its length in ticks."""
        return self._window

    cpdef double wait(self, double now, Py_ssize_t limit=0) except -1.0:
        """Return 0.0 when one more is admitted now, else the seconds until it is."""
        cdef double found
        limit = self._allowed(limit)
        while True:
            found = self._try(to_ticks(now), limit, False)
            if found >= 0.0:
                return found
            other = self._repair(self, now)
            if other is not None:
                return other.wait(now, limit)

    cpdef double take(self, double now, Py_ssize_t limit=0) except -1.0:
        """Count one more and return 0.0 when it is admitted now, else the seconds until it is."""
        cdef double found
        limit = self._allowed(limit)
        while True:
            found = self._try(to_ticks(now), limit, True)
            if found >= 0.0:
                return found
            other = self._repair(self, now)
            if other is not None:
                return other.take(now, limit)

    cpdef bint is_idle(self, double now) noexcept:
        """Whether every stamp has left the window."""
        cdef uint64_t ring, tail
        if self.entry == 0:
            return True
        ring = load(self._words + self.entry + RING)
        tail = load(self._words + self.entry + TAIL)
        return not (
            self._counts(load(self._slot(ring, tail)) & ~CLOSED, to_ticks(now))
            or self._counts(load(self._slot(ring, tail - 1)) & ~CLOSED, to_ticks(now))
        )

    cpdef bint needs_room(self, double now) noexcept:
        """Whether one more stamp would replace one that counts, or the ring is closed."""
        cdef uint64_t ring = load(self._words + self.entry + RING)
        cdef uint64_t tail = load(self._words + self.entry + TAIL)
        cdef uint64_t oldest = load(self._slot(ring, tail))
        return (oldest & CLOSED) != 0 or self._is_full(ring, oldest, to_ticks(now))

    cpdef uint64_t close(self) noexcept:
        """Have no process count anything in this ring any more; return the position of the next."""
        cdef uint64_t ring, tail, oldest
        while True:
            ring = load(self._words + self.entry + RING)
            tail = load(self._words + self.entry + TAIL)
            oldest = load(self._slot(ring, tail))
            if oldest & CLOSED:
                return tail
            if oldest > load(self._slot(ring, tail - 1)):
                exchange(self._words + self.entry + TAIL, tail, tail + 1)
            else:
                exchange(self._slot(ring, tail), oldest, oldest | CLOSED)

    cpdef int replace(self, uint64_t ring) except -1:
        """Use another ring, whose word this is, from now on."""
        store(self._words + self.entry + RING, ring)
        return 0

    cdef double _try(self, uint64_t ticks, Py_ssize_t limit, bint is_counted) noexcept:
        cdef uint64_t* entry = self._words + self.entry
        cdef uint64_t ring, tail, oldest, newest, counted, stamp
        cdef uint64_t* place
        if self.entry == 0:
            return -1.0
        while True:
            ring = load(entry + RING)
            tail = load(entry + TAIL)
            # A position of a later ring would be misread in this one.
            if load(entry + RING) != ring:
                continue
            place = self._slot(ring, tail)
            # Slots only grow: if the second is newer, the position is right while the first stays.
            oldest = load(place)
            newest = load(self._slot(ring, tail - 1))
            if (oldest | newest) & CLOSED:
                return -1.0
            if oldest > newest:
                # Its writer has yet to move the position on, or was killed before.
                exchange(entry + TAIL, tail, tail + 1)
                continue
            if <uint64_t>limit <= <uint64_t>1 << (ring >> SIZE_SHIFT):
                counted = load(self._slot(ring, tail - <uint64_t>limit))
                if self._counts(counted & ~CLOSED, ticks):
                    if load(place) != oldest:
                        continue
                    return <double>(
                        self._window - <int64_t>ticks + <int64_t>(counted >> TURN_BITS)
                    ) / TICKS
            if not is_counted:
                return 0.0
            if self._is_full(ring, oldest, ticks):
                return -1.0
            stamp = max(ticks << TURN_BITS | 1, newest + 1)
            # Fails when another process was faster. A value never comes back to a slot.
            if exchange(place, oldest, stamp):
                exchange(entry + TAIL, tail, tail + 1)
                self.counted += 1
                return 0.0

    cdef inline bint _is_full(self, uint64_t ring, uint64_t oldest, uint64_t ticks) noexcept:
        return (
            <uint64_t>1 << (ring >> SIZE_SHIFT) < <uint64_t>self._capacity
            and self._counts(oldest, ticks)
        )

    cdef inline bint _counts(self, uint64_t stamp, uint64_t ticks) noexcept:
        return stamp != 0 and <int64_t>ticks - <int64_t>(stamp >> TURN_BITS) < self._window

    cdef inline uint64_t* _slot(self, uint64_t ring, uint64_t position) noexcept:
        cdef uint64_t mask = (<uint64_t>1 << (ring >> SIZE_SHIFT)) - 1
        return self._words + (ring & INDEX) + (position & mask)

    cdef inline Py_ssize_t _allowed(self, Py_ssize_t limit) except -1:
        if limit == 0:
            limit = self._limit
        if limit < 1 or limit > self._capacity:
            raise ValueError(f"limit={limit}: expected 1 to {self._capacity}")
        return limit


def take_both(SharedWindow shared, own, double now, Py_ssize_t limit):
    """Count one more in both windows when both admit it; else in none."""
    cdef double wait = own.wait(now, limit)
    if wait > 0.0:
        return max(wait, shared.wait(now, limit))
    wait = shared.take(now, limit)
    if wait == 0.0:
        own.record(now)
    return wait
