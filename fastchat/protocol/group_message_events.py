"""Events about the messages of groups, as the bytes of one text frame each. Hot path.

Source: docs/protocol.md, "Groups".
"""

import orjson

from fastchat.protocol.events import Person

_dumps = orjson.dumps


def encode_group_message_sent(
    message: bytes,
    message_id: str,
    client_message_id: str | None = None,
    *,
    is_duplicate: bool = False,
    is_announcement: bool = False,
) -> bytes:
    """Encode ``group_message_sent`` or ``announcement_sent``, the acknowledgement of its sender."""
    kind = b"announcement_sent" if is_announcement else b"group_message_sent"
    return b"".join(
        (
            b'{"type":"',
            kind,
            b'","messageId":',
            _dumps(message_id),
            b',"message":',
            message,
            b"" if client_message_id is None else b',"clientMessageId":',
            b"" if client_message_id is None else _dumps(client_message_id),
            b',"duplicate":true}' if is_duplicate else b"}",
        )
    )


def encode_new_group_message(message: bytes, message_id: str, group_id: str) -> bytes:
    """Encode ``new_group_message``, for every member but the connection that sent it."""
    quoted = _dumps(group_id)
    return b"".join(
        (
            b'{"type":"new_group_message","message":',
            message,
            b',"messageId":',
            _dumps(message_id),
            b',"groupId":',
            quoted,
            b',"conversationId":',
            quoted,
            b"}",
        )
    )


def encode_mentioned_in_group(
    message: bytes, message_id: str, group_id: str, mentioned_by: Person
) -> bytes:
    """Encode ``mentioned_in_group``, for every member who is named in the message."""
    fields = {
        "type": "mentioned_in_group",
        "messageId": message_id,
        "groupId": group_id,
        "conversationId": group_id,
        "message": orjson.Fragment(message),
        "mentionedBy": mentioned_by.user_id,
        "mentionedByUsername": mentioned_by.username,
    }
    return _dumps(fields)
