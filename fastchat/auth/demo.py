"""The key in the link to the demo page: whoever has it may be any of the demo users.

It follows from the secret of the tokens, so every worker knows it and no other server takes it.
"""

import base64
import hashlib
import hmac

PURPOSE = b"fastchat demo page"
KEY_BYTES = 18


def demo_key(jwt_secret: bytes) -> str:
    """Return the key, as text for a URL."""
    digest = hmac.digest(jwt_secret, PURPOSE, hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:KEY_BYTES]).decode()


def is_demo_key(key: str, jwt_secret: bytes) -> bool:
    """Tell whether this is the key, in a time that says nothing of it."""
    return hmac.compare_digest(key.encode(errors="replace"), demo_key(jwt_secret).encode())
