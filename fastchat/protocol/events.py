"""Events and replies, as the bytes of one text frame each. Hot path.

Everything is encoded once, whoever gets it. A message is encoded by itself first; what contains it
takes its bytes. ``with_request_id`` turns an event into the direct answer to one command.

Source: docs/protocol.md. Times are epoch seconds.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import orjson

from fastchat.errors import AuthFailed, CommandError
from fastchat.protocol.times import epoch_millis, iso_time

MAX_REPLY_SIZE = 512 * 1024  # bytes
ROOM_IN_REPLY = MAX_REPLY_SIZE - 8192  # bytes, without what surrounds the messages of a reply

_dumps = orjson.dumps
_NO_REACTIONS: tuple[()] = ()
_PRIVATE_MESSAGES = b'{"type":"private_messages","conversationId":'


class Person(Protocol):
    """What others see of a user."""

    @property
    def user_id(self) -> str:
        """Canonical text of the id."""

    @property
    def username(self) -> str:
        """Login name."""

    @property
    def display_name(self) -> str:
        """Name for people."""


class Account(Person, Protocol):
    """What a user sees of himself."""

    @property
    def email(self) -> str | None:
        """Address, if known."""

    @property
    def first_name(self) -> str | None:
        """First name, if known."""

    @property
    def last_name(self) -> str | None:
        """Last name, if known."""


def with_request_id(payload: bytes, request_id: str | None) -> bytes:
    """Return the event as the direct answer to the command with this id, or as it is for None."""
    if request_id is None:
        return payload
    return b"".join((payload[:-1], b',"requestId":', _dumps(request_id), b"}"))


def with_event_id(payload: bytes, event_id: int) -> bytes:
    """Return a queued event with the id by which its client acknowledges it."""
    return b'%b,"eventId":"%d"}' % (payload[:-1], event_id)


# Connection and authentication


def encode_welcome(client_id: str, now: float) -> bytes:
    """Encode the first event of every connection: ``connected``, still without a user."""
    return _dumps(
        {
            "type": "connected",
            "clientId": client_id,
            "message": "Please authenticate to continue",
            "requiresAuth": True,
            "timestamp": iso_time(now),
        }
    )


def encode_connected(client_id: str, user: Account, queued_events: int, now: float) -> bytes:
    """Encode ``connected``, the answer to a log-in that succeeded."""
    return _dumps(
        {
            "type": "connected",
            "clientId": client_id,
            "user": {
                "id": user.user_id,
                "userId": user.user_id,
                "username": user.username,
                "displayName": user.display_name,
                "email": user.email,
                "firstName": user.first_name,
                "lastName": user.last_name,
            },
            "queuedEvents": queued_events,
            "timestamp": iso_time(now),
        }
    )


def encode_token_refreshed(expires_at: float) -> bytes:
    """Encode ``token_refreshed``, the answer to a newer token on a live session."""
    return _dumps({"type": "token_refreshed", "expiresAt": iso_time(expires_at)})


def encode_auth_error(error: AuthFailed) -> bytes:
    """Encode ``auth_error``, for a log-in that failed and for a session that ended."""
    fields: dict[str, Any] = {
        "type": "auth_error",
        "message": "Token validation failed",
        "details": error.details,
        "code": error.code,
    }
    if error.retry_after is not None:
        fields["retryAfter"] = error.retry_after
    return _dumps(fields)


def encode_server_draining(retry_after: int) -> bytes:
    """Encode ``server_draining``: connect again after these seconds."""
    return _dumps({"type": "server_draining", "retryAfter": retry_after})


def encode_events_acked(count: int) -> bytes:
    """Encode ``events_acked``: so many queued events were not acknowledged before."""
    return b'{"type":"events_acked","count":%d}' % count


# Errors


def encode_error(error: CommandError) -> bytes:
    """Encode ``error``, the answer to a refused command, with the id of its request."""
    fields: dict[str, Any] = {
        "type": "error",
        "message": error.message,
        "details": error.details,
        "code": error.code,
    }
    if error.field is not None:
        fields["field"] = error.field
    if error.retry_after is not None:
        fields["retryAfter"] = error.retry_after
    if error.code == "AUTH_REQUIRED":
        fields["requiresAuth"] = True
    if error.request_id is not None:
        fields["requestId"] = error.request_id
    return _dumps(fields)


def encode_internal_error(error_id: str, request_id: str | None = None) -> bytes:
    """Encode the answer to a command that met a bug; the log tells the rest under this id."""
    event = _dumps(
        {
            "type": "error",
            "message": CommandError.message,
            "details": CommandError.details,
            "code": CommandError.code,
            "errorId": error_id,
        }
    )
    return with_request_id(event, request_id)


def encode_server_full() -> bytes:
    """Encode the last event of a connection beyond ``MAX_CONNECTIONS``."""
    return _dumps(
        {
            "type": "error",
            "message": "Server is full",
            "details": "Too many connections. Please try again later.",
            "code": "MAX_CONNECTIONS_EXCEEDED",
        }
    )


# System


def encode_pong(now: float) -> bytes:
    """Encode ``pong``; its time is a number of milliseconds."""
    return b'{"type":"pong","timestamp":%d}' % epoch_millis(now)


def encode_test_response(now: float) -> bytes:
    """Encode ``test_response``; its time is a number of milliseconds."""
    return _dumps(
        {
            "type": "test_response",
            "message": "Server is responding to test messages",
            "timestamp": epoch_millis(now),
        }
    )


def encode_online_users(users: Iterable[Person]) -> bytes:
    """Encode ``online_users``."""
    listed = [_person(user) for user in users]
    return _dumps({"type": "online_users", "users": listed, "count": len(listed)})


def encode_user_online(user: Person, now: float) -> bytes:
    """Encode ``user_online``."""
    return _presence("user_online", user, now)


def encode_user_offline(user: Person, now: float) -> bytes:
    """Encode ``user_offline``."""
    return _presence("user_offline", user, now)


def encode_presence_changes(online: Sequence[bytes], offline: Sequence[bytes], now: float) -> bytes:
    """Encode ``presence_changes``; the users as ``describe_presence`` returns them."""
    return b'{"type":"presence_changes","online":[%b],"offline":[%b],"timestamp":"%b"}' % (
        b",".join(online),
        b",".join(offline),
        iso_time(now).encode(),
    )


def describe_presence(user: Person) -> bytes:
    """Encode a user whose presence changed, for ``encode_presence_changes``."""
    return _dumps({"id": user.user_id, **_person(user)})


def _presence(event_type: str, user: Person, now: float) -> bytes:
    return _dumps(
        {
            "type": event_type,
            "user": {"id": user.user_id, **_person(user)},
            "timestamp": iso_time(now),
        }
    )


def _person(user: Person) -> dict[str, Any]:
    return {
        "userId": user.user_id,
        "username": user.username,
        "displayName": user.display_name,
    }


# Messages


def encode_message(
    message_id: str,
    conversation_id: str,
    sender_id: str,
    recipient_id: str | None,
    username: str,
    content: str,
    created_at: float,
    seq: int,
    rev: int,
    is_read: bool = False,
    reply_to: str | None = None,
    client_message_id: str | None = None,
    edited_at: float | None = None,
    is_deleted: bool = False,
    is_pinned: bool = False,
    is_announcement: bool = False,
    reactions: Sequence[Any] = _NO_REACTIONS,
    mentions: Sequence[Any] = _NO_REACTIONS,
) -> bytes:
    """Encode one ``message`` object, to be embedded in events; ``username`` is the sender's.

    Without a recipient the conversation is a group.

    With ``is_deleted`` its content, reactions and mentions are left out, whatever was passed.

    A page of messages passes all by position, which is cheaper (benchmarks/test_encode.py).
    """
    fields: dict[str, Any] = {
        "id": message_id,
        "conversationId": conversation_id,
        "senderId": sender_id,
        "groupId" if recipient_id is None else "recipientId": recipient_id or conversation_id,
        "username": username,
        "content": "" if is_deleted else content,
        "timestamp": iso_time(created_at),
        "isRead": is_read,
        "replyToMessageId": reply_to,
        "reactions": _NO_REACTIONS if is_deleted else reactions,
        "seq": seq,
        "rev": rev,
    }
    if client_message_id is not None:
        fields["clientMessageId"] = client_message_id
    if edited_at is not None:
        fields["editedAt"] = iso_time(edited_at)
    if mentions and not is_deleted:
        fields["mentions"] = mentions
    if is_pinned:
        fields["isPinned"] = True
    if is_announcement:
        fields["isAnnouncement"] = True
    if is_deleted:
        fields["isDeleted"] = True
    return _dumps(fields)


# Joining bytes costs a quarter less than orjson.Fragment (benchmarks/test_encode.py). Every text
# goes through orjson all the same: ids may hold quotes.
def encode_message_sent(
    message: bytes,
    message_id: str,
    client_message_id: str | None = None,
    *,
    is_duplicate: bool = False,
) -> bytes:
    """Encode ``message_sent``, the acknowledgement of a stored message."""
    return b"".join(
        (
            b'{"type":"message_sent","messageId":',
            _dumps(message_id),
            b',"message":',
            message,
            b"" if client_message_id is None else b',"clientMessageId":',
            b"" if client_message_id is None else _dumps(client_message_id),
            b',"duplicate":true}' if is_duplicate else b"}",
        )
    )


def encode_new_private_message(message: bytes, message_id: str, conversation_id: str) -> bytes:
    """Encode ``new_private_message``, for the other connections of both users."""
    return b"".join(
        (
            b'{"type":"new_private_message","message":',
            message,
            b',"messageId":',
            _dumps(message_id),
            b',"conversationId":',
            _dumps(conversation_id),
            b"}",
        )
    )


def encode_messages_page(
    conversation_id: str,
    messages: Sequence[bytes],
    *,
    limit: int,
    offset: int,
    has_more: bool,
    is_forward: bool = False,
    is_group: bool = False,
) -> bytes:
    """Encode ``private_messages`` or ``group_messages``, cut to ``MAX_REPLY_SIZE``.

    Args:
        conversation_id: The conversation, or the group.
        messages: Encoded messages, the oldest first.
        limit: As asked for; when the page was cut, the reply says how many there are instead, so
            that ``offset + limit`` is the next page.
        offset: As asked for.
        has_more: Whether there are more in the direction of reading.
        is_forward: Whether the page was read from old to new, so that its end may be cut off
            rather than its beginning.
        is_group: Whether ``group_messages`` was asked for.
    """
    fitting = cut_to_fit(messages, keep_oldest=is_forward)
    is_cut = len(fitting) < len(messages)
    pagination = {
        "limit": len(fitting) if is_cut else limit,
        "offset": offset,
        "hasMore": has_more or is_cut,
    }
    return b"".join(
        (
            b'{"type":"group_messages","groupId":' if is_group else _PRIVATE_MESSAGES,
            _dumps(conversation_id),
            b',"messages":[',
            b",".join(fitting),
            b'],"pagination":',
            _dumps(pagination),
            b"}",
        )
    )


def encode_conversation_started(
    conversation_id: str, participant: Person, is_online: bool, messages: Sequence[bytes]
) -> bytes:
    """Encode ``conversation_started`` with the newest messages that fit, the oldest first."""
    return b"".join(
        (
            b'{"type":"conversation_started","conversationId":',
            _dumps(conversation_id),
            b',"participant":',
            _dumps({**_person(participant), "online": is_online}),
            b',"messages":[',
            b",".join(cut_to_fit(messages)),
            b"]}",
        )
    )


def cut_to_fit(
    messages: Sequence[bytes], *, keep_oldest: bool = False, size: int = ROOM_IN_REPLY
) -> Sequence[bytes]:
    """Return the newest messages (or the oldest) that fit into one reply, but at least one."""
    room = size
    if sum(map(len, messages)) + len(messages) <= room:
        return messages
    count = 0
    for message in messages if keep_oldest else reversed(messages):
        room -= len(message) + 1
        if room < 0 and count:
            break
        count += 1
    return messages[:count] if keep_oldest else messages[-count:]


def name_room(conversation_id: str, is_group: bool) -> dict[str, str]:
    """Return the fields that name a conversation; a group has its id twice."""
    if is_group:
        return {"conversationId": conversation_id, "groupId": conversation_id}
    return {"conversationId": conversation_id}


def encode_message_read(
    message_id: str, conversation_id: str, read_by: str, *, is_group: bool = False
) -> bytes:
    """Encode ``message_read``: this message and all before it were read by this user."""
    return _dumps(
        {
            "type": "message_read",
            "messageId": message_id,
            **name_room(conversation_id, is_group),
            "readBy": read_by,
        }
    )


def encode_message_edited(
    message_id: str,
    conversation_id: str,
    content: str,
    edited_at: float,
    rev: int,
    *,
    is_group: bool = False,
) -> bytes:
    """Encode ``message_edited``."""
    return _dumps(
        {
            "type": "message_edited",
            "messageId": message_id,
            **name_room(conversation_id, is_group),
            "message": {"id": message_id, "content": content, "editedAt": iso_time(edited_at)},
            "rev": rev,
        }
    )


def encode_message_deleted(
    message_id: str, conversation_id: str, rev: int | None, *, is_group: bool = False
) -> bytes:
    """Encode ``message_deleted``; without ``rev`` for oneself only, with it for everyone."""
    fields: dict[str, Any] = {
        "type": "message_deleted",
        "messageId": message_id,
        **name_room(conversation_id, is_group),
        "deleteForEveryone": rev is not None,
    }
    if rev is not None:
        fields["rev"] = rev
    return _dumps(fields)


def encode_user_typing(
    user: Person, is_typing: bool, conversation_id: str, *, is_group: bool = False
) -> bytes:
    """Encode ``user_typing``."""
    return _dumps(
        {
            "type": "user_typing",
            "userId": user.user_id,
            "username": user.username,
            "isTyping": is_typing,
            **name_room(conversation_id, is_group),
        }
    )
