"""``sync_result``: what a user missed, as the bytes of one text frame.

Source: docs/protocol.md, "Catching up".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from fastchat.protocol.events import name_room

_dumps = orjson.dumps


def encode_tombstone(message_id: str, seq: int, rev: int) -> bytes:
    """Encode a message that was deleted for everyone, to be embedded as a changed one."""
    return _dumps({"id": message_id, "seq": seq, "rev": rev, "isDeleted": True})


def encode_conversation_news(
    conversation_id: str,
    *,
    seq: int,
    rev: int,
    messages: Sequence[bytes],
    changed: Sequence[bytes],
    is_complete: bool,
    read_up_to: Mapping[str, int],
    unread_count: int,
    hidden_ids: Sequence[str],
    hidden_seq: int,
    is_hidden: bool,
    group: Mapping[str, Any] | None = None,
    members: Sequence[Mapping[str, Any]] = (),
    is_group: bool = False,
) -> bytes:
    """Encode what is new in one conversation, to be embedded in ``sync_result``.

    Args:
        conversation_id: The conversation, or the group.
        seq: Of the conversation.
        rev: Of the conversation.
        messages: Encoded, the oldest first.
        changed: Older ones that were changed, encoded, or tombstones.
        is_complete: Whether nothing is missing between what the client knew and this.
        read_up_to: Read positions by user.
        unread_count: Messages of others that the reader has not read.
        hidden_ids: Messages that the reader removed for himself.
        hidden_seq: Up to there the reader deleted everything for himself; 0: nothing.
        is_hidden: Whether there is nothing to be seen behind that.
        group: Where it is news, with its members.
        members: Of the group.
        is_group: Whether the conversation is a group.
    """
    rest: dict[str, Any] = {
        "complete": is_complete,
        "readUpTo": read_up_to,
        "unreadCount": unread_count,
        "hiddenIds": hidden_ids,
        "hidden": is_hidden,
    }
    if hidden_seq:
        rest["hiddenUpTo"] = hidden_seq
    if group is not None:
        rest |= {"group": group, "members": members}
    return b"".join(
        (
            _dumps({**name_room(conversation_id, is_group), "seq": seq, "rev": rev})[:-1],
            b',"messages":[',
            b",".join(messages),
            b'],"changed":[',
            b",".join(changed),
            b"],",
            _dumps(rest)[1:],
        )
    )


def encode_left(group_id: str) -> bytes:
    """Encode a group that the reader is no longer in, to be embedded in ``sync_result``."""
    return _dumps(group_id)


def encode_sync_result(
    conversations: Sequence[bytes], left: Sequence[bytes], state: str, next_place: str | None
) -> bytes:
    """Encode ``sync_result``; with ``next_place`` there is more."""
    rest = {"state": state}
    if next_place is not None:
        rest["next"] = next_place
    return b"".join(
        (
            b'{"type":"sync_result","conversations":[',
            b",".join(conversations),
            b'],"left":[',
            b",".join(left),
            b"],",
            _dumps(rest)[1:],
        )
    )
