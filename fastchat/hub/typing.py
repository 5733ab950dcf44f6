"""Who is writing where; a state that nobody renews is switched off."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

SILENCE = 3.0  # seconds; docs/protocol.md, "typing"

K = TypeVar("K", bound=Hashable)


class TypingStates(Generic[K]):
    """The keys that are switched on, each until ``silence`` seconds after it was renewed last."""

    def __init__(self, switch_off: Callable[[K], None], silence: float = SILENCE) -> None:
        """Take what tells others that a state ended by itself."""
        self._switch_off = switch_off
        self._silence = silence
        self._deadlines: dict[K, float] = {}  # the one that ends first comes first

    def __len__(self) -> int:
        return len(self._deadlines)

    @property
    def next_deadline(self) -> float | None:
        """When the first state ends unless it is renewed, None when there is none."""
        return next(iter(self._deadlines.values()), None)

    def switch_on(self, key: K, now: float) -> None:
        """Begin or renew a state."""
        self._deadlines.pop(key, None)
        self._deadlines[key] = now + self._silence

    def forget(self, key: K) -> bool:
        """End a state without telling anybody; tell whether it was on."""
        return self._deadlines.pop(key, None) is not None

    def sweep(self, now: float) -> int:
        """Switch off what was not renewed in time; return how many."""
        ended = 0
        while self._deadlines:
            key, deadline = next(iter(self._deadlines.items()))
            if deadline > now:
                break
            del self._deadlines[key]
            self._switch_off(key)
            ended += 1
        return ended
