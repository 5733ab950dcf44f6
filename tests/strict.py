"""Hold what the server sends against the Structs that define it: nothing missing, nothing more."""

from typing import Any

import msgspec

from fastchat.protocol.command import type_of
from fastchat.protocol.commands import TYPE_SPELLINGS
from fastchat.protocol.event import Event
from fastchat.protocol.event_types import EVENTS, REPLIES
from fastchat.protocol.system_types import Connected, Error, Welcome

KINDS = {type_of(kind): kind for kind in EVENTS}


def kind_of(frame: dict[str, Any]) -> type[Event]:
    """Return the Struct of a decoded frame."""
    kind = KINDS[frame["type"]]
    if kind in (Connected, Welcome):
        return Welcome if "requiresAuth" in frame else Connected
    return kind


def check_event(frame: dict[str, Any]) -> None:
    """Raise for a decoded frame that is not exactly what its Struct says."""
    try:
        msgspec.convert(frame, kind_of(frame))
    except msgspec.ValidationError as error:
        raise AssertionError(f"{error}: {frame}") from None


def check_reply(frame: dict[str, Any], command: object) -> None:
    """Raise for a decoded frame that is no answer to a command of this type, nor an error."""
    replies = (
        REPLIES.get(TYPE_SPELLINGS.get(command, command), ()) if isinstance(command, str) else ()
    )
    if kind_of(frame) not in (*replies, Error):
        raise AssertionError(f"no reply to {command}: {frame}")
