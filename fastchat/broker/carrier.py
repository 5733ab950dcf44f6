"""The border between what workers tell each other and what carries it."""

from collections.abc import Callable
from typing import NamedTuple, Protocol


class Callbacks(NamedTuple):
    """What a carrier calls; nothing of it raises."""

    on_frame: Callable[[bytes], None]
    on_up: Callable[[], None]  # it works, or works again; frames may have been lost before
    on_down: Callable[[str], None]  # it does not work; why
    on_ended: Callable[[str], None]  # the worker of that name is certainly gone


class Carrier(Protocol):
    """Takes frames to other workers: at most once, in their order for each pair of workers."""

    @property
    def is_up(self) -> bool:
        """Whether it works, as far as known."""

    async def open(self) -> None:
        """Begin; returns when it works, or when the first try has failed."""

    def send(self, to: str, frame: bytes) -> bool:
        """Take a frame for one worker without waiting; False: it will not get there."""

    def send_to_all(self, frame: bytes) -> bool:
        """Take a frame for every other worker, known or not."""

    async def close(self) -> None:
        """End; what was taken still goes out, within a second."""


OpenCarrier = Callable[[str, Callbacks], Carrier]
