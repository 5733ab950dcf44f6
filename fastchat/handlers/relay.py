"""Events on their way between this worker and the others. Hot path."""

import asyncio
import itertools
from collections.abc import Callable, Collection, Iterable
from functools import partial

from fastchat.broker import messages
from fastchat.broker.messages import Event, EventKind, Forget, Live, Taken, Wake
from fastchat.handlers.asked import Asked
from fastchat.handlers.drain import Change
from fastchat.handlers.offline import OfflineEvents
from fastchat.handlers.ordering import AGE, RoomOrder
from fastchat.handlers.recent import RecentPages
from fastchat.handlers.whereabouts import Bus
from fastchat.hub.directory import Directory
from fastchat.hub.sessions import Hub
from fastchat.store.memberships import Memberships

ANSWER_TIME = 2.0  # seconds; an event of the kind nobody may miss is stored when nobody answers


class Relay:
    """Hands events to the other workers that they concern, and theirs to the sessions here.

    Attributes:
        tell: Tells other workers of an event in a room; ``Outgoing.tell`` without the places.
        unanswered: Events that had to be stored because another worker did not say it has them.
    """

    def __init__(
        self,
        bus: Bus,
        hub: Hub,
        directory: Directory,
        order: RoomOrder,
        recent: RecentPages,
        memberships: Memberships,
        *,
        is_known_by: Callable[[str], bool],
    ) -> None:
        """Take the neighbours, and whether another worker knows everybody who is here."""
        self._bus = bus
        self._hub = hub
        self._directory = directory
        self._order = order
        self._recent = recent
        self._memberships = memberships
        self._is_known_by = is_known_by
        self.tell = partial(bus.tell, directory.places)
        self._loop = asyncio.get_running_loop()
        self._tickets = itertools.count(1)
        self._asked: dict[int, tuple[str, Asked]] = {}  # by ticket, with the worker
        self.offline: OfflineEvents | None = None
        self.unanswered = 0

    def tell_live(
        self,
        user_ids: Iterable[str],
        payload: bytes,
        *,
        room_id: int = 0,
        is_ephemeral: bool = False,
    ) -> None:
        """Tell other workers of an event without a place in an order."""
        for peer, there in self._directory.split(user_ids).items():
            self._bus.post(peer, Live(room_id, is_ephemeral, payload, there))

    def ask(
        self, user_ids: Iterable[str], change: Change, *, rev: int, group_rev: int
    ) -> Asked | None:
        """Tell other workers of an event that nobody may miss; None: it concerns nobody there."""
        by_peer = self._directory.split(user_ids)
        if not by_peer:
            return None
        asked = Asked(itertools.chain.from_iterable(by_peer.values()), len(by_peer))
        tickets = []
        for peer, there in by_peer.items():
            ticket = next(self._tickets)
            tickets.append(ticket)
            self._asked[ticket] = (peer, asked)
            message = messages.Change(ticket, change.room_id, rev, group_rev, change.payload, there)
            self._bus.post(peer, message)
            asked.there[ticket] = there
        # Without the bus nobody would answer.
        delay = ANSWER_TIME if self._bus.is_up else 0.0
        asked.timer = self._loop.call_later(delay, self._give_up, tickets)
        return asked

    def forget(self, room_id: int, group_id: str | None) -> None:
        """Tell other workers that what they remember of a room may be out of date."""
        self._bus.post_all(Forget(room_id, group_id))

    def wake(self, user_ids: Iterable[str]) -> None:
        """Tell other workers that events wait for users."""
        for peer, there in self._directory.split(user_ids).items():
            self._bus.post(peer, Wake(there))

    def on_joined(self, peer: str, user_ids: list[str]) -> None:
        """Tell a worker which of the users who came there have events that it knows nothing of."""
        assert self.offline is not None
        waiting = [user_id for user_id in user_ids if self.offline.may_wait(user_id)]
        if waiting:
            self._bus.post(peer, Wake(waiting))

    def on_event(self, peer: str, event: Event) -> None:
        """Something happened in a room, and ``Arrivals`` does not know that it is its turn."""
        room_id, user_ids, payloads = event.room_id, event.user_ids, event.payloads
        self.note(room_id, event.group_rev)
        if event.kind is EventKind.MESSAGE and not self._is_known_by(peer):
            # Who has just come here may be missing among its receivers.
            self._order.catch_up(room_id, event.rev + len(payloads) - 1, AGE)
            return
        for rev, payload in enumerate(payloads, event.rev):
            deliver = partial(self._hub.publish, user_ids, payload)
            self._order.offer(room_id, rev, user_ids, deliver, event.kind)

    def note(self, room_id: int, group_rev: int) -> None:
        """Drop what is remembered of a room in which something happened."""
        self._recent.forget(room_id)
        if group_rev and self._memberships.peek(room_id, group_rev) is None:
            self._memberships.forget(room_id)

    def on_change(self, peer: str, change: messages.Change) -> None:
        """Something happened that nobody may miss."""
        self.note(change.room_id, change.group_rev)

        def deliver() -> None:
            assert self.offline is not None
            missed = self.offline.take(change.user_ids, Change(change.room_id, change.payload))
            self._bus.post(peer, Taken(change.ticket, missed))

        self._order.offer(change.room_id, change.rev, change.user_ids, deliver, EventKind.CHANGE)

    def on_taken(self, peer: str, taken: Taken) -> None:
        """A worker has told its users of an event."""
        found = self._asked.pop(taken.ticket, None)
        if found is not None:
            found[1].answer(taken.ticket, taken.missed)

    def on_live(self, peer: str, live: Live) -> None:
        """Something happened that has no place in an order."""
        if live.room_id:
            self._recent.forget(live.room_id)
        self._hub.publish(live.user_ids, live.payload, None, live.is_ephemeral)

    def on_forget(self, peer: str, message: Forget) -> None:
        """What is remembered of a room is out of date."""
        self._recent.forget(message.room_id)
        self._memberships.forget(message.room_id)

    def on_wake(self, peer: str, message: Wake) -> None:
        """Events wait for users."""
        assert self.offline is not None
        self.offline.wake(message.user_ids)

    def on_ended(self, peer: str) -> None:
        """A worker is gone, and will not answer."""
        for ticket in [ticket for ticket, (name, _) in self._asked.items() if name == peer]:
            self._give_up([ticket])

    def _give_up(self, tickets: Collection[int]) -> None:
        for ticket in tickets:
            found = self._asked.pop(ticket, None)
            if found is not None:
                self.unanswered += 1
                found[1].answer(ticket, found[1].there[ticket])
