"""Reading what was missed: after every log-in, and where a live connection has lost something."""

import asyncio

from msgspec import UNSET

from fastchat.client.errors import CommandFailed, ConnectionLost
from fastchat.client.exchange import Exchange
from fastchat.client.link import Link
from fastchat.client.news import News
from fastchat.protocol.commands import Sync
from fastchat.protocol.sync_types import SyncResult

GAP_PATIENCE = 1.0  # seconds that a missing change may be late
TRY_PAUSE = 1.0  # seconds before the next try where the server names none


class CatchingUp:
    """Asks the server with ``sync``, and lets ``News`` tell the answer."""

    def __init__(
        self, news: News, exchange: Exchange, *, first_limit: int, sync_limit: int
    ) -> None:
        """Take what tells, what asks, and how many messages of a conversation an answer may have.

        ``first_limit`` is for a client that knows nothing yet, ``sync_limit`` for every other time.
        """
        self._news = news
        self._exchange = exchange
        self._first_limit = first_limit
        self._sync_limit = sync_limit

    async def finish(self, link: Link) -> None:
        """Read what was missed, in as many tries as it takes on this connection.

        Raises:
            ConnectionLost: it ended before.
        """
        while True:
            try:
                await self._read(link)
            except CommandFailed as error:
                if error.code == "VALIDATION_ERROR" and self._news.positions.is_known:
                    # The server cannot read what was saved: begin as if nothing were known.
                    self._news.positions.clear()
                else:
                    await _wait(link, error.retry_after or TRY_PAUSE)
            else:
                return

    async def fill_gaps(self, link: Link) -> None:
        """Catch up on the live connection, too, when something is missing before what came."""
        while True:
            await self._news.gap.wait()
            # Most often it is on its way.
            await asyncio.sleep(GAP_PATIENCE)
            if not self._news.positions.has_gaps:
                self._news.gap.clear()
                continue
            try:
                await self.finish(link)
            except ConnectionLost:
                return

    async def _read(self, link: Link) -> None:
        positions = self._news.positions
        is_first = positions.state is None
        request = Sync(
            conversations=positions.named(),
            state=positions.state,
            limit=self._first_limit if is_first else self._sync_limit,
        )
        state = None
        while True:
            result = await self._exchange.ask(link, request, SyncResult)
            # That of the first part is that of all.
            state = state or result.state
            if is_first:
                self._news.begin(result)
            else:
                self._news.catch_up(result)
            if result.next is UNSET:
                break
            request.next = result.next
        positions.state = state
        if is_first:
            self._news.tell_first()
        else:
            self._news.release()
        self._news.settle()


async def _wait(link: Link, seconds: float) -> None:
    """Wait, but not beyond the end of a connection."""
    try:
        async with asyncio.timeout(seconds):
            await link.ended()
    except TimeoutError:
        return
    raise ConnectionLost("the connection ended before the answer")
