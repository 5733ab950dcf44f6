"""From a text of the server to a typed event; a later server's additions do no harm.

The Structs of ``protocol`` are exact, so that tests can hold the server against them. A client must
pass over what it does not know: fields are left out and the event is read again, an unknown type or
value gives an ``Unknown``. That is the slow way, which the server of this version never causes.
"""

from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import Any

import msgspec
from msgspec import structs
from msgspec.inspect import DictType, ListType, Metadata, StructType, Type, UnionType, type_info

from fastchat.client.signals import Unknown
from fastchat.protocol.command import type_of
from fastchat.protocol.event import Event
from fastchat.protocol.event_types import EVENTS
from fastchat.protocol.message_types import Message
from fastchat.protocol.sync_types import ConversationNews, Tombstone
from fastchat.protocol.system_types import AuthError, Error, Welcome


class Decoder:
    """Reads events; one object serves all connections."""

    def __init__(self) -> None:
        """Build the tables of all events."""
        self._kinds = {type_of(kind): kind for kind in EVENTS if kind is not Welcome}
        union: Any = reduce(or_, self._kinds.values())
        self._decode: Callable[[bytes], Event] = msgspec.json.Decoder(union).decode

    def decode(self, payload: bytes) -> Event | Unknown:
        """Return the event in a text message.

        Raises:
            ValueError: it is no JSON object with a string ``type``.
        """
        try:
            return self._decode(payload)
        except msgspec.ValidationError:
            return self._decode_slowly(msgspec.json.decode(payload))

    def _decode_slowly(self, fields: Any) -> Event | Unknown:
        tag = fields.get("type") if isinstance(fields, dict) else None
        if not isinstance(tag, str):
            raise ValueError("no JSON object with a string type")
        kind = self._kinds.get(tag)
        if tag == type_of(Welcome) and "requiresAuth" in fields:
            kind = Welcome
        if kind is None:
            return Unknown(tag, fields)
        try:
            return msgspec.convert(_known(fields, type_info(kind)), kind)
        except msgspec.ValidationError:
            pass
        # An error with a code of the future is still the answer to its command.
        if kind in (Error, AuthError) and all(
            isinstance(fields.get(name), str) for name in ("message", "details", "code")
        ):
            names = {field.encode_name: field.name for field in structs.fields(kind)}
            return kind(**{names[name]: fields[name] for name in names.keys() & fields.keys()})
        return Unknown(tag, fields)


def _known(value: Any, info: Type) -> Any:
    """Return a value of the wire without the fields that its type does not have."""
    if isinstance(info, Metadata):
        return _known(value, info.type)
    if isinstance(info, StructType) and isinstance(value, dict):
        return _known_fields(value, info)
    if isinstance(info, ListType) and isinstance(value, list):
        return [_known(one, info.item_type) for one in value]
    if isinstance(info, DictType) and isinstance(value, dict):
        return {name: _known(one, info.value_type) for name, one in value.items()}
    if isinstance(info, UnionType):
        for choice in info.types:
            if not isinstance(choice, StructType) or _is_meant(value, choice):
                value = _known(value, choice)
    return value


def _known_fields(value: dict[str, Any], info: StructType) -> dict[str, Any]:
    types = {field.encode_name: field.type for field in info.fields}
    found = {name: _known(one, types[name]) for name, one in value.items() if name in types}
    if info.tag_field in value:
        found[info.tag_field] = value[info.tag_field]
    if info.cls is ConversationNews and isinstance(value.get("changed"), list):
        found["changed"] = [_known_change(one) for one in value["changed"]]
    return found


def _known_change(value: Any) -> Any:
    """Return a changed message; its type does not say which of two kinds it is."""
    is_gone = isinstance(value, dict) and value.get("isDeleted")
    return _known(value, type_info(Tombstone if is_gone else Message))


def _is_meant(value: Any, info: StructType) -> bool:
    """Tell whether a value is the one of several kinds that this type describes."""
    return info.tag_field is None or (
        isinstance(value, dict) and value.get(info.tag_field) == info.tag
    )
