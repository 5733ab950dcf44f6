"""Which connections and requests an address may open.

The rules are asked in the order of docs/protocol.md, "Transport": connections of the address,
requests of the address, connections of this worker. A refusal by one rule counts in none.
"""

from collections.abc import Iterator, Mapping
from math import ceil

from fastchat.admission.ledger import Ledger, OwnLedger
from fastchat.interfaces import Window
from fastchat.protocol.codes import CloseCode
from fastchat.slices import in_slices

IP_WINDOW = 900.0  # seconds


class ConnectionRefused(Exception):
    """A connection that is closed right after its handshake."""

    def __init__(self, close_code: int, reason: str, *, worker_full: bool = False) -> None:
        """Take the close code and its reason; a full worker sends an error frame before."""
        super().__init__(reason)
        self.close_code = close_code
        self.reason = reason
        self.worker_full = worker_full


class ConnectionRules:
    """Counts connections per address and requests per address and quarter of an hour.

    Attributes:
        news: Addresses whose connections changed here or that made requests, with the number of
            these, since somebody else emptied it; None: nobody does.
    """

    def __init__(
        self,
        max_connections: int,
        max_per_ip: int,
        ip_requests: int,
        ledger: Ledger | None = None,
    ) -> None:
        """Take the limits.

        Args:
            max_connections: Of this worker.
            max_per_ip: Open at once from one address.
            ip_requests: From one address in 15 minutes.
            ledger: Where what an address does is counted; without one in this process alone.
        """
        self._max_connections = max_connections
        self._max_per_ip = max_per_ip
        self._ip_requests = ip_requests
        self._open: dict[str, int] = {}
        self._distant: dict[str, int] = {}
        self._requests: dict[str, Window] = {}
        self._ledger = ledger or OwnLedger()
        self._total = 0
        self.news: dict[str, int] | None = None
        self.ip_refusals = 0
        self.connection_refusals = 0

    @property
    def connections_by_ip(self) -> Mapping[str, int]:
        """Open connections of this worker per address."""
        return self._open

    @property
    def distant_by_ip(self) -> Mapping[str, int]:
        """Open connections on other hosts per address, as far as this worker counts them."""
        return self._distant

    def open(self, remote_ip: str, now: float) -> None:
        """Count one more connection of an address; ``close`` must follow exactly once.

        Raises:
            ConnectionRefused: nothing was counted.
        """
        window = self._request_window(remote_ip)
        # Between asking and counting no other worker may open one.
        with self._ledger.exclusive():
            own = self._open.get(remote_ip, 0)
            known = own + self._distant.get(remote_ip, 0)
            if known + self._ledger.connections_elsewhere(window, now) >= self._max_per_ip:
                self.connection_refusals += 1
                raise ConnectionRefused(CloseCode.POLICY_VIOLATION, "Connection limit exceeded")
            is_full = self._total >= self._max_connections
            ask = window.wait if is_full else window.take
            if ask(now, self._ip_requests) > 0.0:
                self.ip_refusals += 1
                raise ConnectionRefused(CloseCode.POLICY_VIOLATION, "Rate limit exceeded")
            if is_full:
                self.connection_refusals += 1
                raise ConnectionRefused(
                    CloseCode.TRY_AGAIN_LATER, "Too many connections", worker_full=True
                )
            self._open[remote_ip] = own + 1
            self._ledger.set_connections(window, known + 1)
        self._total += 1
        self._note(remote_ip, 1)

    def close(self, remote_ip: str) -> None:
        """Give back what ``open`` counted."""
        left = self._open[remote_ip] - 1
        self._total -= 1
        if left:
            self._open[remote_ip] = left
        else:
            del self._open[remote_ip]
        left += self._distant.get(remote_ip, 0)
        self._ledger.set_connections(self._requests[remote_ip], left)
        self._note(remote_ip, 0)

    def admit_request(self, remote_ip: str, now: float) -> int:
        """Count one HTTP request; return 0, or the whole seconds to wait when it is refused."""
        wait = self._request_window(remote_ip).take(now, self._ip_requests)
        if wait > 0.0:
            self.ip_refusals += 1
            return max(1, ceil(wait))
        self._note(remote_ip, 1)
        return 0

    def count_distant(self, remote_ip: str, connections: int, requests: int, now: float) -> None:
        """Count what an address does on other hosts, and tell the workers of this one.

        Args:
            remote_ip: The address.
            connections: That it has there now, as far as this worker is to tell of them.
            requests: That it made there lately.
            now: Monotonic seconds.
        """
        window = self._request_window(remote_ip)
        for _ in range(min(requests, self._ip_requests)):
            window.take(now, self._ip_requests)
        if connections:
            self._distant[remote_ip] = connections
        else:
            self._distant.pop(remote_ip, None)
        # Asked first, for a window that was never asked has no place to tell it in.
        self._ledger.connections_elsewhere(window, now)
        self._ledger.set_connections(window, self._open.get(remote_ip, 0) + connections)

    def sweep(self, now: float) -> Iterator[int]:
        """Forget addresses without connection and request; yield how many of each slice."""
        for part in in_slices(self._requests):
            gone = [ip for ip in part if ip not in self._open and ip not in self._distant]
            idle = [ip for ip in gone if self._requests[ip].is_idle(now)]
            for remote_ip in idle:
                self._ledger.close_window(self._requests.pop(remote_ip), now)
            yield len(idle)

    def _note(self, remote_ip: str, requests: int) -> None:
        """Keep what other hosts are to be told."""
        if self.news is not None:
            self.news[remote_ip] = self.news.get(remote_ip, 0) + requests

    def _request_window(self, remote_ip: str) -> Window:
        window = self._requests.get(remote_ip)
        if window is None:
            window = self._ledger.open_window("address", remote_ip, self._ip_requests, IP_WINDOW)
            self._requests[remote_ip] = window
        return window
