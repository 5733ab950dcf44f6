"""What is to be said to other workers, compiled; the contract is in ``outgoing_py``. Hot path."""

from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.list cimport PyList_GET_SIZE

from fastchat._speedups.outgoing_py import LARGEST_IN_RUN, LONGEST_RUN

cdef Py_ssize_t MOST_EVENTS = LONGEST_RUN
cdef Py_ssize_t MOST_BYTES = LARGEST_IN_RUN


cdef class _Box:
    """What is to be said to one worker; the rest is of the last message while that may grow."""

    cdef list messages
    cdef list payloads  # None: it may not
    cdef list user_ids
    cdef long long room_id
    cdef long long next_rev
    cdef long long group_rev

    def __cinit__(self):
        self.messages = []


cdef class Outgoing:
    """Messages to other workers, by worker and in the order of the saying."""

    cdef object _on_first
    cdef object _make_event
    cdef object _run_kind
    cdef dict _boxes  # worker → _Box
    cdef dict _filled  # the same, of those with a message

    def __init__(self, on_first, make_event, run_kind):
        self._on_first = on_first
        self._make_event = make_event
        self._run_kind = run_kind
        self._boxes = {}
        self._filled = {}

    @property
    def waiting(self):
        """Messages that are to be said."""
        cdef _Box box
        cdef Py_ssize_t count = 0
        for box in self._filled.values():
            count += PyList_GET_SIZE(box.messages)
        return count

    def open(self, str peer not None):
        """Begin to take what is to be said to a worker."""
        self._boxes[peer] = _Box()

    def close(self, str peer not None):
        """Drop what is to be said to a worker, and take nothing more for it."""
        self._boxes.pop(peer, None)
        self._filled.pop(peer, None)

    def post(self, str peer not None, message):
        """Say something to a worker; nothing is said to one that is not open."""
        found = PyDict_GetItemWithError(self._boxes, peer)
        if found == NULL:
            return
        box = <_Box>found
        if not PyList_GET_SIZE(box.messages):
            self._fill(peer, box)
        box.messages.append(message)
        box.payloads = None

    def tell(
        self,
        dict places not None,
        user_ids,
        long long room_id,
        long long rev,
        long long group_rev,
        kind,
        bytes payload not None,
    ):
        """Say an event of a room to the workers that some of the users are connected to."""
        cdef dict by_peer = None
        cdef str first_peer = None
        cdef list first = None
        cdef list there
        for user_id in user_ids:
            found = PyDict_GetItemWithError(places, user_id)
            if found == NULL:
                continue
            for peer in <tuple>found:
                if first is None:
                    first_peer, first = peer, [user_id]
                elif peer == first_peer:
                    first.append(user_id)
                elif by_peer is None:
                    by_peer = {peer: [user_id]}
                elif peer in by_peer:
                    (<list>by_peer[peer]).append(user_id)
                else:
                    by_peer[peer] = [user_id]
        if first is None:
            return
        self._tell_one(first_peer, first, room_id, rev, group_rev, kind, payload)
        if by_peer is not None:
            for peer, there in by_peer.items():
                self._tell_one(peer, there, room_id, rev, group_rev, kind, payload)

    def take(self):
        """Return what is to be said, by worker; from now on that is nothing."""
        cdef _Box box
        cdef dict taken = {}
        filled, self._filled = self._filled, {}
        for peer, box in filled.items():
            taken[peer] = box.messages
            box.messages = []
            box.payloads = None
        return taken

    cdef int _tell_one(
        self,
        str peer,
        list there,
        long long room_id,
        long long rev,
        long long group_rev,
        object kind,
        bytes payload,
    ) except -1:
        cdef bint is_run = kind is self._run_kind
        cdef list payloads
        found = PyDict_GetItemWithError(self._boxes, peer)
        if found == NULL:
            return 0
        box = <_Box>found
        if (
            is_run
            and box.payloads is not None
            and box.room_id == room_id
            and box.next_rev == rev
            and box.group_rev == group_rev
            and PyList_GET_SIZE(box.payloads) < MOST_EVENTS
            and PyBytes_GET_SIZE(payload) <= MOST_BYTES
            and box.user_ids == there
        ):
            box.payloads.append(payload)
            box.next_rev += 1
            return 0
        payloads = [payload]
        if not PyList_GET_SIZE(box.messages):
            self._fill(peer, box)
        box.messages.append(self._make_event(room_id, rev, group_rev, kind, payloads, there))
        box.payloads = payloads if is_run else None
        box.user_ids = there
        box.room_id = room_id
        box.next_rev = rev + 1
        box.group_rev = group_rev
        return 0

    cdef int _fill(self, str peer, _Box box) except -1:
        if not self._filled:
            self._on_first()
        self._filled[peer] = box
        return 0
