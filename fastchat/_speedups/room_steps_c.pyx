"""How far each room has been told, compiled; the contract is in ``room_steps_py``. Hot path."""

from cpython.list cimport PyList_GET_SIZE


cdef class RoomStep:
    """How far one room has been told."""

    cdef public object last
    cdef public double told_at  # seconds
    cdef public dict held  # rev → what waits
    cdef public bint is_halted

    def __cinit__(self):
        self.told_at = float("-inf")
        self.held = {}


cdef class RoomSteps:
    """Tells events of rooms whose turn it is."""

    cdef object _find
    cdef object _move_to_end
    cdef object _publish
    cdef object _follow

    def __init__(self, rooms, publish, follow):
        self._find = rooms.get
        self._move_to_end = rooms.move_to_end
        self._publish = publish
        self._follow = follow

    def advance(self, room_id, long long rev, Py_ssize_t count, double now):
        """Take note that ``count`` events from ``rev`` on are told now, if it is their turn."""
        return self._advance(room_id, rev, count, now)

    def publish(self, room_id, long long rev, user_ids, payload, skip, double now):
        """Tell an event if it is its turn."""
        cdef RoomStep room = self._advance(room_id, rev, 1, now)
        if room is None:
            return -1
        count = self._publish(user_ids, payload, skip)
        if room.held:
            self._follow(room)
        return count

    cpdef bint publish_run(
        self, room_id, long long rev, user_ids, list payloads, double now
    ) except -1:
        """Tell events that follow each other, the first of them ``rev``; False: it is not."""
        cdef RoomStep room = self._advance(room_id, rev, PyList_GET_SIZE(payloads), now)
        if room is None:
            return False
        for payload in payloads:
            self._publish(user_ids, payload, None)
        if room.held:
            self._follow(room)
        return True

    cdef RoomStep _advance(self, object room_id, long long rev, Py_ssize_t count, double now):
        cdef RoomStep room = self._find(room_id)
        if room is None or room.is_halted or room.last is None or room.last != rev - 1:
            return None
        self._move_to_end(room_id)
        room.last = rev - 1 + count
        room.told_at = now
        return room


cdef class Arrivals:
    """Takes what other workers say: tells the events whose turn it is, and passes on the rest."""

    cdef RoomSteps _steps
    cdef object _event_type
    cdef object _unordered
    cdef tuple _kept
    cdef object _note
    cdef object _is_known_by
    cdef object _on_other
    cdef object _on_error

    def __init__(
        self,
        RoomSteps steps not None,
        event_type,
        unordered,
        *,
        kept,
        note,
        is_known_by,
        on_other,
        on_error,
    ):
        self._steps = steps
        self._event_type = event_type
        self._unordered = unordered
        self._kept = tuple(kept)
        self._note = note
        self._is_known_by = is_known_by
        self._on_other = on_other
        self._on_error = on_error

    def take(self, peer, messages, double now):
        """Take what a worker says, in its order; never raises."""
        is_known = None
        for message in messages:
            try:
                if type(message) is self._event_type:
                    if is_known is None:
                        is_known = self._is_known_by(peer)
                    if is_known and self._tell(message, now):
                        continue
                is_known = None
                self._on_other(peer, message)
            except Exception:
                self._on_error()

    cdef bint _tell(self, event, double now) except -1:
        if event.kind is self._unordered:
            return False
        room_id, group_rev = event.room_id, event.group_rev
        if group_rev:
            self._note(room_id, group_rev)
        else:
            for rooms in self._kept:
                if room_id in rooms:
                    self._note(room_id, group_rev)
                    break
        return self._steps.publish_run(room_id, event.rev, event.user_ids, event.payloads, now)
