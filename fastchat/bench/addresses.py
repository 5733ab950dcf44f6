"""Addresses to come from: on one machine, a load of many users must not look like one of them.

The server allows 10 connections and 3000 requests in 15 minutes from one address; every address of
127.0.0.0/8 is this machine's.
"""

from ipaddress import ip_address
from socket import AF_UNSPEC, SOCK_STREAM, gaierror, getaddrinfo
from urllib.parse import urlsplit

PER_ADDRESS = 8  # connections, below the 10 of the server
FIRST = int(ip_address("127.1.0.1"))
MOST = 254 * 65536 * PER_ADDRESS


def address_of(number: int, per_address: int = PER_ADDRESS) -> str:
    """Return the address from which the nth connection comes, counted from 0."""
    # Another address than those that people use by hand, and never the last of a block of 256.
    block, rest = divmod(number // per_address, 254)
    return str(ip_address(FIRST + block * 256 + rest))


def is_this_machine(url: str) -> bool:
    """Tell whether all addresses of a server are this machine's own; an unknown name is none."""
    host = urlsplit(url).hostname
    if not host:
        return False
    try:
        found = {str(entry[4][0]) for entry in getaddrinfo(host, None, AF_UNSPEC, SOCK_STREAM)}
    except gaierror:
        return False
    return all(ip_address(address.partition("%")[0]).is_loopback for address in found)
