"""The pages that clients ask for over HTTP: their conversations, and pictures.

The token is checked as that of a session is. Every answer is made within five seconds and is at
most 512 KiB.

Source: docs/protocol.md, "HTTP".
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import orjson

from fastchat.errors import (
    AuthFailed,
    AuthRequired,
    CommandError,
    ServiceUnavailable,
    ValidationError,
)
from fastchat.handlers.authentication import Authentication
from fastchat.handlers.history import describe_partners
from fastchat.handlers.rows import RowEncoder
from fastchat.protocol.events import cut_to_fit
from fastchat.protocol.times import iso_time
from fastchat.store.conversation_list import ConversationEntry, ConversationList
from fastchat.store.pictures import COMMUNITY, USER, Owner, Pictures
from fastchat.store.users import Users
from fastchat.transport.http import HttpRequest, HttpResponse, Routes, error_response

PATHS = ("/api/conversations", "/api/profile-pictures/batch")
DEADLINE = 5.0  # seconds for one answer
CONVERSATIONS = 50  # on a page, where nothing else is asked for
MOST_CONVERSATIONS = 200
MOST_ITEMS = 50
MAX_ID_LENGTH = 128  # code points

_BEARER = re.compile(r"Bearer +([^ ]+) *", re.IGNORECASE)  # RFC 6750, section 2.1
_WHOLE = re.compile(r"[0-9]+")
_MOST_DIGITS = 18  # of a number that is not "more than there can be"
STATUS = {
    "VALIDATION_ERROR": 400,
    "AUTH_REQUIRED": 401,
    "AUTH_FAILED": 401,
    "USER_BLOCKED": 403,
    "PERMISSION_DENIED": 403,
    "RESOURCE_NOT_FOUND": 404,
    "INTERNAL_ERROR": 500,
    "SERVICE_UNAVAILABLE": 503,
}

Answer = Callable[[str, HttpRequest], Awaitable[bytes]]  # user id, request → body


def make_routes(
    authentication: Authentication,
    conversations: ConversationList,
    pictures: Pictures,
    users: Users,
    encoder: RowEncoder,
    *,
    wall_clock: Callable[[], float] = time.time,
) -> Routes:
    """Return the table of pages."""
    pages = Pages(conversations, pictures, users, encoder, wall_clock)

    def for_users(answer: Answer) -> Callable[[HttpRequest], Awaitable[HttpResponse]]:
        async def respond(request: HttpRequest) -> HttpResponse:
            try:
                async with asyncio.timeout(DEADLINE):
                    user_id = await _identify(authentication, request)
                    return HttpResponse(body=await answer(user_id, request))
            except TimeoutError:
                return refuse(ServiceUnavailable(_TRY_AGAIN))
            except AuthFailed as error:
                return refuse_token(error)
            except CommandError as error:
                return refuse(error)

        return respond

    return {
        "/api/conversations": {"GET": for_users(pages.list_conversations)},
        "/api/profile-pictures/batch": {"POST": for_users(pages.find_pictures)},
    }


class Pages:
    """Makes the bodies of answers to a known user."""

    def __init__(
        self,
        conversations: ConversationList,
        pictures: Pictures,
        users: Users,
        encoder: RowEncoder,
        wall_clock: Callable[[], float],
    ) -> None:
        """Take the neighbours."""
        self._conversations = conversations
        self._pictures = pictures
        self._users = users
        self._encoder = encoder
        self._wall_clock = wall_clock

    async def list_conversations(self, user_id: str, request: HttpRequest) -> bytes:
        """Show one page of the user's conversations, the newest first.

        ``count`` may be less than asked for although more follow: the answer was full.
        """
        limit = _whole_number(request.query, "limit", CONVERSATIONS, least=1)
        limit = min(limit, MOST_CONVERSATIONS)
        offset = _whole_number(request.query, "offset", 0, least=0)
        page = await self._conversations.page(user_id, limit, offset=offset)
        partners = await describe_partners(page.entries, user_id, self._users)
        encoded = [
            self._encode(entry, partner)
            for entry, partner in zip(page.entries, partners, strict=True)
        ]
        shown = cut_to_fit(encoded, keep_oldest=True)
        return orjson.dumps(
            {
                "status": "ok",
                "conversations": [orjson.Fragment(entry) for entry in shown],
                "pagination": {"limit": limit, "offset": offset, "count": len(shown)},
                "timestamp": iso_time(self._wall_clock()),
            }
        )

    async def find_pictures(self, user_id: str, request: HttpRequest) -> bytes:
        """Tell where the pictures of users and communities are, in the order of the question."""
        owners = _read_owners(request.body)
        found = await self._pictures.find_many(owners)
        return orjson.dumps(
            {
                "status": "ok",
                "items": [_describe(owner, found[owner]) for owner in owners],
                "timestamp": iso_time(self._wall_clock()),
            }
        )

    def _encode(self, entry: ConversationEntry, partner: dict[str, Any]) -> bytes:
        room, last = entry.room, entry.last_message
        content = self._encoder.open(last, room.conversation_id)
        partner.get("participant", {}).pop("displayName", None)
        return orjson.dumps(
            {
                "conversationId": room.conversation_id,
                **partner,
                "lastMessage": {
                    "id": last.message_id(room.room_id),
                    "content": content,
                    "timestamp": iso_time(last.created_at),
                },
                "unreadCount": entry.unread_count,
            }
        )


async def _identify(authentication: Authentication, request: HttpRequest) -> str:
    """Return the user of the request's token.

    Raises:
        AuthRequired: there is none.
        AuthFailed: it is not good.
    """
    _, profile = await authentication.check_token(read_bearer(request))
    return profile.user_id


def read_bearer(request: HttpRequest) -> str:
    """Return the token of a request, whatever it is worth.

    Raises:
        AuthRequired: there is none.
    """
    bearer = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    if bearer is None:
        raise AuthRequired("Expected the header 'Authorization: Bearer <token>'.")
    return bearer[1]


def _whole_number(query: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if _WHOLE.fullmatch(text):
        number = int(text) if len(text) <= _MOST_DIGITS else 10**_MOST_DIGITS
        if number >= least:
            return number
    raise ValidationError(f"The parameter '{name}': expected a whole number, at least {least}.")


def _read_owners(body: bytes) -> list[Owner]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise ValidationError("Expected one JSON object as the body.") from None
    items = value.get("items") if isinstance(value, dict) else None
    if not isinstance(items, list):
        raise ValidationError("The field 'items': expected a list of objects.")
    if len(items) > MOST_ITEMS:
        raise ValidationError(f"The field 'items': expected at most {MOST_ITEMS} items.")
    return [_read_owner(item) for item in items]


def _read_owner(item: Any) -> Owner:
    kind, text = (item.get("type"), item.get("id")) if isinstance(item, dict) else (None, None)
    if kind not in (USER, COMMUNITY):
        raise ValidationError(f"The field 'items': expected the type '{USER}' or '{COMMUNITY}'.")
    if type(text) is int:  # bool is another type
        text = str(text)
    if not isinstance(text, str) or not 0 < len(text) <= MAX_ID_LENGTH or "\0" in text:
        raise ValidationError(
            f"The field 'items': expected an id of 1 to {MAX_ID_LENGTH} characters without NUL."
        )
    return Owner(kind, text)


def _describe(owner: Owner, url: str | None) -> dict[str, str | bool]:
    shown: dict[str, str | bool] = {
        "type": owner.kind,
        "id": owner.id,
        "hasPicture": url is not None,
        "default": url is None,
    }
    if url is not None:
        shown["url"] = url
    return shown


_TRY_AGAIN = "The answer could not be found in time. Please try again."


def refuse(error: CommandError) -> HttpResponse:
    """Make the answer to a request that was refused."""
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, AuthRequired):
        headers["WWW-Authenticate"] = "Bearer"  # RFC 6750, section 3
    details = _TRY_AGAIN if isinstance(error, ServiceUnavailable) else error.details
    return error_response(STATUS[error.code], error.code, error.message, details, headers)


def refuse_token(error: AuthFailed) -> HttpResponse:
    """Make the answer to a request whose token is not good, or could not be checked."""
    if error.code == ServiceUnavailable.code:
        return refuse(ServiceUnavailable(retry_after=error.retry_after or 1))
    headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    return error_response(401, error.code, "Token validation failed", error.details, headers)
