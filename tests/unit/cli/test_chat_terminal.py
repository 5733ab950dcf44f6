"""Lines in, harmless texts out."""

import asyncio
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastchat.cli.terminal import read_lines, visible, visible_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ✓ äöü 你好 👩‍👩‍👧", "plain ✓ äöü 你好 👩‍👩‍👧"),
        ("\x1b[2Jgone", "␛[2Jgone"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("\x9b31m", "\N{REPLACEMENT CHARACTER}31m"),
        ("a\rb\x00\x7f", "a␍b␀\N{REPLACEMENT CHARACTER}"),
        ("\u202eback\u2028", "\N{REPLACEMENT CHARACTER}back\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_escape_sequences_are_shown_and_not_obeyed(text, shown):
    assert visible(text) == shown


@given(st.text())
def test_no_control_character_ever_reaches_the_terminal(text):
    assert not any(character < " " or "\x7f" <= character <= "\x9f" for character in visible(text))


def test_a_line_break_in_a_message_cannot_fake_another_message():
    assert visible_lines("a\n12:00 bob: b\r\nc\td") == "a\n      12:00 bob: b\n      c    d"


async def collect(descriptor):
    async with asyncio.timeout(5):
        return [line async for line in read_lines(descriptor)]


async def test_reads_the_lines_of_a_file_even_when_the_last_one_has_no_end(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b"one\n\ntwo")
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert await collect(descriptor) == ["one", "", "two"]
    finally:
        os.close(descriptor)


async def test_a_character_may_arrive_in_two_pieces():
    reading, writing = os.pipe()
    lines = read_lines(reading)
    first = asyncio.ensure_future(anext(lines))
    os.write(writing, b"x\xc3")
    await asyncio.sleep(0)
    os.write(writing, b"\xa4\n")
    os.close(writing)
    async with asyncio.timeout(5):
        assert await first == "xä"
        assert [line async for line in lines] == []
    os.close(reading)
