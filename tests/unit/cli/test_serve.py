"""What ``fastchat serve`` says in development before it starts."""

import dataclasses
import re

from fastchat.auth.tokens import TokenChecker
from fastchat.cli.serve import banner
from fastchat.config import load
from tests.unit.config.test_config import DEVELOPMENT, SECRET


def development(**changes):
    return dataclasses.replace(load(DEVELOPMENT | {"JWT_SECRET": SECRET}), **changes)


def test_banner_names_the_url_and_the_commands_to_chat():
    text = banner(development())
    assert "ws://127.0.0.1:3001" in text
    assert "fastchat chat --as alice --to bob\n" in text
    assert "fastchat chat --as bob --to alice\n" in text


def test_commands_name_the_url_when_it_is_not_the_usual_one():
    assert "--to bob --url ws://127.0.0.1:4000\n" in banner(development(port=4000))
    assert "wss://127.0.0.1:3001" in banner(development(tls_cert="x"))


def test_banner_holds_a_valid_token_for_each_demo_user():
    tokens = re.findall(r'"token":"([^"]+)"', banner(development()))
    checker = TokenChecker(bytes(range(48)))
    assert [checker.check(token, None).user_id for token in tokens] == ["1", "2"]
