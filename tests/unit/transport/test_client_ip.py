"""Which address a client has."""

from ipaddress import ip_network

import pytest

from fastchat.transport.client_ip import find_client_ip

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.1", [], "203.0.113.1"),
        ("203.0.113.1", ["198.51.100.1"], "203.0.113.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1", "10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8:0::1]:4711"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("fd00::1%eth0", ["2001:DB8::1"], "2001:db8::1"),
        ("10.0.0.1", ["unknown, 10.0.0.2"], None),
        ("10.0.0.1", ["198.51.100.1, "], None),
        ("", [], None),
        ("not an address", ["198.51.100.1"], None),
        ("10.0.0.1", ["198.51.100.٣"], None),
    ],
)
def test_address_is_the_right_most_one_that_is_no_trusted_proxy(peer, forwarded, address):
    assert find_client_ip(peer, forwarded, TRUSTED) == address


def test_nothing_is_believed_without_trusted_proxies():
    assert find_client_ip("10.0.0.1", ["198.51.100.1"], []) == "10.0.0.1"
