"""Which address a client has, behind proxies or not."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network


def find_client_ip(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str | None:
    """Return the canonical address of a client, ``None`` when it is no IP address.

    ``X-Forwarded-For`` counts only when the peer of the socket is a trusted proxy; then the
    right-most address that is not one, since a client may write whatever it likes to the left.

    Args:
        peer: address of the other end of the socket.
        forwarded: values of all ``X-Forwarded-For`` headers, in order.
        trusted: networks of the proxies.

    Source: docs/protocol.md, "Transport".
    """
    address = parse_address(peer)
    if address is None or not is_within(address, trusted):
        return None if address is None else str(address)
    for hop in reversed(",".join(forwarded).split(",") if forwarded else []):
        address = parse_address(hop.strip())
        if address is None or not is_within(address, trusted):
            break
    return None if address is None else str(address)


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address, also ``1.2.3.4:80``, ``[::1]:80`` and IPv4 mapped into IPv6."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_within(address: IPv4Address | IPv6Address, networks: Sequence[Network]) -> bool:
    """Tell whether one of the networks contains the address."""
    return any(address in network for network in networks)
