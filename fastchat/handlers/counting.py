"""What counts for limits, told to other hosts and heard from them.

Nobody waits for it: a limit is decided in the memory of this host, and every tenth of a second what
was counted meanwhile is told to one worker of each other host, since the workers of a host count
together. While the bus does not carry, each host counts for itself.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator

from fastchat.admission.distant import AddressCounts, Counts, UserCounts
from fastchat.broker.messages import MOST_USERS, Addresses, Counted, Windows
from fastchat.handlers.whereabouts import Bus
from fastchat.hub.directory import Directory
from fastchat.hub.sessions import Hub
from fastchat.slices import in_slices

TELL = 0.1  # seconds between two tellings
TELL_PER_HOST = 0.01  # and at least so many for each other host: what is told grows with them


class Counting:
    """Says to other hosts what was counted here, and counts what they say."""

    def __init__(
        self,
        own: str,
        bus: Bus,
        hub: Hub,
        directory: Directory,
        users: UserCounts,
        addresses: AddressCounts,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the own name, how to speak, who is where, and the counts."""
        self._host = host_of(own)
        self._bus = bus
        self._hub = hub
        self._directory = directory
        self._users = users
        self._addresses = addresses
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._targets: dict[str, str] = {}  # by host, the worker that is told of addresses
        self._timer: asyncio.TimerHandle | None = None
        self._settling: asyncio.Handle | None = None
        self._looks: Iterator[list[str]] = iter(())
        self._is_heard = True

    def start(self) -> None:
        """Begin to tell."""
        self._timer = self._loop.call_later(TELL, self._tick)

    def stop(self) -> None:
        """Tell what is left."""
        if self._timer is not None:
            self._tick()
            self._timer.cancel()
        if self._settling is not None:
            self._settling.cancel()

    def on_met(self, peer: str) -> None:
        """Tell a worker that is new what addresses have here, instead of another of its host.

        That one may have been killed, which is known only when it was silent for long.
        """
        host = host_of(peer)
        if host == self._host:
            return
        before = self._targets.get(host)
        self._targets[host] = peer
        self._tell_all(peer)
        if before is not None:
            self.on_asked(before)

    def on_asked(self, peer: str) -> None:
        """Tell a worker that has missed something what addresses have here, if it is the one."""
        if self._targets.get(host_of(peer)) == peer:
            self._tell_all(peer)
        elif host_of(peer) != self._host:
            self._bus.post(peer, Addresses(is_all=True, counts=[]))

    def on_ended(self, peer: str) -> None:
        """Give back what addresses had there; tell another worker of its host instead of it."""
        self._addresses.forget(peer)
        self._settle()
        host = host_of(peer)
        if self._targets.get(host) == peer:
            del self._targets[host]
            for other in self._bus.peers:
                if host_of(other) == host:
                    self.on_met(other)
                    break

    def on_joined(self, peer: str, user_ids: list[str]) -> None:
        """Tell a worker of another host what those who came there did here."""
        if host_of(peer) == self._host:
            return
        # What was not told yet is told now to the others, and to this one with all the rest.
        self._tell_users(user_ids, but=peer)
        now = self._clock()
        for user_id in user_ids:
            if self._hub.is_here(user_id):
                self._users.watch(user_id)
            messages, commands = self._users.recall(user_id, now)
            if messages or commands:
                self._bus.post(peer, Windows(user_id, messages, commands))

    def on_arrived(self, user_ids: list[str]) -> None:
        """Begin to tell of those who came here and are on another host too."""
        for user_id in user_ids:
            if self._places(user_id):
                self._users.watch(user_id)

    def on_counted(self, peer: str, message: Counted) -> None:
        """Users did something on another host."""
        now = self._clock()
        for user_id, messages, commands in message.counts:
            self._users.add(user_id, messages, commands, now)

    def on_windows(self, peer: str, message: Windows) -> None:
        """A user who came here was on another host before."""
        self._users.merge(message.user_id, message.messages, message.commands, self._clock())

    def on_addresses(self, peer: str, message: Addresses) -> None:
        """Addresses did something on another host."""
        self._addresses.take(peer, message.counts, self._clock(), is_all=message.is_all)
        self._settle()

    def _tick(self) -> None:
        delay = max(TELL, TELL_PER_HOST * len(self._targets))
        self._timer = self._loop.call_later(delay, self._tick)
        is_heard = self._bus.is_carried
        if is_heard != self._is_heard:
            self._is_heard = is_heard
            self._addresses.trust(is_heard)
            self._settle()
            # Of what was counted meanwhile the connections matter, and are told anew.
            for peer in self._targets.values() if is_heard else ():
                self._tell_all(peer)
        self._tell_users(self._users.changed())
        self._tell_addresses()
        self._forget_users()

    def _tell_users(self, user_ids: Iterable[str], but: str = "") -> None:
        by_peer: dict[str, list[Counts]] = {}
        for user_id in user_ids:
            messages, commands = self._users.collect(user_id)
            if messages or commands:
                for peer in self._places(user_id, but):
                    by_peer.setdefault(peer, []).append((user_id, messages, commands))
        if self._is_heard:
            for peer, counts in by_peer.items():
                for start in range(0, len(counts), MOST_USERS):
                    self._bus.post(peer, Counted(counts[start : start + MOST_USERS]))

    def _tell_addresses(self) -> None:
        counts = self._addresses.collect()
        if counts and self._is_heard:
            for peer in self._targets.values():
                self._post_addresses(peer, counts)

    def _tell_all(self, peer: str) -> None:
        self._bus.post(peer, Addresses(is_all=True, counts=[]))
        self._post_addresses(peer, self._addresses.recall())

    def _post_addresses(self, peer: str, counts: list[Counts]) -> None:
        for start in range(0, len(counts), MOST_USERS):
            part = counts[start : start + MOST_USERS]
            self._bus.post(peer, Addresses(is_all=False, counts=part))

    def _places(self, user_id: str, but: str = "") -> list[str]:
        """Return one worker of each other host that a user is connected to."""
        places = self._directory.places_of(user_id)
        by_host = {host_of(place): place for place in places if place != but}
        by_host.pop(self._host, None)
        return list(by_host.values())

    def _forget_users(self) -> None:
        """Look at a slice of those watched; tell no more of who is not here, or only here."""
        part = next(self._looks, None)
        if part is None:
            self._looks = in_slices(self._users.watched())
        for user_id in part or ():
            if not (self._hub.is_here(user_id) and self._hub.is_elsewhere(user_id)):
                self._users.forget(user_id)

    def _settle(self) -> None:
        """Count a part of the addresses anew in each turn of the event loop."""
        if self._settling is None and self._addresses.is_due:
            self._settling = self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._settling = None
        self._addresses.settle(self._clock())
        self._settle()


def host_of(name: str) -> str:
    """Return the host of a worker: what all its workers' names begin with; see ``Place.name``."""
    return name.rpartition(".")[0]
