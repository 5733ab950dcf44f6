"""Many users who write to each other in pairs, from one thread.

Closed: each pair keeps some messages in flight, which finds the most a server can do. Open:
messages go out at a rate, whatever comes back, which finds the latency at that rate; a message's
time begins when it should have gone, so that a server that stalls cannot hide it.
"""

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

import msgspec

from fastchat.bench.addresses import address_of
from fastchat.bench.peer import Peer, PeerError, Seen, SeenMessage, decode_message
from fastchat.bench.tally import Tally

AT_ONCE = 100  # log-ins under way at the same time
CONTENT = "x" * 200
STEP = 0.005  # seconds between looks at what is due
PING_EVERY = 100.0  # seconds; the server closes after 300 without a sign of life
SETTLE = 15.0  # seconds for what is on its way


@dataclass(slots=True)
class Figures:
    """What came of a load; seconds each."""

    acks: list[float] = field(default_factory=list)  # from the send to ``message_sent``
    deliveries: list[float] = field(default_factory=list)  # to the other user
    connects: list[float] = field(default_factory=list)
    logins: list[float] = field(default_factory=list)
    sent: int = 0
    refused: dict[str, int] = field(default_factory=dict)  # by code

    def clear(self) -> None:
        """Begin anew."""
        self.acks, self.deliveries, self.connects, self.logins = [], [], [], []
        self.sent, self.refused = 0, {}


class Crowd:
    """Users 1 to n, one connection each; 1 writes with 2, 3 with 4, and so on."""

    def __init__(
        self,
        url: str,
        token: Callable[[str], str],
        users: Sequence[str],
        *,
        spread: bool = True,
        first_address: int = 0,
    ) -> None:
        """Take where to, tokens, and who; an odd one out only listens.

        Args:
            url: Of the server.
            token: Returns a token of a user.
            users: Their ids; one may be there several times, neighbours may not be the same.
            spread: Whether the connections come from many addresses of this machine.
            first_address: Number of the first address, so that several crowds differ.
        """
        self.url = url
        self.peers: list[Peer] = []
        self.figures = Figures()
        self.tally = Tally()
        self.unexpected_ends = 0
        self._token = token
        self._users = users
        self._spread = spread
        self._first_address = first_address
        self._numbers = itertools.count(1)
        self._prefix = f"{random.getrandbits(40):x}-"
        # By the clientMessageId: when the message was due, and who sent it.
        self._unacknowledged: dict[str, tuple[float, Peer]] = {}
        self._undelivered: dict[str, float] = {}
        self._in_flight = 0  # per pair; 0: nothing follows an answer
        self._other: dict[int, Peer] = {}  # by the identity of a peer
        self._pinging: asyncio.Task[None] | None = None

    async def open(self, progress: Callable[[int], None] = lambda done: None) -> None:
        """Connect and log in all; ``progress`` hears how many have.

        Raises:
            PeerError: one cannot.
        """
        turns = asyncio.Semaphore(AT_ONCE)
        self.peers = [Peer(user, self._told) for user in self._users]
        done = itertools.count(1)

        async def one(number: int) -> None:
            async with turns:
                await self._enter(number)
            progress(next(done))

        try:
            async with asyncio.TaskGroup() as group:
                for number in range(len(self.peers)):
                    group.create_task(one(number))
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        self._pair()
        self._pinging = asyncio.create_task(self._ping())

    async def _enter(self, number: int) -> None:
        peer = self.peers[number]
        address = address_of(self._first_address + number) if self._spread else None
        await peer.connect(self.url, address)
        await peer.log_in(self._token(peer.user_id))
        self.figures.connects.append(peer.connected_in)
        self.figures.logins.append(peer.authenticated_in)

    async def reenter(self, number: int, *, cut: bool) -> None:
        """Let one leave, with or without a word, and come back; what it missed it reads.

        Its user must be there once only.

        Raises:
            PeerError: it cannot.
        """
        old = self.peers[number]
        known = self.tally.known(old.user_id)
        if cut:
            old.cut()
        else:
            old.close()
        await old.ended()
        self.peers[number] = peer = Peer(old.user_id, self._told)
        self._pair()
        await self._enter(number)
        # Whether these were stored nobody knows; the server knows them again by their ids.
        for name, (due, sender) in list(self._unacknowledged.items()):
            if sender is old:
                self._unacknowledged[name] = due, peer
                self._post(peer, name)
        await self._read_missed(peer, max(known.values(), default=0))

    async def _read_missed(self, peer: Peer, seq: int) -> None:
        other = self._other[id(peer)].user_id
        has_more = True
        while has_more:
            page = await peer.insist(
                type="get_private_messages", recipientId=other, after=seq, limit=200
            )
            if page["type"] == "error":
                raise PeerError(f"no history: {page['details']}")
            for message in page["messages"]:
                seen = decode_message(msgspec.json.encode(message))
                self.tally.note_missed(peer.user_id, seen)
                self._deliver(seen)
                seq = message["seq"]
            has_more = page["pagination"]["hasMore"]

    async def close(self) -> None:
        """Let all leave."""
        if self._pinging is not None:
            self._pinging.cancel()
        for peer in self.peers:
            peer.close()
        for peer in self.peers:
            if peer.transport is not None:
                await peer.ended()

    async def write_closed(self, seconds: float, in_flight: int, pairs: int | None = None) -> None:
        """Keep so many messages of each pair in flight for a time; the rest then comes in.

        A pair that is refused a message sends no other instead; when all are, it ends at once.
        """
        self._in_flight = in_flight
        now = monotonic()
        for first, second in self._pairs()[:pairs]:
            # Both write, in turn: half of the messages each.
            for number in range(in_flight):
                self._send(second if number % 2 else first, now)
        end = now + seconds
        while self._unacknowledged and monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(min(STEP, max(0.0, end - monotonic())))
        self._in_flight = 0
        await self.settle()

    async def write_open(self, seconds: float, rate: float) -> None:
        """Send so many messages a second for a time, by chance among the pairs."""
        writers = [peer for pair in self._pairs() for peer in pair]
        due = began = monotonic()
        while due < began + seconds:
            now = monotonic()
            while due <= now and due < began + seconds:
                # Random pauses, as independent users make them: an even beat hides queues.
                self._send(random.choice(writers), due)
                due += random.expovariate(rate)
            await asyncio.sleep(min(STEP, max(0.0, due - monotonic())))

    async def settle(self, seconds: float = SETTLE) -> int:
        """Wait until all that was sent is acknowledged and delivered; return what is not."""
        end = monotonic() + seconds
        while self.open_messages and monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(STEP)
        return self.open_messages

    @property
    def open_messages(self) -> int:
        """Messages that are not acknowledged or not delivered."""
        return len(self._unacknowledged.keys() | self._undelivered.keys())

    def forget(self) -> None:
        """Expect nothing more of what is on its way."""
        self._unacknowledged.clear()
        self._undelivered.clear()

    def _pairs(self) -> list[tuple[Peer, Peer]]:
        return list(zip(self.peers[::2], self.peers[1::2], strict=False))

    def _pair(self) -> None:
        self._other = {}
        for first, second in self._pairs():
            self._other[id(first)] = second
            self._other[id(second)] = first

    def _send(self, peer: Peer, due: float) -> None:
        if not peer.is_open or not peer.has_session:
            return
        name = f"{self._prefix}{next(self._numbers)}"
        self._unacknowledged[name] = due, peer
        self._undelivered[name] = due
        self.figures.sent += 1
        self._post(peer, name)

    def _post(self, peer: Peer, name: str) -> None:
        peer.send(
            type="send_private_message",
            recipientId=self._other[id(peer)].user_id,
            content=CONTENT,
            clientMessageId=name,
            requestId=name,
        )

    def _told(self, peer: Peer, seen: Seen) -> None:
        now = monotonic()
        if seen.type == "message_sent":
            # Of its own message a peer hears by this alone; it counts in the same ``seq``.
            # The answer to one that was sent again has the place of the first.
            note = self.tally.note_missed if seen.duplicate else self.tally.note
            note(peer.user_id, decode_message(seen.message))
            self._acknowledge(seen.client_message_id, now)
        elif seen.type == "new_private_message":
            message = decode_message(seen.message)
            if self.tally.note(peer.user_id, message):
                self._deliver(message, now)
        elif seen.type == "error":
            self._refuse(seen)

    def _acknowledge(self, name: str, now: float) -> None:
        due, peer = self._unacknowledged.pop(name, (0.0, None))
        if peer is None:
            return
        self.figures.acks.append(now - due)
        if self._in_flight:
            self._send(peer, now)

    def _deliver(self, message: SeenMessage, now: float | None = None) -> None:
        due = self._undelivered.pop(message.client_message_id, None)
        if due is not None and now is not None:
            self.figures.deliveries.append(now - due)

    def _refuse(self, seen: Seen) -> None:
        refused = self.figures.refused
        refused[seen.code] = refused.get(seen.code, 0) + 1
        self._undelivered.pop(seen.request_id, None)
        self._unacknowledged.pop(seen.request_id, None)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_EVERY)
            for peer in self.peers:
                peer.ping()


def quantile(samples: Sequence[float], share: float) -> float:
    """Return the value below which this share of the samples lies; of none, not a number."""
    if not samples:
        return float("nan")
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
