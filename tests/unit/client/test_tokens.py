"""One question at a time to whoever gives tokens."""

import asyncio

import pytest

from fastchat.auth.tokens import make_token
from fastchat.client import TokenUnavailable
from fastchat.client.errors import TokenTrouble
from fastchat.client.tokens import FOREVER, Tokens

SECRET = bytes(48)


async def test_all_who_want_a_token_at_once_get_the_same_one():
    asked = []
    may_answer = asyncio.Event()

    async def source():
        asked.append(1)
        await may_answer.wait()
        return f"token {len(asked)}"

    tokens = Tokens(source)
    waiting = [asyncio.create_task(tokens.refresh()) for _ in range(5)]
    await asyncio.sleep(0)
    waiting.pop().cancel()
    may_answer.set()
    assert await asyncio.gather(*waiting) == ["token 1"] * 4
    assert await tokens.get() == "token 1"
    assert await tokens.refresh() == "token 2"


async def test_a_token_that_was_refused_is_not_used_again():
    answers = iter(["a", "b", "b"])
    tokens = Tokens(lambda: next(answers))
    assert await tokens.get() == "a"
    tokens.refuse()
    assert await tokens.get() == "b"
    tokens.refuse()
    with pytest.raises(TokenUnavailable):
        await tokens.get()


async def test_a_source_that_never_answers_is_not_waited_for():
    tokens = Tokens(asyncio.Event().wait, timeout=0.01)
    with pytest.raises(TokenTrouble):
        await tokens.get()


async def test_a_token_is_replaced_shortly_before_its_end():
    tokens = Tokens(lambda: make_token(SECRET, "1", 3600.0))
    await tokens.get()
    left = tokens.replace_at - asyncio.get_running_loop().time()
    assert 3530 < left < 3541
    tokens = Tokens(lambda: make_token(SECRET, "1", 100.0))
    await tokens.get()
    left = tokens.replace_at - asyncio.get_running_loop().time()
    assert 80 < left < 91


async def test_a_token_whose_end_is_over_is_asked_for_again():
    answers = iter([make_token(SECRET, "1", -5.0), "good"])
    tokens = Tokens(lambda: next(answers))
    await tokens.get()
    assert await tokens.get() == "good"


async def test_of_a_token_that_says_nothing_of_its_end_none_is_known():
    tokens = Tokens(lambda: "opaque")
    await tokens.get()
    assert tokens.replace_at == FOREVER
