"""What became of an event that other workers were told of."""

import asyncio
from collections.abc import Iterable


class Asked:
    """An event on its way to users of other workers.

    Attributes:
        user_ids: Whom it concerns there.
        missed: Those of them whom no other worker reached, once all have answered.
        there: The users by the ticket of each question.
        timer: Ends the waiting.
    """

    def __init__(self, user_ids: Iterable[str], questions: int) -> None:
        """Take whom it concerns, and how many answers are to come."""
        self.user_ids = frozenset(user_ids)
        self.there: dict[int, list[str]] = {}
        self.timer: asyncio.TimerHandle | None = None
        self.missed: asyncio.Future[frozenset[str]] = asyncio.get_running_loop().create_future()
        self._reached: set[str] = set()
        self._questions = questions

    def answer(self, ticket: int, missed: Iterable[str]) -> None:
        """Take one answer: whom that worker did not reach."""
        self._reached.update(set(self.there[ticket]).difference(missed))
        self._questions -= 1
        if self._questions == 0:
            if self.timer is not None:
                self.timer.cancel()
            if not self.missed.done():
                self.missed.set_result(self.user_ids - self._reached)
