"""Where the terminal client takes its tokens from."""

import argparse

import pytest

from fastchat.auth.tokens import TokenChecker
from fastchat.cli.chat import token_source
from fastchat.cli.development import development_secrets
from fastchat.cli.secret import jwt_secret
from fastchat.config import ConfigError


def arguments(token=None):
    return argparse.Namespace(as_name="Alice", to="bob", url="ws://x", token=token)


def test_a_given_token_is_used_before_that_of_the_environment():
    environ = {"FASTCHAT_TOKEN": " theirs "}
    assert token_source(arguments("mine"), environ)() == "mine"
    assert token_source(arguments(), environ)() == "theirs"


def test_uses_the_secret_that_a_development_server_has_left(tmp_path):
    environ = {"FASTCHAT_DATA_DIR": str(tmp_path)}
    development_secrets(tmp_path)
    token = token_source(arguments(), environ)()
    secret = jwt_secret(environ | {"NODE_ENV": "development"})
    assert TokenChecker(secret).check(token).user_id == "1"


def test_without_any_secret_says_what_is_missing_and_makes_none(tmp_path):
    with pytest.raises(ConfigError, match="JWT_SECRET"):
        token_source(arguments(), {"FASTCHAT_DATA_DIR": str(tmp_path)})
    assert not list(tmp_path.iterdir())
