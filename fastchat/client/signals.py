"""What the client tells besides the events of the server: its state, and what it did by itself."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fastchat.protocol.sync_types import ConversationNews


class State(StrEnum):
    """Where a client is, as the JavaScript client calls it; see the figure in docs/clients.md."""

    IDLE = "idle"  # not started yet
    CONNECTING = "connecting"  # fetches a token and connects
    AUTHENTICATING = "authenticating"  # logs in
    SYNCING = "syncing"  # logged in, and reading what was missed
    ONLINE = "online"
    WAITING = "waiting"  # for the next try
    CLOSED = "closed"  # by its user, or for good: the same again would fail again


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The client is in another state; why, and how many seconds the next try is away."""

    state: State
    reason: str = ""
    retry_in: float = 0.0
    close_code: int | None = None  # 1006: without a close frame


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """What was missed in one conversation, or all of it for a client that knows nothing yet.

    New messages were told before, each as an event; not those of the very first time, and none
    where ``news.complete`` is false: what comes before them is in the history.
    """

    news: ConversationNews


@dataclass(frozen=True, slots=True)
class Resync:
    """Too much was missed in a known conversation: forget it and read its history.

    ``CaughtUp`` with the same ``news`` came before. None of its messages was told as an event.
    """

    news: ConversationNews


@dataclass(frozen=True, slots=True)
class LeftGroup:
    """While the client was away its user left a group, was taken out of it, or it was deleted."""

    group_id: str


@dataclass(frozen=True, slots=True)
class SendDelayed:
    """The server cannot store a message now; it will be sent again in so many seconds."""

    client_message_id: str
    code: str
    reason: str
    retry_in: float


@dataclass(frozen=True, slots=True)
class Unknown:
    """An event that this version does not know; ``fields`` is all of it, as on the wire."""

    type: str
    fields: dict[str, Any]
