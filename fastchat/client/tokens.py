"""Tokens: one question at a time to whoever gives them, however many want one."""

import asyncio
import base64
import inspect
import json
import time
from collections.abc import Awaitable, Callable

from fastchat.client.errors import TokenTrouble, TokenUnavailable

TokenSource = Callable[[], str | Awaitable[str]]

MARGIN = 60.0  # seconds before its end that a token is replaced, at most
SHARE = 0.1  # of what is left of it, likewise
FETCH_TIMEOUT = 10.0  # seconds that the source has
FOREVER = float("inf")


class Tokens:
    """Keeps the token that is good, and asks for the next one in time."""

    def __init__(self, source: TokenSource, timeout: float = FETCH_TIMEOUT) -> None:
        """Take a function, or a coroutine function, that returns a token, and its seconds."""
        self._source = source
        self._timeout = timeout
        self._token: str | None = None
        self._refused: str | None = None
        self._flight: asyncio.Task[str] | None = None
        self.replace_at = 0.0  # by the clock of the loop; infinity: nobody knows

    async def get(self) -> str:
        """Return a token that was not refused; it may be one that was used before.

        Raises:
            TokenUnavailable: the source says so, or gave the one that was refused.
            TokenTrouble: the source failed.
        """
        is_good = asyncio.get_running_loop().time() < self.replace_at
        return self._token if self._token is not None and is_good else await self.refresh()

    async def refresh(self) -> str:
        """Return a new token; those who ask while it is on its way get the same one.

        Raises:
            TokenUnavailable: see ``get``.
        """
        if self._flight is None:
            self._flight = asyncio.create_task(self._fetch())
            self._flight.add_done_callback(self._land)
        return await asyncio.shield(self._flight)

    def refuse(self) -> None:
        """Forget the token: the server does not take it, or not any more."""
        if self._token is not None:
            self._refused, self._token = self._token, None

    def close(self) -> None:
        """Ask no more."""
        if self._flight is not None:
            self._flight.cancel()

    def _land(self, flight: asyncio.Task[str]) -> None:
        self._flight = None
        if not flight.cancelled():
            flight.exception()  # whoever waited has it; perhaps nobody does any more

    async def _fetch(self) -> str:
        try:
            async with asyncio.timeout(self._timeout):
                found = self._source()
                token = await found if inspect.isawaitable(found) else found
        except TokenUnavailable:
            raise
        except Exception as error:
            # What he says may hold secrets.
            raise TokenTrouble(f"no token: {type(error).__name__}") from error
        if token == self._refused:
            raise TokenUnavailable("the token was refused, and there is no other one")
        left = max(0.0, _seconds_left(token))
        now = asyncio.get_running_loop().time()
        self.replace_at = now + left - min(MARGIN, SHARE * left) if left < FOREVER else FOREVER
        self._token = token
        return token


def _seconds_left(token: str) -> float:
    """Return how long a token is valid by the clock of this machine; infinity if unknown."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"]) - time.time()
    except (LookupError, TypeError, ValueError):
        return FOREVER
