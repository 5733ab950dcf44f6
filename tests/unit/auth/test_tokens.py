import json
import traceback
from base64 import urlsafe_b64encode

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastchat.auth.tokens import TokenChecker, TokenClaims, make_token
from fastchat.errors import AuthFailed

SECRET = bytes(range(32))
OTHER = bytes(range(1, 33))
NOW = 1_000_000.0
GOOD = {"sub": "7", "exp": NOW + 60}
CHECKER = TokenChecker(SECRET)


def sign(claims, secret=SECRET, algorithm="HS256", **headers):
    # Lower than PyJWT's encode, which would refuse some of these claims.
    return jwt.api_jws.encode(
        json.dumps(claims).encode(), secret, algorithm=algorithm, headers=headers
    )


def refuse(token):
    """Return what a user is told about his token."""
    with pytest.raises(AuthFailed) as caught:
        CHECKER.check(token, NOW)
    assert caught.value.code == "AUTH_FAILED"
    return caught.value.details


def test_a_good_token_says_who_it_is_for():
    token = sign({**GOOD, "jti": "j", "iat": NOW - 5, "nbf": NOW})
    assert CHECKER.check(token, NOW) == TokenClaims("7", "j", NOW + 60)
    assert CHECKER.check(sign(GOOD), NOW) == TokenClaims("7", None, NOW + 60)


def test_a_token_made_here_is_accepted_here():
    token = make_token(SECRET, "7", 3600, jti="j", now=NOW)
    assert CHECKER.check(token, NOW) == TokenClaims("7", "j", NOW + 3600)
    assert CHECKER.check(make_token(SECRET, "7", 3600)).user_id == "7"


def test_numbers_are_taken_as_their_decimal_text():
    assert CHECKER.check(sign({**GOOD, "sub": 7}), NOW).user_id == "7"
    assert CHECKER.check(sign({**GOOD, "sub": -(2**63)}), NOW).user_id == str(-(2**63))
    assert CHECKER.check(sign({**GOOD, "jti": 5}), NOW).jti == "5"


@pytest.mark.parametrize("text", [" 7", "07", "+7", "\uff17", "é" * 128])
def test_the_text_of_an_id_is_left_as_it_is(text):
    assert CHECKER.check(sign({**GOOD, "sub": text}), NOW).user_id == text


@pytest.mark.parametrize("after", [0.0, 0.5, 1e9])
def test_an_expired_token_is_told_apart(after):
    assert refuse(sign({**GOOD, "exp": NOW - after})) == "Session expired. Please log in again."


def test_a_token_lives_until_the_moment_of_its_expiry():
    assert CHECKER.check(sign({**GOOD, "exp": NOW + 0.001}), NOW)


def test_a_token_of_the_future_is_told_apart():
    assert refuse(sign({**GOOD, "nbf": NOW + 1})) == "The token is not valid yet."


@pytest.mark.parametrize("exp", [None, "later", True, [], 1e300])
def test_a_token_without_a_sensible_expiry_is_refused(exp):
    assert refuse(sign({**GOOD, "exp": exp})) in (
        "The token has no expiry.",
        "The token is malformed.",
    )


@pytest.mark.parametrize(
    "sub", [None, "", 1.5, True, [], {}, "x" * 129, 10**129, "a\0b", "\ud800"], ids=repr
)
def test_a_token_that_names_no_possible_user_is_refused(sub):
    assert refuse(sign({**GOOD, "sub": sub})) == "The token names no user."


@pytest.mark.parametrize("jti", ["", True, [], 1.5, "a\0b", "\ud800"], ids=repr)
def test_a_token_id_that_cannot_be_looked_up_is_refused(jti):
    assert refuse(sign({**GOOD, "jti": jti})) == "The token is malformed."


def test_another_secret_is_refused():
    assert refuse(sign(GOOD, OTHER)) == "The signature of the token is invalid."


@pytest.mark.parametrize("algorithm", ["HS384", "HS512", "none"])
def test_other_algorithms_are_refused(algorithm):
    if algorithm == "none":
        header = urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=")
        claims = urlsafe_b64encode(json.dumps(GOOD).encode()).rstrip(b"=")
        token = f"{header.decode()}.{claims.decode()}."
    else:
        token = jwt.api_jws.encode(json.dumps(GOOD).encode(), SECRET * 2, algorithm=algorithm)
    assert refuse(token) == "The token is malformed."


@pytest.mark.parametrize("token", [None, 5, True, [], {}, b"x", ""], ids=repr)
def test_what_is_no_text_is_refused(token):
    assert refuse(token) == "The token is missing or not a string."


@pytest.mark.parametrize(
    "token",
    ["x", "a.b.c", "..", "é", "\ud800", "\0", "a." * 100, "x" * 1_000_000, sign(GOOD) + "é"],
    ids=lambda token: repr(token[:12]),
)
def test_what_is_no_token_is_malformed(token):
    assert refuse(token) == "The token is malformed."


@pytest.mark.parametrize("claims", ["7", ["sub"], 5, None])
def test_claims_that_are_no_object_are_malformed(claims):
    assert refuse(sign(claims)) == "The token is malformed."


def test_audience_and_issuer_are_the_affair_of_the_backend():
    assert CHECKER.check(sign({**GOOD, "aud": "app", "iss": 5, "iat": NOW + 99}), NOW)


# The last character alone has spare bits, which base64 ignores.
@given(cut=st.integers(2, 100), text=st.text(max_size=5))
def test_no_changed_token_is_accepted_and_nothing_of_it_is_repeated(cut, text):
    token = sign(GOOD)
    changed = token[:-cut] + text
    with pytest.raises(AuthFailed) as caught:
        CHECKER.check(changed, NOW)
    assert changed[:20] not in "".join(traceback.format_exception(caught.value))
