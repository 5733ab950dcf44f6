"""Is everything there, once, and in order? Kept per receiver and conversation."""

from dataclasses import dataclass, field

from fastchat.bench.peer import SeenMessage


@dataclass(slots=True)
class _Seen:
    lowest: int
    highest: int
    gaps: set[int] = field(default_factory=set)  # between them, not come yet
    read: set[int] = field(default_factory=set)  # came from the history, perhaps live as well


@dataclass(slots=True)
class Tally:
    """What came to whom. ``seq`` of a conversation has no gaps, so what is missing shows."""

    duplicated: int = 0
    out_of_order: int = 0
    _seen: dict[str, dict[str, _Seen]] = field(default_factory=dict)

    def note(self, receiver: str, message: SeenMessage) -> bool:
        """A message came to a receiver; false when it was there before.

        Which is the first that is to come nobody knows: what a peer is told of its own message may
        overtake others that another worker tells, so what is below the first one is out of order
        and no duplicate.
        """
        seen = self._find(receiver, message)
        if message.seq == seen.highest + 1:
            seen.highest = message.seq
        elif message.seq > seen.highest:
            seen.gaps.update(range(seen.highest + 1, message.seq))
            seen.highest = message.seq
        elif message.seq in seen.gaps:
            seen.gaps.discard(message.seq)
            self.out_of_order += 1
        elif message.seq < seen.lowest:
            seen.gaps.update(range(message.seq + 1, seen.lowest))
            seen.lowest = message.seq
            self.out_of_order += 1
        elif message.seq in seen.read:
            seen.read.discard(message.seq)
            return False
        else:
            self.duplicated += 1
            return False
        return True

    def note_missed(self, receiver: str, message: SeenMessage) -> None:
        """A message came from the history, because its receiver was away."""
        seen = self._find(receiver, message)
        if message.seq > seen.highest:
            seen.gaps.update(range(seen.highest + 1, message.seq))
            seen.highest = message.seq
        elif message.seq < seen.lowest:
            seen.gaps.update(range(message.seq + 1, seen.lowest))
            seen.lowest = message.seq
        elif message.seq not in seen.gaps:
            return
        seen.gaps.discard(message.seq)
        seen.read.add(message.seq)

    def known(self, receiver: str) -> dict[str, int]:
        """Return up to where a receiver knows each of his conversations without a gap."""
        return {
            conversation_id: min(seen.gaps) - 1 if seen.gaps else seen.highest
            for conversation_id, seen in self._seen.get(receiver, {}).items()
        }

    def _find(self, receiver: str, message: SeenMessage) -> _Seen:
        conversations = self._seen.setdefault(receiver, {})
        seen = conversations.get(message.conversation_id)
        if seen is None:
            seen = conversations[message.conversation_id] = _Seen(message.seq, message.seq - 1)
        return seen

    @property
    def lost(self) -> int:
        """How many messages are missing below one that came."""
        return sum(
            len(seen.gaps)
            for conversations in self._seen.values()
            for seen in conversations.values()
        )

    def report(self) -> dict[str, int]:
        """Return the three figures that should be 0."""
        return {
            "lost": self.lost,
            "duplicated": self.duplicated,
            "out of order": self.out_of_order,
        }
