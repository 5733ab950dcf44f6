"""Numbers what this worker tells the others, and notices what of theirs is missing. Hot path.

Everything said to one worker in one turn of the event loop travels in one frame. A carrier may lose
frames; the numbers tell, at the next frame or at the next beat.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from fastchat._speedups import Outgoing
from fastchat.broker.carrier import Callbacks, Carrier, OpenCarrier
from fastchat.broker.messages import (
    AnyMessage,
    Beat,
    Event,
    EventKind,
    Farewell,
    Frame,
    decode,
    encode,
)

BEAT = 1.0  # seconds between two signs of life
SILENCE = 2.5  # seconds without a sign of life until something is taken for lost
END = 15.0  # seconds without one until a worker is taken for ended
MISSED = 600.0  # seconds for which one that ended without a word may still be storing something
PATIENCE = 0.3  # seconds; frames on another way may arrive after the beat that counts them
MOST_PER_FRAME = 512 * 1024  # bytes, unless it is one message

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Who is told what the others say."""

    def on_messages(self, peer: str, messages: Sequence[AnyMessage]) -> None:
        """Another worker says something, in this order; must not raise."""

    def on_met(self, peer: str) -> None:
        """There is another worker, or it is there again; it knows nothing of this one."""

    def on_ended(self, peer: str) -> None:
        """Another worker is gone."""

    def on_beat(self) -> None:
        """Another second has passed."""

    def on_loss(self, peer: str | None, age: float) -> None:
        """What was said in the last ``age`` seconds may be lost; by this one, or by any."""


class _Peer:
    """Another worker.

    ``epoch`` and ``sent`` are of what it is told; ``heard_epoch`` and ``received`` of what it
    says; ``good_at``: all that it had said by then was received.
    """

    __slots__ = (
        "epoch",
        "good_at",
        "heard_at",
        "heard_epoch",
        "received",
        "sent",
    )

    def __init__(self, epoch: int, now: float) -> None:
        self.epoch = epoch
        self.sent = 0
        self.heard_epoch: int | None = None
        self.received = 0
        self.heard_at = now
        self.good_at = now


class Exchange:
    """Talks to the other workers by way of a carrier.

    Attributes:
        post: ``Outgoing.post``: says something to another worker at the end of this turn.
        tell: ``Outgoing.tell``: says an event to those whom it concerns.
        messages_out: What was said to others.
        messages_in: What others said.
        frames_out: How many frames it took.
        refused: Messages that the carrier did not take.
        losses: How often something was missing.
    """

    def __init__(
        self,
        own: str,
        open_carrier: OpenCarrier,
        listener: Listener,
        *,
        beat: float = BEAT,
        silence: float = SILENCE,
        end: float = END,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the own name, the carrier and who listens; times are seconds."""
        self.own = own
        self._listener = listener
        self._beat = beat
        self._silence = silence
        self._end = end
        self._patience = patience
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._carrier: Carrier = open_carrier(
            own, Callbacks(self.receive, self._on_up, self._on_down, self._on_ended)
        )
        self._peers: dict[str, _Peer] = {}
        self._outgoing = Outgoing(
            lambda: self._loop.call_soon(self.flush), Event, EventKind.MESSAGE
        )
        self.post = self._outgoing.post
        self.tell = self._outgoing.tell
        self._epochs = time.time_ns() // 1_000_000
        self._ticker: asyncio.TimerHandle | None = None
        self._ticked_at = clock()
        self._checks: set[asyncio.TimerHandle] = set()
        self._is_closed = False
        self._down_since: float | None = None
        self._missing: dict[str, float] = {}  # gone without a word, and since when
        self.messages_out = 0
        self.messages_in = 0
        self.frames_out = 0
        self.refused = 0
        self.losses = 0

    @property
    def peers(self) -> Collection[str]:
        """The other workers."""
        return self._peers.keys()

    @property
    def is_up(self) -> bool:
        """Whether the carrier works and nobody is silent."""
        limit = self._clock() - self._silence
        return self._carrier.is_up and all(p.heard_at >= limit for p in self._peers.values())

    @property
    def audible(self) -> set[str]:
        """The other workers that can be heard at the moment."""
        if self._down_since is not None or not self._carrier.is_up:
            return set()
        limit = self._clock() - self._silence
        return {name for name, peer in self._peers.items() if peer.heard_at >= limit}

    @property
    def is_carried(self) -> bool:
        """Whether the carrier works."""
        return self._carrier.is_up

    @property
    def waiting(self) -> int:
        """Messages that have yet to be handed to the carrier."""
        return self._outgoing.waiting

    async def start(self) -> None:
        """Begin to talk; those who are there answer soon."""
        await self._carrier.open()
        self._ticked_at = self._clock()
        self._tick()

    async def stop(self) -> None:
        """Say what was to be said, and good-bye."""
        if self._ticker is not None:
            self._ticker.cancel()
        self.flush()
        self._is_closed = True
        for check in self._checks:
            check.cancel()
        self._carrier.send_to_all(encode(Farewell(self.own)))
        await self._carrier.close()

    def post_all(self, message: AnyMessage) -> None:
        """Say something to every other worker."""
        for peer in self._peers:
            self.post(peer, message)

    def flush(self) -> None:
        """Hand what was said to the carrier."""
        for name, messages in self._outgoing.take().items():
            peer = self._peers.get(name)
            if peer is None or self._is_closed:
                continue
            try:
                self._send(name, peer, messages)
            except Exception:
                # The numbers go on, so the other one will notice.
                peer.sent += len(messages)
                self.refused += len(messages)
                log.exception("something could not be said to another worker")

    def _send(self, name: str, peer: _Peer, messages: list[AnyMessage]) -> None:
        frame = encode(Frame(self.own, peer.epoch, peer.sent + 1, messages))
        if len(frame) > MOST_PER_FRAME and len(messages) > 1:
            middle = len(messages) // 2
            self._send(name, peer, messages[:middle])
            self._send(name, peer, messages[middle:])
            return
        peer.sent += len(messages)
        self.messages_out += len(messages)
        self.frames_out += 1
        if not self._carrier.send(name, frame):
            # The numbers went on, so the other one will notice.
            self.refused += len(messages)

    def receive(self, data: bytes) -> None:
        """Take a frame from the carrier."""
        if self._is_closed:
            return
        frame = decode(data)
        if frame is None:
            log.error("a frame of %d bytes is none of another worker", len(data))
        elif frame.sender == self.own:
            return
        elif isinstance(frame, Farewell):
            self._say_good_bye(frame.sender)
        else:
            now = self._clock()
            peer = self._peers.get(frame.sender)
            if peer is None:
                peer = self._meet(frame.sender, now)
            peer.heard_at = now
            if isinstance(frame, Frame):
                self._take(frame, peer, now)
            else:
                self._compare(frame, peer, now)

    def _meet(self, name: str, now: float) -> _Peer:
        self._epochs += 1
        peer = self._peers[name] = _Peer(self._epochs, now)
        self._outgoing.open(name)
        self._missing.pop(name, None)
        # It need not wait for a second to hear of this one.
        self._say_beat()
        self._listener.on_met(name)
        return peer

    def _take(self, frame: Frame, peer: _Peer, now: float) -> None:
        first = frame.first
        if frame.epoch != peer.heard_epoch:
            # It has forgotten this worker meanwhile, or was not known here.
            is_new = peer.heard_epoch is None
            peer.heard_epoch, peer.received = frame.epoch, 0
            if not is_new:
                self._lose(frame.sender, peer, now)
        messages = frame.messages
        last = first + len(messages) - 1
        if first > peer.received + 1:
            peer.received = last
            self._lose(frame.sender, peer, now)
        else:
            messages = messages[peer.received + 1 - first :]
            peer.received = max(peer.received, last)
            peer.good_at = now
        self.messages_in += len(messages)
        self._listener.on_messages(frame.sender, messages)

    def _compare(self, beat: Beat, peer: _Peer, now: float) -> None:
        """See whether everything that was said has arrived."""
        told = beat.numbers.get(self.own)
        if told is None:
            return
        epoch, number = told
        if (epoch, number) <= (peer.heard_epoch or 0, peer.received):
            peer.good_at = now
            return
        if number == 0:
            peer.heard_epoch, peer.received = epoch, 0
            return

        def check() -> None:
            self._checks.discard(timer)
            known = self._peers.get(beat.sender)
            if known is peer and (epoch, number) > (peer.heard_epoch or 0, peer.received):
                peer.heard_epoch, peer.received = epoch, number
                self._lose(beat.sender, peer, self._clock())

        timer = self._loop.call_later(self._patience, check)
        self._checks.add(timer)

    def _lose(self, name: str, peer: _Peer, now: float) -> None:
        self.losses += 1
        age, peer.good_at = now - peer.good_at, now
        self._listener.on_loss(name, age)

    def _say_good_bye(self, name: str) -> None:
        """Forget a worker that has ended, when its last words have come, on whatever way."""

        def end() -> None:
            self._checks.discard(timer)
            self._missing.pop(name, None)
            self._forget(name)

        timer = self._loop.call_later(self._patience, end)
        self._checks.add(timer)

    def _forget(self, name: str) -> None:
        if self._peers.pop(name, None) is not None:
            self._outgoing.close(name)
            self._listener.on_ended(name)

    def _on_ended(self, name: str) -> None:
        if not self._is_closed:
            self._forget(name)

    def _on_up(self) -> None:
        now = self._clock()
        if self._down_since is not None:
            age, self._down_since = now - self._down_since, None
            for peer in self._peers.values():
                peer.heard_at = now  # nobody could be heard
            log.warning("the bus between the workers works again")
            self._listener.on_loss(None, age + self._silence)
        self._say_beat()

    def _on_down(self, reason: str) -> None:
        if self._down_since is None and not self._is_closed:
            self._down_since = self._clock()
            log.warning("the bus between the workers does not work: %s", reason)

    def _tick(self) -> None:
        """Give a sign of life, and see who gave none."""
        self._ticker = self._loop.call_later(self._beat, self._tick)
        now = self._clock()
        late = now - self._ticked_at - self._beat
        self._ticked_at = now
        self._listener.on_beat()
        self._say_beat()
        if late > self._beat:
            # This worker itself stood still; what came meanwhile has yet to be read.
            for peer in self._peers.values():
                peer.heard_at += late
            return
        if self._down_since is not None:
            self._listener.on_loss(None, now - self._down_since + self._silence)
        self._missing = {n: at for n, at in self._missing.items() if now - at < MISSED}
        if self._missing:
            self._listener.on_loss(None, self._beat + self._silence)
        for name, peer in list(self._peers.items()):
            silent = now - peer.heard_at
            if silent > self._end and self._down_since is None:
                self._missing[name] = now
                self._forget(name)
            elif silent > self._silence and self._down_since is None:
                # Asked again until it speaks; it may have stored something that it cannot tell.
                self._listener.on_loss(name, now - peer.good_at)

    def _say_beat(self) -> None:
        self.flush()
        numbers = {name: (peer.epoch, peer.sent) for name, peer in self._peers.items()}
        self._carrier.send_to_all(encode(Beat(self.own, numbers)))
