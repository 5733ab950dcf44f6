"""What a chat in the terminal has printed, and the keyboard before it."""

import asyncio


class Screen:
    """The lines a chat has printed, without their times; and the keyboard before it."""

    def __init__(self):
        self.lines = []
        self._news = asyncio.Event()
        self._typed = asyncio.Queue()

    def show(self, line):
        time, _, rest = line.partition(" ")
        self.lines.append(rest if time[:1].isdigit() else line)
        self._news.set()

    def type(self, line):
        """Type a line; None ends the input."""
        self._typed.put_nowait(line)

    async def typed(self):
        while (line := await self._typed.get()) is not None:
            yield line

    async def wait_for(self, text, times=1):
        """Wait until a line with this text was printed."""
        try:
            async with asyncio.timeout(5):
                while sum(text in line for line in self.lines) < times:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"no {text!r} among {self.lines}") from None
