"""``fastchat checktoken``: is a token valid, and if not, why."""

import argparse
import os
import sys
import time

from fastchat.auth.tokens import TokenChecker
from fastchat.cli.secret import jwt_secret
from fastchat.errors import AuthFailed


def run(args: argparse.Namespace) -> int:
    """Print what the token says, never the token itself.

    Whether it is revoked and whether the user exists only the database knows.
    """
    token = sys.stdin.readline().strip() if args.token == "-" else args.token
    now = time.time()
    try:
        claims = TokenChecker(jwt_secret(os.environ)).check(token, now)
    except AuthFailed as error:
        print(f"not valid: {error.details}")
        return 1
    print(f"valid for {max(0, round(claims.expires_at - now))} s")
    print(f"user id: {_visible(claims.user_id)}")
    print(f"token id (jti): {_visible(claims.jti) if claims.jti else 'none, it cannot be revoked'}")
    return 0


def _visible(text: str) -> str:
    """Claims come from outside: no control characters on the terminal."""
    return text if text.isprintable() else repr(text)
