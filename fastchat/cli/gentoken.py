"""``fastchat gentoken``: a token for a user, signed with the secret of the environment."""

import argparse
import os

from fastchat.auth.tokens import SERVICE, make_token
from fastchat.cli.secret import jwt_secret


def run(args: argparse.Namespace) -> int:
    """Print one token and nothing else, so that a script can use it."""
    role = SERVICE if args.service else None
    print(make_token(jwt_secret(os.environ), args.user, args.expires, role=role))
    return 0
