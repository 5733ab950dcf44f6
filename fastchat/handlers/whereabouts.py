"""Who is connected to which worker: told to the others, and learned from them. Hot path.

A user who has come is known elsewhere when all others have said so. Until then something may be
stored that is not sent here, so his client is answered only then. A worker that cannot be heard is
not waited for: what such a one stores is looked for in the database.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

from fastchat.broker.messages import (
    MOST_USERS,
    AnyMessage,
    EventKind,
    Everybody,
    Joined,
    Left,
    Listed,
    Person,
    Seen,
    WhoIsHere,
)
from fastchat.hub.sessions import Hub
from fastchat.interfaces import User

PATIENCE = 4.0  # seconds; a command is answered within five
AGAIN = 1.0  # seconds until something is said again that was not answered
LATE = 0.5  # seconds from which on something may have been missed meanwhile
MARGIN = 1.5  # seconds; what was being stored when somebody came is told rather than missed
SETTLING = 2.0  # seconds that a new worker waits for the lists of the others

T = TypeVar("T")
Places = Mapping[str, tuple[str, ...]]
Tell = Callable[[Places, Iterable[str], int, int, int, EventKind, bytes], None]


class Bus(Protocol):
    """Says something to other workers; see ``broker.exchange.Exchange``."""

    @property
    def peers(self) -> Collection[str]:
        """The other workers."""

    @property
    def is_up(self) -> bool:
        """Whether everybody can be heard."""

    @property
    def audible(self) -> set[str]:
        """The other workers that can be heard at the moment."""

    @property
    def is_carried(self) -> bool:
        """Whether anything is carried at all."""

    def post(self, peer: str, message: AnyMessage) -> None:
        """Say something to one."""

    @property
    def tell(self) -> Tell:
        """Says an event to those whom it concerns; see ``Outgoing.tell``."""

    def post_all(self, message: AnyMessage) -> None:
        """Say something to all."""


class _Announcement:
    """Users who came, and the workers that have not answered yet."""

    __slots__ = ("at", "peers", "people")

    def __init__(self, people: list[Person], peers: set[str], at: float) -> None:
        self.people = people
        self.peers = peers
        self.at = at


class Whereabouts:
    """Tells others who is here, and the hub who is elsewhere.

    ``on_late(age)``: what was stored in the last ``age`` seconds may not have been sent here.
    ``on_joined(peer, user_ids)``: they are connected there from now on.
    ``on_arrived(user_ids)``: here.
    """

    def __init__(
        self,
        bus: Bus,
        hub: Hub,
        *,
        on_late: Callable[[float], None],
        on_joined: Callable[[str, list[str]], None],
        on_arrived: Callable[[list[str]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take how to speak, who is here, and whom to tell."""
        self._bus = bus
        self._hub = hub
        self._on_late = on_late
        self._on_joined = on_joined
        self._on_arrived = on_arrived
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._since: dict[str, float] = {}  # when the first session of a user began
        self._known_since: dict[str, float] = {}  # since when all others know of him
        self._waiters: dict[str, asyncio.Future[None]] = {}  # of users not known everywhere yet
        self._arrivals: list[Person] = []
        self._departures: list[str] = []
        self._tickets = itertools.count(1)
        self._unseen: dict[int, _Announcement] = {}
        self._stale: dict[str, set[str]] = {}  # by worker that tells anew who is there
        self._listed: set[str] = set()
        self._asked: dict[str, int] = {}  # who has yet to tell anew who is there, and the ticket

    @property
    def is_complete(self) -> bool:
        """Whether everybody can be heard and has told all who are there."""
        listed = self._listed.issuperset(self._bus.peers)
        return listed and not self._asked and not self._stale and self._bus.is_up

    def arrive(self, user: User) -> None:
        """Take note of a user's first session here."""
        self._since[user.user_id] = self._clock()
        self._waiters[user.user_id] = self._loop.create_future()
        if self._departures:
            self.flush()
        if not self._arrivals:
            self._loop.call_soon(self.flush)
        self._arrivals.append(_person(user))

    def depart(self, user_id: str) -> None:
        """Take note that a user has no session here any more."""
        self._since.pop(user_id, None)
        self._known_since.pop(user_id, None)
        self._release(user_id)
        if self._arrivals:
            self.flush()
        if not self._departures:
            self._loop.call_soon(self.flush)
        self._departures.append(user_id)

    def flush(self) -> None:
        """Tell others who came and who went."""
        arrivals, self._arrivals = self._arrivals, []
        departures, self._departures = self._departures, []
        for people in _slices(arrivals):
            message = self._announce(people, set(self._bus.peers))
            self._bus.post_all(message)
            self._on_arrived([person.user_id for person in people])
        for user_ids in _slices(departures):
            self._bus.post_all(Left(user_ids))

    async def until_known(self, user_id: str) -> None:
        """Wait until all other workers know that a user is here, but not for long."""
        waiter = self._waiters.get(user_id)
        if waiter is not None:
            await asyncio.wait((waiter,), timeout=PATIENCE)

    def is_known_by(self, peer: str) -> bool:
        """Whether a worker knows everybody who is here."""
        if not self._unseen:
            return True
        return not any(peer in announced.peers for announced in self._unseen.values())

    def on_beat(self) -> None:
        """Say again what was not answered, and wait for nobody who cannot be heard."""
        audible = self._bus.audible
        limit = self._clock() - AGAIN
        for ticket, announced in list(self._unseen.items()):
            self._release_unless(announced, audible)
            here = [person for person in announced.people if person.user_id in self._since]
            for peer in announced.peers & audible if announced.at < limit else ():
                self._bus.post(peer, Joined(ticket, here))
        for peer in self._asked.keys() & audible:
            self._bus.post(peer, WhoIsHere(self._asked[peer]))

    def ask(self, peer: str) -> None:
        """Let a worker tell anew who is there: something of what it said was lost."""
        self._asked[peer] = next(self._tickets)
        self._bus.post(peer, WhoIsHere(self._asked[peer]))

    def present_for(self, user_ids: Iterable[str]) -> float:
        """Return for how many seconds the first of some users has been here; 0.0: nobody is."""
        since = self._since
        now = self._clock()
        return now - min((since[user_id] for user_id in user_ids if user_id in since), default=now)

    def was_here(self, user_ids: Iterable[str], age: float) -> list[str]:
        """Return those users who were here that many seconds ago, or almost."""
        latest = self._clock() - age + MARGIN
        return [user_id for user_id in user_ids if self._since.get(user_id, latest) < latest]

    def is_told(self, user_id: str, since: float) -> bool:
        """Whether all that happens to a user is sent here, and was ever since that moment."""
        known_since = self._known_since.get(user_id)
        return known_since is not None and known_since <= since and self._bus.is_up

    def on_asked(self, peer: str, message: WhoIsHere) -> None:
        """A worker has lost something of what this one said."""
        self.tell_all(peer, message.ticket)

    def tell_all(self, peer: str, ticket: int = 0) -> None:
        """Tell a worker that is new, or has lost something, who is here."""
        self._bus.post(peer, Everybody())
        people = [_person(user) for user in self._hub.local_users()]
        for part in _slices(people):
            self._bus.post(peer, self._announce(part, {peer}))
        self._bus.post(peer, Listed(ticket))

    def on_ended(self, peer: str) -> None:
        """Nobody is there any more."""
        self._stale.pop(peer, None)
        self._listed.discard(peer)
        self._asked.pop(peer, None)
        self._remove(peer, self._hub.users_elsewhere(peer))
        for ticket in list(self._unseen):
            self._see(peer, ticket)

    def on_everybody(self, peer: str) -> None:
        """A worker tells anew who is there."""
        self._stale[peer] = set(self._hub.users_elsewhere(peer))

    def on_joined(self, peer: str, message: Joined) -> None:
        """Users have come there."""
        stale = self._stale.get(peer)
        user_ids = []
        for person in message.people:
            self._hub.arrive_elsewhere(peer, person)
            user_ids.append(person.user_id)
            if stale is not None:
                stale.discard(person.user_id)
        self._bus.post(peer, Seen(message.ticket))
        self._on_joined(peer, user_ids)

    def on_listed(self, peer: str, message: Listed) -> None:
        """A worker has told who is there; nobody else is."""
        self._listed.add(peer)
        if self._asked.get(peer) == message.ticket:
            del self._asked[peer]
        self._remove(peer, self._stale.pop(peer, ()))

    def on_left(self, peer: str, message: Left) -> None:
        """Users have gone from there."""
        self._remove(peer, message.user_ids)

    def on_seen(self, peer: str, message: Seen) -> None:
        """A worker knows now who has come here."""
        self._see(peer, message.ticket)

    async def settle(self, quiet: float) -> None:
        """Wait until those who are there have said who is with them.

        Args:
            quiet: Seconds in which nobody new is met.
        """
        give_up = self._clock() + SETTLING
        known: set[str] = set()
        quiet_since = self._clock()
        while self._clock() < give_up:
            now = self._clock()
            if set(self._bus.peers) - known:
                known |= set(self._bus.peers)
                quiet_since = now
            if now - quiet_since >= quiet and self._listed >= set(self._bus.peers):
                return
            await asyncio.sleep(quiet / 4)

    def _announce(self, people: list[Person], peers: set[str]) -> Joined:
        ticket = next(self._tickets)
        announced = self._unseen[ticket] = _Announcement(people, peers, self._clock())
        if peers:
            self._release_unless(announced, self._bus.audible)
        else:
            self._know(ticket)
        return Joined(ticket, people)

    def _see(self, peer: str, ticket: int) -> None:
        """Take the answer of a worker."""
        announced = self._unseen.get(ticket)
        if announced is not None and peer in announced.peers:
            announced.peers.discard(peer)
            if announced.peers:
                self._release_unless(announced, self._bus.audible)
            else:
                self._know(ticket)

    def _know(self, ticket: int) -> None:
        """Take note that all workers know of the users of a ticket."""
        announced = self._unseen.pop(ticket)
        now = self._clock()
        for person in announced.people:
            if person.user_id in self._since:
                self._known_since.setdefault(person.user_id, now)
                self._release(person.user_id)
        if now - announced.at > LATE:
            self._on_late(now - announced.at)

    def _release_unless(self, announced: _Announcement, audible: set[str]) -> None:
        """Let clients wait no more unless for a worker that can be heard."""
        if not announced.peers & audible:
            for person in announced.people:
                self._release(person.user_id)

    def _release(self, user_id: str) -> None:
        waiter = self._waiters.pop(user_id, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _remove(self, peer: str, user_ids: Iterable[str]) -> None:
        now = self._clock()
        for user_id in list(user_ids):
            self._hub.leave_elsewhere(peer, user_id, now)


def _person(user: User) -> Person:
    return Person(user.user_id, user.username, user.display_name)


def _slices(items: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(items), MOST_USERS):
        yield items[start : start + MOST_USERS]
