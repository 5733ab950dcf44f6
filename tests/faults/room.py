"""What a device knows of a conversation."""


class Room:
    """The place up to which it is known without a gap."""

    def __init__(self) -> None:
        self.seq = 0  # it has all up to this one
        self.rev = 0  # as it was at that message
        self._later: dict[int, int] = {}

    def note(self, seq: int, rev: int) -> None:
        """Take one message."""
        if seq > self.seq:
            self._later[seq] = rev
            while (found := self._later.pop(self.seq + 1, None)) is not None:
                self.seq += 1
                self.rev = found

    def note_all(self, seq: int, rev: int) -> None:
        """Take everything up to here."""
        if seq >= self.seq:
            self.seq, self.rev = seq, rev
            self._later = {key: value for key, value in self._later.items() if key > seq}
            self.note(seq, rev)
