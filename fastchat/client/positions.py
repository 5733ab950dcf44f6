"""How far the client knows each conversation, so that it can ask for the rest.

``seq`` numbers messages and ``rev`` numbers changes, both without gaps. What is named to the server
is up to where nothing is missing; what came ahead of a gap is remembered, so that it is not told
twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypedDict

from fastchat.protocol import commands
from fastchat.protocol.command import MOST_NAMED
from fastchat.protocol.sync_types import ConversationNews

MOST_AHEAD = 1000  # numbers beyond a gap; more are forgotten, and told again if it comes to that


class SavedPositions(TypedDict):
    """What to keep, as JSON, so that a later client goes on where this one has stopped."""

    conversations: dict[str, dict[str, int]]  # {"seq": …, "rev": …} by conversation id
    state: str | None


@dataclass(slots=True)
class Mark:
    """Which of the numbers 1, 2, 3 … came: all up to ``whole``, and some ahead."""

    whole: int = 0
    ahead: set[int] = field(default_factory=set)
    stuck_at: int = -1  # where something was still missing after a sync

    def note(self, number: int) -> bool:
        """Take a number; tell whether it is new."""
        if number <= self.whole or number in self.ahead:
            return False
        if len(self.ahead) < MOST_AHEAD:
            self.ahead.add(number)
        self._close_gap()
        return True

    def reach(self, number: int) -> None:
        """Take everything up to a number."""
        if number > self.whole:
            self.whole = number
            self.ahead = {other for other in self.ahead if other > number}
            self._close_gap()

    def settle(self) -> None:
        """A sync has told all; what is missing twice is no gap, but nothing for this user."""
        if not self.ahead:
            return
        if self.stuck_at == self.whole:
            self.reach(max(self.ahead))
        self.stuck_at = self.whole

    def _close_gap(self) -> None:
        while self.whole + 1 in self.ahead:
            self.whole += 1
            self.ahead.discard(self.whole)


@dataclass(slots=True)
class Position:
    """How far one conversation is known."""

    seq: Mark = field(default_factory=Mark)
    rev: Mark = field(default_factory=Mark)


class Positions:
    """All conversations, those that moved last at the end; and the state of the last sync."""

    def __init__(self, saved: SavedPositions | None = None) -> None:
        """Know nothing, or what an earlier client has known."""
        self._known: dict[str, Position] = {}
        self.state: str | None = None
        if saved is not None:
            self.state = saved.get("state")  # that of the JavaScript client may have none
            for conversation_id, known in saved["conversations"].items():
                self._known[conversation_id] = Position(Mark(known["seq"]), Mark(known["rev"]))

    @property
    def has_gaps(self) -> bool:
        """Whether something is missing before what came."""
        return any(mark.ahead for mark in self._marks())

    @property
    def is_known(self) -> bool:
        """Whether there is anything to name to the server."""
        return bool(self._known) or self.state is not None

    def knows(self, conversation_id: str) -> bool:
        """Tell whether the client has had something of a conversation before."""
        position = self._known.get(conversation_id)
        return position is not None and position.rev.whole > 0

    def settle(self) -> None:
        """Take note that a sync has told all."""
        for mark in self._marks():
            mark.settle()

    def save(self) -> SavedPositions:
        """Return what to keep."""
        conversations = {
            conversation_id: {"seq": position.seq, "rev": position.rev}
            for conversation_id, position in self.named().items()
        }
        return {"conversations": conversations, "state": self.state}

    def of(self, conversation_id: str) -> Position:
        """Return how far a conversation is known; it has moved."""
        position = self._known.pop(conversation_id, None) or Position()
        self._known[conversation_id] = position
        return position

    def note_message(self, conversation_id: str, seq: int, rev: int) -> bool:
        """Take a message; tell whether it is new."""
        position = self.of(conversation_id)
        # A message that was changed since comes with the number of that change.
        position.rev.note(rev)
        return position.seq.note(seq)

    def note_change(self, conversation_id: str, rev: int) -> bool:
        """Take a change; tell whether it is new."""
        return self.of(conversation_id).rev.note(rev)

    def reach(self, news: ConversationNews) -> None:
        """Take what a sync told of a conversation: nothing before it is missing."""
        position = self.of(news.conversation_id)
        position.seq.reach(news.seq)
        position.rev.reach(news.rev)

    def forget(self, conversation_id: str) -> None:
        """Know nothing of a conversation."""
        self._known.pop(conversation_id, None)

    def clear(self) -> None:
        """Know nothing of anything."""
        self._known.clear()
        self.state = None

    def named(self) -> dict[str, commands.Position]:
        """Return what a sync names: those that moved last, as many as it may name."""
        known = [one for one in self._known.items() if one[1].rev.whole]
        return {
            conversation_id: commands.Position(seq=position.seq.whole, rev=position.rev.whole)
            for conversation_id, position in known[-MOST_NAMED:]
        }

    def _marks(self) -> Iterator[Mark]:
        for position in self._known.values():
            yield position.seq
            yield position.rev
