"""Where loads come from, and whose servers they may be for."""

from collections import Counter
from ipaddress import ip_address, ip_network

import pytest

from fastchat.bench.addresses import PER_ADDRESS, address_of, is_this_machine


def test_no_address_has_more_connections_than_the_server_allows():
    counts = Counter(address_of(number) for number in range(100_000))
    assert max(counts.values()) == PER_ADDRESS < 10
    assert all(ip_address(one) in ip_network("127.0.0.0/8") for one in counts)
    assert not any(one.endswith((".0", ".255")) for one in counts)
    assert "127.0.0.1" not in counts


@pytest.mark.parametrize(
    ("url", "is_ours"),
    [
        ("ws://127.0.0.1:3001", True),
        ("ws://127.9.9.9", True),
        ("ws://[::1]:3001/chat", True),
        ("ws://localhost:3001", True),
        ("wss://192.0.2.1", False),
        ("ws://0.0.0.0:3001", False),
        ("ws://name.invalid", False),
        ("ws://", False),
        ("nonsense", False),
    ],
)
def test_only_loopback_is_this_machine(url, is_ours):
    assert is_this_machine(url) is is_ours
