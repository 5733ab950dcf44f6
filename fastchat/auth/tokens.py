"""Tokens: what the main backend signs and every session begins with.

HS256 only, signed with the secret that fastchat shares with the backend. The check needs no
database; revocation is asked afterwards, together with the user.
"""

import time
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.types import Options

from fastchat.errors import AuthFailed

MAX_TOKEN_SIZE = 8192  # characters
MAX_ID_LENGTH = 128  # code points
SERVICE = "service"  # the role of the main backend's own tokens
# The times are compared with the caller's clock. Who a token is for is the backend's affair, and it
# may number users and tokens, where PyJWT insists on strings.
OPTIONS: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a valid token says; ``expires_at`` is epoch seconds."""

    user_id: str
    jti: str | None
    expires_at: float


class TokenChecker:
    """Checks signatures and times; one object serves all connections."""

    def __init__(self, secret: bytes) -> None:
        """Take the decoded secret, at least 32 bytes."""
        self._secret = secret
        self._jwt = jwt.PyJWT(options=OPTIONS)

    def check(self, token: object, now: float | None = None) -> TokenClaims:
        """Return the claims of a valid token.

        Args:
            token: Anything a client may have sent.
            now: Epoch seconds; the clock when absent.

        Raises:
            AuthFailed: ``details`` tells expired from not yet valid and from malformed; nothing of
                the token is in it.
        """
        return _read(self._decode(token), time.time() if now is None else now)

    def check_service(self, token: object, now: float | None = None) -> str | None:
        """Return the ``jti``, if there is one, of a valid token of the main backend itself.

        It has ``role: "service"``, and need not name a user. See ``check``.

        Raises:
            AuthFailed: it is not valid, or it is a user's.
        """
        claims = self._decode(token)
        jti = _read_times(claims, time.time() if now is None else now)[1]
        if claims.get("role") != SERVICE:
            raise AuthFailed(f"The token has not the role '{SERVICE}'.")
        return jti

    def _decode(self, token: object) -> dict[str, Any]:
        if not isinstance(token, str) or not token:
            raise AuthFailed("The token is missing or not a string.")
        if len(token) > MAX_TOKEN_SIZE or not token.isascii():
            raise AuthFailed("The token is malformed.")
        try:
            claims: dict[str, Any] = self._jwt.decode(token, self._secret, algorithms=["HS256"])
        except jwt.InvalidSignatureError:
            raise AuthFailed("The signature of the token is invalid.") from None
        except (jwt.PyJWTError, ValueError, RecursionError):
            # PyJWT quotes parts of the token in its messages.
            raise AuthFailed("The token is malformed.") from None
        return claims


def _read(claims: dict[str, Any], now: float) -> TokenClaims:
    expires_at, jti = _read_times(claims, now)
    user_id = _identifier(claims.get("sub"))
    if user_id is None:
        raise AuthFailed("The token names no user.")
    return TokenClaims(user_id, jti, expires_at)


def _read_times(claims: dict[str, Any], now: float) -> tuple[float, str | None]:
    """Return the expiry and the id of a token that is valid now."""
    expires_at = _moment(claims, "exp")
    if expires_at is None:
        raise AuthFailed("The token has no expiry.")
    if expires_at <= now:
        raise AuthFailed("Session expired. Please log in again.")
    not_before = _moment(claims, "nbf")
    if not_before is not None and not_before > now:
        raise AuthFailed("The token is not valid yet.")
    jti = claims.get("jti")
    if jti is not None:
        jti = _identifier(jti, MAX_TOKEN_SIZE)
        if jti is None:
            raise AuthFailed("The token is malformed.")
    return expires_at, jti


def _moment(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
        raise AuthFailed("The token is malformed.")
    return float(value)


def _identifier(value: object, max_length: int = MAX_ID_LENGTH) -> str | None:
    """Text of an id, or None: a string or a whole number, nothing that PostgreSQL cannot store."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**MAX_ID_LENGTH:
        return str(value)
    if not isinstance(value, str) or not 0 < len(value) <= max_length or "\0" in value:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def make_token(
    secret: bytes,
    user_id: str | None,
    expires_in: float,
    *,
    jti: str | None = None,
    role: str | None = None,
    now: float | None = None,
) -> str:
    """Sign a token for a user, or with a role for somebody else, valid for some seconds."""
    issued_at = time.time() if now is None else now
    claims: dict[str, Any] = {"iat": int(issued_at), "exp": int(issued_at + expires_in)}
    if user_id is not None:
        claims["sub"] = user_id
    if jti is not None:
        claims["jti"] = jti
    if role is not None:
        claims["role"] = role
    return jwt.encode(claims, secret, algorithm="HS256")
