"""Negotiation of permessage-deflate.

Source: RFC 7692, sections 5 and 7.1.
"""

from collections.abc import Iterable
from typing import NamedTuple

from fastchat._speedups.deflate import WINDOW_BITS

NAME = "permessage-deflate"
_FLAGS = ("server_no_context_takeover", "client_no_context_takeover")
_MOST_OFFERS = 16
# zlib has no raw stream with the smallest window of the RFC, 8.
_SERVER_BITS = {str(bits): bits for bits in range(9, 16)}
_CLIENT_BITS = {str(bits): bits for bits in range(8, 16)}


class Agreement(NamedTuple):
    """What both sides do: the window of the server, and the header that says so."""

    window_bits: int
    header: str


def negotiate(headers: Iterable[str]) -> Agreement | None:
    """Accept the first offer that can be kept; ``None``: no compression.

    An offer with an unknown, repeated or malformed parameter is declined, as is one with a window
    that zlib cannot keep. Messages are inflated with the largest window, so no limit is put on
    the client.

    Args:
        headers: values of all ``Sec-WebSocket-Extensions`` headers, in order.
    """
    offers = [offer for header in headers for offer in header.split(",")]
    for offer in offers[:_MOST_OFFERS]:
        name, *parameters = (part.strip() for part in offer.split(";"))
        if name == NAME and (agreement := _accept(parameters)) is not None:
            return agreement
    return None


def _accept(parameters: list[str]) -> Agreement | None:
    seen: set[str] = set()
    bits = WINDOW_BITS
    header = f"{NAME}; server_no_context_takeover; client_no_context_takeover"
    for parameter in parameters:
        name, equals, value = (part.strip() for part in parameter.partition("="))
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = value[1:-1]
        if name in seen:
            return None
        seen.add(name)
        if name in _FLAGS and not equals:
            continue
        if name == "client_max_window_bits" and (not equals or value in _CLIENT_BITS):
            continue
        if name != "server_max_window_bits" or value not in _SERVER_BITS:
            return None
        bits = min(bits, _SERVER_BITS[value])
        header += f"; server_max_window_bits={bits}"
    return Agreement(bits, header)
