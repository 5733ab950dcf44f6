"""The demo page: the built files of ``web/``, and in development tokens for its demo users.

The page needs nothing from elsewhere, and may use nothing from elsewhere: its policy allows the
server's own files and connections only.
"""

from functools import partial
from importlib.resources import files

import msgspec
import orjson

from fastchat.auth.demo import is_demo_key
from fastchat.auth.tokens import make_token
from fastchat.store.development import DEMO_USERS
from fastchat.transport.http import Handler, HttpError, HttpRequest, HttpResponse, Routes

PATH = "/demo"
TOKENS_PATH = f"{PATH}/tokens"
TOKEN_LIFETIME = 3600.0  # seconds; the page asks for new ones
FILES = {
    PATH: ("index.html", "text/html; charset=utf-8"),
    f"{PATH}/app.js": ("app.js", "text/javascript; charset=utf-8"),
    f"{PATH}/app.css": ("app.css", "text/css; charset=utf-8"),
    f"{PATH}/icon.svg": ("icon.svg", "image/svg+xml"),
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class KeyOfPage(msgspec.Struct):
    """What the page asks for tokens with."""

    key: str


def make_routes(jwt_secret: bytes | None) -> Routes:
    """Return the table of the page's files.

    Args:
        jwt_secret: Where the demo users exist: signs their tokens for whoever has the key of the
            link. None: users of the page bring tokens of their own.
    """
    routes: dict[str, dict[str, Handler]] = {}
    folder = files("fastchat") / "page"
    for path, (name, content_type) in FILES.items():
        body = (folder / name).read_bytes()
        page = HttpResponse(body=body, content_type=content_type, headers=HEADERS)
        routes[path] = {"GET": partial(_show, page)}
    if jwt_secret is not None:
        routes[TOKENS_PATH] = {"POST": partial(_make_tokens, jwt_secret)}
    return routes


def _show(page: HttpResponse, request: HttpRequest) -> HttpResponse:
    return page


def _make_tokens(jwt_secret: bytes, request: HttpRequest) -> HttpResponse:
    """Sign a token for each demo user.

    Raises:
        HttpError: the body is not the key of the link.
    """
    try:
        key = msgspec.json.decode(request.body, type=KeyOfPage).key
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise HttpError(
            400, "VALIDATION_ERROR", "Validation failed", "Expected an object with a 'key'."
        ) from None
    if not is_demo_key(key, jwt_secret):
        raise HttpError(
            401, "AUTH_FAILED", "Wrong key", "Open the link that the server printed at its start."
        )
    users = [
        {
            "userId": str(number),
            "username": username,
            "displayName": f"{first_name} {last_name}",
            "token": make_token(jwt_secret, str(number), TOKEN_LIFETIME),
        }
        for number, username, first_name, last_name in DEMO_USERS
    ]
    return HttpResponse(body=orjson.dumps({"status": "ok", "users": users}), headers=HEADERS)
