"""The check of a token, without the database."""

import pytest

from fastchat.auth.tokens import TokenChecker, make_token
from fastchat.errors import AuthFailed

SECRET = bytes(range(32))
NOW = 1705314600.0


@pytest.fixture
def checker():
    return TokenChecker(SECRET)


def test_check_a_token(benchmark, checker):
    token = make_token(SECRET, "1001", 3600, jti="5b0c2c0e-7f0c-4b8e-9c3f-0a9d5d0f6a11", now=NOW)
    assert benchmark(checker.check, token, NOW).user_id == "1001"


def test_refuse_a_forged_token(benchmark, checker):
    token = make_token(SECRET[::-1], "1001", 3600, now=NOW)

    def refuse():
        try:
            checker.check(token, NOW)
        except AuthFailed as error:
            return error.details

    assert benchmark(refuse) == "The signature of the token is invalid."
