"""Which connections a user has on this worker, and the fan-out of one event to many of them.

Hot path. An event is framed once, and compressed once, whatever the number of its receivers; each
of them costs a look-up and a copy into its outbox.
"""

from fastchat._speedups.sender cimport Sender, SharedFrame


cdef class RoutingTable:
    """User id → connections on this worker."""

    # A user's only connection, or a list of two and more.
    cdef dict _routes

    def __cinit__(self):
        self._routes = {}

    def __len__(self):
        return len(self._routes)

    def __contains__(self, user_id):
        return user_id in self._routes

    def add(self, str user_id not None, Sender connection not None):
        """Route a user's events to one more connection; return how many he has now."""
        route = self._routes.get(user_id)
        if route is None:
            self._routes[user_id] = connection
            return 1
        if isinstance(route, Sender):
            if route is connection:
                return 1
            self._routes[user_id] = [route, connection]
            return 2
        if connection not in route:
            # A new list: a publish may be walking over the old one.
            self._routes[user_id] = [*route, connection]
        return len(self._routes[user_id])

    def remove(self, str user_id not None, Sender connection not None):
        """Undo ``add``; return how many connections the user has left."""
        route = self._routes.get(user_id)
        if route is None:
            return 0
        if isinstance(route, Sender):
            if route is not connection:
                return 1
            del self._routes[user_id]
            return 0
        left = [other for other in route if other is not connection]
        self._routes[user_id] = left[0] if len(left) == 1 else left
        return len(left)

    def connections(self, str user_id not None):
        """List a user's connections."""
        route = self._routes.get(user_id)
        if route is None:
            return []
        return [route] if isinstance(route, Sender) else list(route)

    def users(self):
        """List the users with a connection."""
        return list(self._routes)

    def publish(self, user_ids, bytes payload not None, skip=None, bint ephemeral=False):
        """Queue one event for every connection of some users.

        Cost: O(connections); no allocation per receiver. A connection whose outbox is full is
        closed on the way, but its ``on_close`` comes on a later turn, so nothing changes here.

        Args:
            user_ids: whom; those who are not here are passed over, and nobody is here twice.
            payload: UTF-8 JSON text of one event.
            skip: one connection to leave out.
            ephemeral: drop it where the backlog is over its mark.

        Returns:
            How many connections it was queued for.
        """
        cdef SharedFrame frame = SharedFrame(payload)
        cdef dict routes = self._routes
        cdef Py_ssize_t count = 0
        for user_id in user_ids:
            route = routes.get(user_id)
            if route is not None:
                count += _offer(route, frame, skip, ephemeral)
        return count

    def publish_marked(self, user_ids, bytes payload not None, token not None, skip=None):
        """Queue one event that nobody may miss; see ``publish``.

        A connection that ends before its socket took the event has the token in ``unsent``.

        Returns:
            The users without an open connection; that to leave out counts, for it knows.
        """
        cdef SharedFrame frame = SharedFrame(payload)
        cdef dict routes = self._routes
        cdef list missed = []
        for user_id in user_ids:
            route = routes.get(user_id)
            if route is None or not _offer_marked(route, frame, skip, token):
                missed.append(user_id)
        return missed

    def publish_all(self, bytes payload not None, skip=None, bint ephemeral=False):
        """Queue one event for every connection in the table; see ``publish``."""
        cdef SharedFrame frame = SharedFrame(payload)
        cdef Py_ssize_t count = 0
        for route in self._routes.values():
            count += _offer(route, frame, skip, ephemeral)
        return count


cdef Py_ssize_t _offer(object route, SharedFrame frame, object skip, bint ephemeral) except -1:
    cdef Py_ssize_t count = 0
    if isinstance(route, Sender):
        return route is not skip and (<Sender>route).offer(frame, ephemeral)
    for connection in <list>route:
        if connection is not skip:
            count += (<Sender>connection).offer(frame, ephemeral)
    return count


cdef bint _offer_marked(object route, SharedFrame frame, object skip, object token) except -1:
    cdef bint is_reached = False
    for connection in (route,) if isinstance(route, Sender) else <list>route:
        if connection is skip:
            is_reached |= connection.is_open
        else:
            is_reached |= (<Sender>connection).offer_marked(frame, token)
    return is_reached
