"""Everything that connects this worker with the others."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from fastchat._speedups import Arrivals
from fastchat.admission.connections import ConnectionRules
from fastchat.admission.distant import AddressCounts, UserCounts
from fastchat.admission.limits import Limits
from fastchat.broker.carrier import OpenCarrier
from fastchat.broker.exchange import Exchange
from fastchat.broker.messages import (
    Addresses,
    AnyMessage,
    Change,
    Counted,
    Event,
    EventKind,
    Everybody,
    Forget,
    Joined,
    Left,
    Listed,
    Live,
    Question,
    Reply,
    Seen,
    Taken,
    Wake,
    WhoIsHere,
    Windows,
)
from fastchat.handlers.all_sessions import AllSessions
from fastchat.handlers.counting import Counting
from fastchat.handlers.delivery import Delivery
from fastchat.handlers.offline import OfflineEvents
from fastchat.handlers.ordering import RoomOrder
from fastchat.handlers.recent import RecentPages
from fastchat.handlers.recovery import Recovery
from fastchat.handlers.relay import Relay
from fastchat.handlers.room_events import RoomEvents
from fastchat.handlers.rows import RowEncoder
from fastchat.handlers.whereabouts import Whereabouts
from fastchat.hub.directory import Directory
from fastchat.hub.sessions import Hub
from fastchat.interfaces import Sessions
from fastchat.store.memberships import Memberships
from fastchat.store.missed import Missed
from fastchat.store.rooms import Rooms

QUIET = 0.05  # seconds in which a new worker meets the others of its host
QUIET_REDIS = 0.5  # and those of other hosts
MEETING = 5.0  # seconds; what a worker stored before it was met may have been sent to nobody
ENDING = 20.0  # seconds; what a worker stored before it ended may not have been sent

log = logging.getLogger(__name__)


class OtherWorkers:
    """The bus, and who listens to it.

    Attributes:
        exchange: Counts what was said and what was lost.
        counting: Lets limits hold over several hosts; None: there is only this one.
        relay: Tells the others of events.
        order: Keeps events of a room in their order.
        recovery: Looks for what was lost.
    """

    def __init__(
        self,
        name: str,
        open_carrier: OpenCarrier,
        hub: Hub,
        directory: Directory,
        recent: RecentPages,
        memberships: Memberships,
        rooms: Rooms,
        encoder: RowEncoder,
        missed: Missed,
        limits: Limits,
        rules: ConnectionRules,
        *,
        uses_redis: bool,
    ) -> None:
        """Take the neighbours.

        Args:
            name: Of this process, unlike all others.
            open_carrier: Makes what carries frames.
            hub: Who is here.
            directory: Who is elsewhere.
            recent: Pages that go out of date.
            memberships: Lists of members that go out of date.
            rooms: Finds rooms.
            encoder: Encodes stored messages.
            missed: Reads what was missed.
            limits: Count users.
            rules: Count addresses.
            uses_redis: The carrier is a Redis, by which other hosts can be reached.
        """
        self._quiet = QUIET_REDIS if uses_redis else QUIET
        self._all_sessions: AllSessions | None = None
        self._uses_redis = uses_redis
        self.exchange = Exchange(name, open_carrier, self)
        self.whereabouts = Whereabouts(
            self.exchange,
            hub,
            on_late=lambda age: self.recovery.request(age),
            on_joined=self._on_joined,
            on_arrived=self._on_arrived,
        )
        events = RoomEvents(rooms, memberships, encoder, hub, self.whereabouts.was_here)
        self.order = RoomOrder(hub.publish, missed, events.tell, self.whereabouts.present_for)
        self.relay = Relay(
            self.exchange,
            hub,
            directory,
            self.order,
            recent,
            memberships,
            is_known_by=self.whereabouts.is_known_by,
        )
        self.recovery = Recovery(missed, hub, self.order, events, recent)
        hub.watcher = self.whereabouts
        recent.is_told = self.whereabouts.is_told
        relay, whereabouts = self.relay, self.whereabouts
        self._handlers: dict[type[AnyMessage], Callable[..., None]] = {
            Event: relay.on_event,
            Change: relay.on_change,
            Taken: relay.on_taken,
            Live: relay.on_live,
            Forget: relay.on_forget,
            Wake: relay.on_wake,
            Joined: whereabouts.on_joined,
            Left: whereabouts.on_left,
            Seen: whereabouts.on_seen,
            Everybody: lambda peer, _: whereabouts.on_everybody(peer),
            Listed: whereabouts.on_listed,
            WhoIsHere: self._on_asked,
        }
        self._arrivals = Arrivals(
            self.order.steps,
            Event,
            EventKind.MENTION,
            kept=recent.kept,
            note=relay.note,
            is_known_by=whereabouts.is_known_by,
            on_other=self._on_message,
            on_error=lambda: log.exception("what another worker said could not be acted upon"),
        )
        self._time = asyncio.get_running_loop().time
        self.counting: Counting | None = None
        if uses_redis:
            self.counting = counting = Counting(
                name, self.exchange, hub, directory, UserCounts(limits), AddressCounts(rules)
            )
            self._handlers |= {
                Counted: counting.on_counted,
                Windows: counting.on_windows,
                Addresses: counting.on_addresses,
            }

    def connect(self, delivery: Delivery, offline: OfflineEvents) -> None:
        """Let events that are told here be told to the others too."""
        delivery.connect(self.relay, self.order)
        self.relay.offline = offline
        self.recovery.offline = offline

    def ask_all(self, local: Sessions) -> Sessions:
        """Return what asks all workers about their sessions, and let others ask this one."""
        self._all_sessions = AllSessions(local, self.exchange)
        self._handlers[Question] = self._all_sessions.on_question
        self._handlers[Reply] = self._all_sessions.on_reply
        return self._all_sessions

    @property
    def speaks(self) -> bool:
        """Whether this worker is the one of all that tells what concerns none in particular."""
        return all(self.exchange.own < peer for peer in self.exchange.peers)

    @property
    def knows_everybody(self) -> bool:
        """Whether this worker knows of every user on any worker."""
        return self.whereabouts.is_complete

    @property
    def is_up(self) -> bool:
        """Whether every other worker can be heard."""
        return self.exchange.is_up

    @property
    def is_redis_connected(self) -> bool:
        """Whether Redis is used, and answers."""
        return self._uses_redis and self.exchange.is_carried

    @property
    def peers(self) -> int:
        """The other workers."""
        return len(self.exchange.peers)

    @property
    def messages_out(self) -> int:
        """What was said to others."""
        return self.exchange.messages_out

    @property
    def messages_in(self) -> int:
        """What others said."""
        return self.exchange.messages_in

    @property
    def frames_out(self) -> int:
        """How many frames it took."""
        return self.exchange.frames_out

    @property
    def refused(self) -> int:
        """Messages that could not be handed over."""
        return self.exchange.refused

    @property
    def losses(self) -> int:
        """How often something was missing."""
        return self.exchange.losses

    @property
    def held(self) -> int:
        """Events that wait for their predecessor."""
        return self.order.held

    @property
    def recovered(self) -> int:
        """Messages that were read from the database."""
        return self.order.recovered

    @property
    def unanswered(self) -> int:
        """Events that were stored because nobody said to have them."""
        return self.relay.unanswered

    @property
    def recoveries(self) -> int:
        """Looks into the database for what was lost."""
        return self.recovery.runs

    async def start(self) -> None:
        """Meet the others, and learn who is connected to them."""
        await self.exchange.start()
        self.recovery.start()
        if self.counting is not None:
            self.counting.start()
        await self.whereabouts.settle(self._quiet)

    async def drain(self, timeout: float) -> None:
        """Wait until what is held now has been told."""
        await self.order.drain(timeout)

    async def stop(self) -> None:
        """Say good-bye."""
        self.whereabouts.flush()
        if self._all_sessions is not None:
            await self._all_sessions.stop()
        if self.counting is not None:
            self.counting.stop()
        await self.exchange.stop()
        await self.recovery.stop()
        await self.order.stop()

    def on_messages(self, peer: str, messages: Sequence[AnyMessage]) -> None:
        """Another worker says something."""
        self._arrivals.take(peer, messages, self._time())

    def on_met(self, peer: str) -> None:
        """There is another worker; it wants to know who is here."""
        self.whereabouts.tell_all(peer)
        if self.counting is not None:
            self.counting.on_met(peer)
        self.recovery.request(MEETING)

    def on_ended(self, peer: str) -> None:
        """Another worker is gone."""
        self.whereabouts.on_ended(peer)
        self.relay.on_ended(peer)
        if self.counting is not None:
            self.counting.on_ended(peer)
        self.recovery.request(ENDING, with_changes=True)

    def on_beat(self) -> None:
        """Another second has passed."""
        self.whereabouts.on_beat()

    def on_loss(self, peer: str | None, age: float) -> None:
        """What others said may be lost."""
        self.recovery.request(age)
        if peer is not None:
            self.whereabouts.ask(peer)

    def _on_message(self, peer: str, message: AnyMessage) -> None:
        self._handlers[type(message)](peer, message)

    def _on_asked(self, peer: str, message: WhoIsHere) -> None:
        self.whereabouts.on_asked(peer, message)
        if self.counting is not None:
            self.counting.on_asked(peer)

    def _on_joined(self, peer: str, user_ids: list[str]) -> None:
        self.relay.on_joined(peer, user_ids)
        if self.counting is not None:
            self.counting.on_joined(peer, user_ids)

    def _on_arrived(self, user_ids: list[str]) -> None:
        if self.counting is not None:
            self.counting.on_arrived(user_ids)
