"""How a connection ended, and what follows: the end, or a pause before the next try.

Source: docs/protocol.md, "Close codes".
"""

import random
from collections.abc import Callable
from typing import NamedTuple

from fastchat.protocol.codes import CloseCode

ABNORMAL = 1006  # RFC 6455, section 7.4.1: there was no close frame
LONGEST = 30.0  # seconds
CROWDED_PAUSE = 30.0  # seconds before each try where the address is at its limit

FINAL_CODES = frozenset(
    (CloseCode.PROTOCOL_ERROR, CloseCode.UNSUPPORTED_DATA, CloseCode.INVALID_TEXT)
)
FINAL_REASONS = ("Invalid IP address", "Too many fragments")
CROWDED_REASONS = ("Connection limit exceeded", "Rate limit exceeded")
LATE_REASON = "Authentication timeout"
FINAL_STATUSES = (401, 403)  # of a handshake: who asks or from where is refused


class Ending(NamedTuple):
    """How a connection, or an attempt to have one, came to its end."""

    code: int  # of the close frame; ABNORMAL when there was none
    reason: str
    status: int = 0  # of HTTP, where the handshake was refused
    retry_after: float = 0.0  # seconds, as the server said
    is_drained: bool = False  # ``server_draining`` came before


def full_jitter(attempt: int) -> float:
    """Seconds before the next try, up to 1 at first and up to 30 in the end.

    Spread over the whole span, so that the clients of a restarted server come back evenly.
    """
    return random.uniform(0.0, min(LONGEST, 2.0 ** min(attempt, 5)))


def is_final(ending: Ending) -> bool:
    """Tell whether the same again would end the same way."""
    if ending.code == CloseCode.POLICY_VIOLATION:
        return ending.reason in FINAL_REASONS
    return ending.code in FINAL_CODES or ending.status in FINAL_STATUSES


def pause(ending: Ending, attempt: int, delay: Callable[[int], float]) -> float:
    """Return how many seconds the next try is away.

    Args:
        ending: One that is not final.
        attempt: How many tries came to nothing before, counted from 0.
        delay: Seconds that grow with the attempt, by chance.
    """
    if ending.is_drained:
        return ending.retry_after  # the server has spread its clients already
    if attempt == 0 and _is_at_once(ending):
        return ending.retry_after
    is_crowded = ending.code == CloseCode.POLICY_VIOLATION and ending.reason in CROWDED_REASONS
    # All may be told the same time: chance comes on top of it.
    return max(ending.retry_after, CROWDED_PAUSE if is_crowded else 0.0) + delay(attempt)


def _is_at_once(ending: Ending) -> bool:
    is_late = ending.code == CloseCode.POLICY_VIOLATION and ending.reason == LATE_REASON
    return is_late or ending.code == CloseCode.SERVICE_RESTART
