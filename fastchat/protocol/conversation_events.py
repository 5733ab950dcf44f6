"""Events about reactions, pins and conversations as a whole, as the bytes of one text frame each.

Source: docs/protocol.md.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from fastchat.protocol.events import Person, cut_to_fit, name_room

_dumps = orjson.dumps


def encode_reaction_added(
    message_id: str,
    conversation_id: str,
    user: Person,
    reaction: str,
    rev: int,
    *,
    is_group: bool = False,
) -> bytes:
    """Encode ``reaction_added``; it replaces another one of the same user."""
    return _dumps(
        {
            "type": "reaction_added",
            "messageId": message_id,
            **name_room(conversation_id, is_group),
            "reaction": {
                "userId": user.user_id,
                "username": user.username,
                "reaction": reaction,
            },
            "rev": rev,
        }
    )


def encode_reaction_removed(
    message_id: str, conversation_id: str, user_id: str, rev: int, *, is_group: bool = False
) -> bytes:
    """Encode ``reaction_removed``."""
    return _dumps(
        {
            "type": "reaction_removed",
            "messageId": message_id,
            **name_room(conversation_id, is_group),
            "userId": user_id,
            "rev": rev,
        }
    )


def encode_message_pinned(
    message_id: str,
    conversation_id: str,
    pinned_by: str,
    rev: int,
    *,
    is_pinned: bool = True,
    is_group: bool = False,
) -> bytes:
    """Encode ``message_pinned`` or ``message_unpinned``; ``pinned_by`` is who did it."""
    return _dumps(
        {
            "type": "message_pinned" if is_pinned else "message_unpinned",
            "messageId": message_id,
            **name_room(conversation_id, is_group),
            "pinnedBy": pinned_by,
            "rev": rev,
        }
    )


def encode_pinned_messages(
    conversation_id: str, messages: Sequence[bytes], *, is_group: bool = False
) -> bytes:
    """Encode ``pinned_messages``: the newest that fit into one reply, the oldest first."""
    return b"".join(
        (
            _dumps({"type": "pinned_messages", **name_room(conversation_id, is_group)})[:-1],
            b',"messages":[',
            b",".join(cut_to_fit(messages)),
            b"]}",
        )
    )


def encode_conversation_deleted(conversation_id: str) -> bytes:
    """Encode ``conversation_deleted``, for one's own connections."""
    return _dumps({"type": "conversation_deleted", "conversationId": conversation_id})


def describe_participant(user_id: str, person: Person | None) -> dict[str, Any]:
    """Return who the other one in a conversation is; one whom nobody knows by his id."""
    return {
        "participant": {
            "userId": user_id,
            "username": user_id if person is None else person.username,
            "displayName": user_id if person is None else person.display_name,
        }
    }


def describe_listed_group(group_id: str, name: str, member_count: int) -> dict[str, Any]:
    """Return what a list shows of a group."""
    return {"group": {"groupId": group_id, "groupName": name, "memberCount": member_count}}


def encode_conversation(
    conversation_id: str,
    partner: dict[str, Any],
    last_message: bytes,
    unread_count: int,
    seq: int,
    rev: int,
) -> bytes:
    """Encode one entry of ``conversations``.

    ``partner`` comes from ``describe_participant`` or ``describe_listed_group``.
    """
    fields: dict[str, Any] = {
        "conversationId": conversation_id,
        **partner,
        "lastMessage": orjson.Fragment(last_message),
        "unreadCount": unread_count,
        "seq": seq,
        "rev": rev,
    }
    return _dumps(fields)


def encode_conversations(entries: Sequence[bytes], *, limit: int, has_more: bool) -> bytes:
    """Encode ``conversations``, the newest first, cut to the size of a reply."""
    fitting = cut_to_fit(entries, keep_oldest=True)  # those at the front
    is_cut = len(fitting) < len(entries)
    pagination = {"limit": len(fitting) if is_cut else limit, "hasMore": has_more or is_cut}
    return b"".join(
        (
            b'{"type":"conversations","conversations":[',
            b",".join(fitting),
            b'],"pagination":',
            _dumps(pagination),
            b"}",
        )
    )
