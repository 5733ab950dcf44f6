"""A batch of messages: from entries in a queue to the arrays of one statement. Hot path.

The statement takes one array element per room and one per message. Here the messages are ranked
within their room, and a repeat of a client id inside the batch is folded into the first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol


@dataclass(slots=True)
class NewMessage:
    """One message that is ready to be stored; either ``content`` or the encrypted columns.

    ``user1_id`` and ``user2_id`` are the members of a conversation, in its own order; a message to
    a group has neither them nor a recipient.
    """

    room_id: int
    conversation_id: str
    user1_id: str | None
    user2_id: str | None
    sender_id: str
    recipient_id: str | None
    content: str | None
    encrypted_content: str | None
    encryption_iv: str | None
    encryption_scheme: str | None
    client_message_id: str | None = None
    reply_to: str | None = None
    reply_seq: int | None = None
    mentions: str | None = None
    is_announcement: bool = False
    is_system: bool = False  # of the server itself, which need not be a member

    @property
    def is_group(self) -> bool:
        """Whether the message goes to a group."""
        return self.recipient_id is None

    @property
    def size(self) -> int:
        """Characters of the stored text, for the bound of a batch."""
        return len(self.encrypted_content or self.content or "")


class Reason(Enum):
    """Why a message was not stored."""

    BLOCKED = "blocked"
    UNKNOWN_RECIPIENT = "unknown recipient"
    REPLY_MISSING = "reply missing"
    INVALID = "invalid"
    NOT_MEMBER = "not a member"
    NOT_ALLOWED = "not allowed"
    UNAVAILABLE = "unavailable"  # not known to be stored


class Stored(NamedTuple):
    """Committed; ``created_at`` is epoch seconds, ``group_rev`` that of the room.

    ``is_late``: the sender was already told ``UNAVAILABLE``. Others must still hear of the message.
    """

    seq: int
    rev: int
    created_at: float
    group_rev: int = 0
    is_late: bool = False


class Duplicate(NamedTuple):
    """The same user sent the same client id to this room before; that message has this ``seq``."""

    seq: int


class Refused(NamedTuple):
    """Not stored."""

    reason: Reason


Outcome = Stored | Duplicate | Refused


@dataclass(slots=True, eq=False)
class Entry:
    """A message on its way, with who waits for it and until when (monotonic seconds)."""

    message: NewMessage
    done: Callable[[Outcome], None]
    deadline: float
    is_answered: bool = False
    repeats: "list[Entry] | None" = None


class UserColumns(Protocol):
    """The types of the main backend's id columns, or None where the table is missing."""

    @property
    def users_id_type(self) -> str | None:
        """Of ``users_auth.user_id``: integer, bigint, text or uuid."""

    @property
    def blocks_id_type(self) -> str | None:
        """Of the columns of ``blocked_relationships``."""


@dataclass(slots=True)
class Batch:
    """Entries grouped by room, in the order of their arrival; ``entries`` has them room by room."""

    rooms: dict[int, list[Entry]]
    entries: list[Entry]

    @property
    def is_group(self) -> bool:
        """Whether all of it goes to groups; otherwise nothing does."""
        return self.entries[0].message.is_group

    def split(self) -> tuple["Batch", "Batch"]:
        """Return two halves, the earlier messages of a room in the first."""
        entries = self.entries
        middle = len(entries) // 2
        return group(entries[:middle]), group(entries[middle:])


def group(entries: Sequence[Entry]) -> Batch:
    """Group entries by room and fold repeats of a client id into the first of them."""
    rooms: dict[int, list[Entry]] = {}
    first: dict[tuple[int, str, str], Entry] = {}
    for entry in entries:
        message = entry.message
        if message.client_message_id is not None:
            key = (message.room_id, message.sender_id, message.client_message_id)
            original = first.setdefault(key, entry)
            if original is not entry:
                if original.repeats is None:
                    original.repeats = []
                original.repeats += [entry, *(entry.repeats or ())]
                entry.repeats = None
                continue
        rooms.setdefault(message.room_id, []).append(entry)
    return Batch(rooms, [entry for entries in rooms.values() for entry in entries])
