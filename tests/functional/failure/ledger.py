"""What was sent, acknowledged and delivered during a run, and whether the stored history fits it.

The ledger is kept by the clients, from what crossed the wire alone. ``problems`` are contradictions
that show at once, such as a message that one connection gets twice; ``compare`` holds the
rest against the history that the server tells afterwards.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tests.functional.client import ChatClient

Message = Mapping[str, Any]
PAGE = 200


class Sent(NamedTuple):
    """A message that a client has sent, maybe several times."""

    sender_id: str
    recipient_id: str
    content: str


class Position(NamedTuple):
    """Where the server says that it stored a message."""

    message_id: str
    seq: int


class Ledger:
    """One run, seen by all its clients.

    Attributes:
        sent: By ``clientMessageId``.
        acknowledged: By ``clientMessageId``.
        delivered: By the name of a connection: how often each message id came.
        duplicates: Acknowledgements of something that had been stored before.
        refused: Sends that were answered ``SERVICE_UNAVAILABLE``.
        slowest: Seconds that the slowest answer to a send took.
        problems: Contradictions.
    """

    def __init__(self) -> None:
        self.sent: dict[str, Sent] = {}
        self.acknowledged: dict[str, Position] = {}
        self.delivered: dict[str, Counter[str]] = {}
        self.duplicates = 0
        self.refused = 0
        self.slowest = 0.0
        self.problems: list[str] = []

    def note_send(self, client_message_id: str, sent: Sent) -> None:
        self.sent[client_message_id] = sent

    def note_ack(self, frame: Message, seconds: float) -> None:
        """Take a ``message_sent``."""
        name, message = frame["clientMessageId"], frame["message"]
        position = Position(frame["messageId"], message["seq"])
        self.slowest = max(self.slowest, seconds)
        self.duplicates += frame.get("duplicate", False)
        if self.acknowledged.setdefault(name, position) != position:
            self.problems.append(f"{name}: {position}, earlier {self.acknowledged[name]}")
        self._look_at(message)

    def note_refusal(self, seconds: float) -> None:
        """Take a ``SERVICE_UNAVAILABLE``."""
        self.slowest = max(self.slowest, seconds)
        self.refused += 1

    def note_delivery(self, connection: str, frame: Message) -> None:
        """Take a ``new_private_message``."""
        counts = self.delivered.setdefault(connection, Counter())
        counts[frame["messageId"]] += 1
        if counts[frame["messageId"]] > 1:
            self.problems.append(f"{connection} got {frame['messageId']} again")
        self._look_at(frame["message"])

    def compare(self, history: Iterable[Message]) -> set[str]:
        """Hold everything against the whole history of one conversation, oldest first.

        Returns:
            The ``clientMessageId`` of each stored message.
        """
        messages = list(history)
        assert not self.problems, self.problems[:10]
        assert [message["seq"] for message in messages] == list(range(1, len(messages) + 1))
        ids = Counter(message["id"] for message in messages)
        assert len(ids) == len(messages), ids.most_common(3)
        names = Counter(message["clientMessageId"] for message in messages)
        assert len(names) == len(messages), names.most_common(3)
        for message in messages:
            self._look_at(message)
        assert not self.problems, self.problems[:10]
        stored = {
            message["clientMessageId"]: Position(message["id"], message["seq"])
            for message in messages
        }
        pairs = {frozenset((message["senderId"], message["recipientId"])) for message in messages}
        assert len(pairs) <= 1
        for name, position in self.acknowledged.items():
            sent = self.sent[name]
            if {sent.sender_id, sent.recipient_id} in pairs:
                assert stored.get(name) == position, f"{name}: acknowledged, {stored.get(name)}"
        return set(stored)

    def _look_at(self, message: Message) -> None:
        """Note when a message is not the one that was sent under its name."""
        sent = self.sent.get(message["clientMessageId"])
        found = Sent(message["senderId"], message["recipientId"], message["content"])
        if sent != found:
            self.problems.append(f"{message['id']}: {found}, expected {sent}")


async def read_history(client: ChatClient, other_id: str) -> list[Message]:
    """Read a whole conversation over the wire, oldest first."""
    history: list[Message] = []
    bound: dict[str, int] = {}
    while True:
        page = await client.request(
            type="get_private_messages", recipientId=other_id, limit=PAGE, **bound
        )
        assert page["type"] == "private_messages", page
        history[:0] = page["messages"]
        if not page["pagination"]["hasMore"]:
            return history
        bound = {"before": history[0]["seq"]}
