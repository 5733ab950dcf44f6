"""Which other workers a user is connected to. Hot path."""

from collections.abc import Iterable, Iterator


class Directory:
    """Who is connected to which other worker.

    Attributes:
        places: User id → the other workers that he has a session on; to be read.
    """

    def __init__(self) -> None:
        """Begin with nobody."""
        self.places: dict[str, tuple[str, ...]] = {}
        self._users: dict[str, set[str]] = {}  # by worker

    def __contains__(self, user_id: str) -> bool:
        return user_id in self.places

    def __len__(self) -> int:
        return len(self.places)

    def add(self, worker: str, user_id: str) -> bool:
        """Note that a user is there; tell whether he was nowhere."""
        places = self.places.get(user_id, ())
        if worker in places:
            return False
        self._users.setdefault(worker, set()).add(user_id)
        self.places[user_id] = (*places, worker)
        return not places

    def remove(self, worker: str, user_id: str) -> bool:
        """Note that a user is not there any more; tell whether he was, and is nowhere now."""
        places = self.places.get(user_id, ())
        if worker not in places:
            return False
        self._users[worker].discard(user_id)
        left = tuple(place for place in places if place != worker)
        if left:
            self.places[user_id] = left
        else:
            del self.places[user_id]
        return not left

    def users_of(self, worker: str) -> frozenset[str]:
        """Return who is connected to one worker."""
        return frozenset(self._users.get(worker, ()))

    def forget(self, worker: str) -> None:
        """Drop a worker on which nobody is left."""
        if not self._users.get(worker):
            self._users.pop(worker, None)

    def places_of(self, user_id: str) -> tuple[str, ...]:
        """Return the other workers that a user is connected to."""
        return self.places.get(user_id, ())

    def split(self, user_ids: Iterable[str]) -> "dict[str, list[str]]":
        """Return users by the other worker that they are connected to; one may be on several."""
        found: dict[str, list[str]] = {}
        places = self.places
        for user_id in user_ids:
            for worker in places.get(user_id, ()):
                there = found.get(worker)
                if there is None:
                    found[worker] = [user_id]
                else:
                    there.append(user_id)
        return found

    def workers(self) -> Iterator[str]:
        """Every worker that somebody is connected to."""
        return iter(self._users)
