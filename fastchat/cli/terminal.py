"""The terminal: lines in without blocking the event loop, texts of others out without harm."""

import asyncio
import codecs
import contextlib
import os
import unicodedata
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError
from threading import Thread

JOINERS = "\u200c\u200d"  # emoji and several scripts need them; they move no text


async def read_lines(descriptor: int) -> AsyncIterator[str]:
    """Yield the lines of a terminal, a pipe or a file, one at a time.

    A thread reads, since an event loop cannot wait for a file. It takes the descriptor itself:
    a thread blocked inside ``sys.stdin`` would hold its lock when the interpreter ends.
    """
    queue: asyncio.Queue[str | None] = asyncio.Queue(maxsize=1)
    loop = asyncio.get_running_loop()

    def read() -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        rest = ""
        # The loop may be gone by the time a line comes.
        with contextlib.suppress(RuntimeError, CancelledError, OSError):
            while data := os.read(descriptor, 65536):
                *lines, rest = (rest + decoder.decode(data)).split("\n")
                for line in lines:
                    asyncio.run_coroutine_threadsafe(queue.put(line), loop).result()
            for last in (rest, None) if rest else (None,):
                asyncio.run_coroutine_threadsafe(queue.put(last), loop).result()

    Thread(target=read, daemon=True).start()
    while (line := await queue.get()) is not None:
        yield line


def visible(text: str) -> str:
    """Make a text of others harmless for the terminal, on one line.

    Control characters start the escape sequences of terminals; direction marks and separators can
    make a line look like another. Each is shown as a symbol.
    """
    return "".join(
        character if _is_harmless(character) else _symbol(character) for character in text
    )


def visible_lines(text: str) -> str:
    """Like ``visible``, but a line break stays one; the indent tells it from a new message."""
    lines = text.replace("\r\n", "\n").replace("\t", "    ").split("\n")
    return "\n      ".join(map(visible, lines))


def _is_harmless(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp") or (
        character in JOINERS
    )


def _symbol(character: str) -> str:
    return chr(0x2400 + ord(character)) if character < " " else "\N{REPLACEMENT CHARACTER}"
