r"""From the payload of a frame to a command. Hot path.

Almost every payload is valid and takes the fast path: one decode by msgspec, which validates too.
Whatever that refuses, and whatever holds ``\u0000``, is looked at again without haste: numbers
where ids belong, other spellings, null for absent, and, at last, which error to answer.

Source: docs/protocol.md, "Answers".
"""

import re
from dataclasses import dataclass
from functools import reduce
from json import JSONDecoder
from operator import or_
from typing import Any, NoReturn

import msgspec

from fastchat.errors import AuthRequired, CommandError, InvalidJson, UnknownType, ValidationError
from fastchat.protocol.command import Bounds, Command, find_ids, type_of
from fastchat.protocol.commands import BEFORE_SESSION, COMMANDS, TYPE_SPELLINGS

MOST_DIGITS = 200  # of a whole number that keeps its value; no id is that long
MOST_SHOWN = 32  # characters of a key or type that an error repeats
MAX_REQUEST_ID = 64  # code points
# Without a backslash there is no escape. A number, since that is looked for ten times faster than
# bytes (benchmarks/test_decode.py).
BACKSLASH = ord("\\")

# What PostgreSQL cannot store as text, and UTF-8 cannot hold.
_FORBIDDEN = re.compile("[\0\ud800-\udfff]")
_PLACE = re.compile(r"(?P<what>.*) - at (`key` in )?`\$\.(?P<field>\w+).*`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>\w+)`")
_WORDS = {
    "str": "a string",
    "int": "a whole number",
    "float": "a number with a fraction",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the slow path needs to know of a command."""

    command_type: type[Command]
    ids: tuple[str, ...]  # wire names


class Codec:
    """Decodes commands; one object serves all connections."""

    def __init__(self, bounds: Bounds) -> None:
        """Take what the settings allow."""
        self._bounds = bounds
        union: Any = reduce(or_, COMMANDS)
        self._decode = msgspec.json.Decoder[Command](union).decode
        self._shapes = {
            type_of(command_type): _Shape(command_type, find_ids(command_type))
            for command_type in COMMANDS
        }
        for spelling, tag in TYPE_SPELLINGS.items():
            self._shapes[spelling] = self._shapes[tag]

    def decode(self, payload: bytes) -> Command:
        """Return the command in a payload.

        Args:
            payload: One text message: valid UTF-8.

        Raises:
            InvalidJson: no JSON object, or nested too deeply.
            UnknownType: ``type`` is missing, no string or unknown.
            ValidationError: a field is wrong. ``field`` is its wire name; ``details`` never has
                its value. All three carry the ``request_id``, if there is a valid one.
        """
        try:
            command: Command = self._decode(payload)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return self._decode_slowly(payload, has_session=True)
        if BACKSLASH in payload and b"\\u0000" in payload:
            return self._decode_slowly(payload, has_session=True)
        try:
            command.check(self._bounds)
        except CommandError as error:
            error.request_id = command.request_id
            raise
        return command

    def decode_before_session(self, payload: bytes) -> Command:
        """Return the command of a connection without a session, if it is one of ``BEFORE_SESSION``.

        Raises:
            AuthRequired: any other JSON object, whether it is a valid command or not.
            CommandError: see ``decode``.
        """
        try:
            command: Command = self._decode(payload)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return self._decode_slowly(payload, has_session=False)
        has_escape = BACKSLASH in payload and b"\\u0000" in payload
        if has_escape or not isinstance(command, BEFORE_SESSION):
            return self._decode_slowly(payload, has_session=False)
        return command  # these have nothing to check

    def _decode_slowly(self, payload: bytes, *, has_session: bool) -> Command:
        fields = _parse(payload)
        try:
            shape = self._find_shape(fields, has_session)
            if BACKSLASH in payload:
                _check_text(fields)
            return self._read(fields, shape)
        except CommandError as error:
            error.request_id = _request_id(fields)
            raise

    def _find_shape(self, fields: dict[str, Any], has_session: bool) -> _Shape:
        tag = fields.get("type")
        shape = self._shapes.get(tag) if isinstance(tag, str) else None
        if not has_session and (shape is None or shape.command_type not in BEFORE_SESSION):
            raise AuthRequired
        if shape is None:
            raise UnknownType(_describe_type(fields))
        return shape

    def _read(self, fields: dict[str, Any], shape: _Shape) -> Command:
        fields = {name: value for name, value in fields.items() if value is not None}
        fields["type"] = type_of(shape.command_type)
        for spelling, name in shape.command_type.SPELLINGS.items():
            value = fields.pop(spelling, None)
            if value is not None:
                fields.setdefault(name, value)
        for name in shape.ids:
            if name in fields:
                fields[name] = _take_numbers(fields[name])
        try:
            command = msgspec.convert(fields, shape.command_type)
        except msgspec.ValidationError as error:
            _refuse(str(error))
        command.check(self._bounds)
        return command


def _take_numbers(value: Any) -> Any:
    """Return an id, or a list of ids, whole numbers taken as their decimal text."""
    if isinstance(value, list):
        return [str(each) if type(each) is int else each for each in value]
    return str(value) if type(value) is int else value  # bool is another type


def _parse(payload: bytes) -> dict[str, Any]:
    """Return the JSON object in a payload, its numbers exact and its text unchecked."""
    try:
        value = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        # It refuses lone surrogates and large numbers, too, which are no mistakes in JSON.
        try:
            value = _JSON.decode(payload.decode())
        except (ValueError, RecursionError):
            raise InvalidJson from None
    if not isinstance(value, dict):
        raise InvalidJson
    return value


def _whole(digits: str) -> int:
    # Python takes quadratic time for long numbers and refuses the longest.
    return int(digits[:MOST_DIGITS])


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_JSON = JSONDecoder(parse_int=_whole, parse_constant=_no_constant)


def _check_text(fields: dict[str, Any]) -> None:
    """Refuse what cannot be stored, anywhere, in unknown fields and keys too."""
    for name, value in fields.items():
        waiting = [name, value]
        while waiting:
            found = waiting.pop()
            if isinstance(found, str):
                if _FORBIDDEN.search(found):
                    raise ValidationError(
                        f"The field '{_shown(name)}': U+0000 and lone surrogates are not allowed.",
                        field=_shown(name),
                    )
            elif isinstance(found, dict):
                waiting += found.keys()
                waiting += found.values()
            elif isinstance(found, list):
                waiting += found


def _request_id(fields: dict[str, Any]) -> str | None:
    value = fields.get("requestId")
    if not isinstance(value, str) or len(value) > MAX_REQUEST_ID or _FORBIDDEN.search(value):
        return None
    return value


def _describe_type(fields: dict[str, Any]) -> str:
    if "type" not in fields:
        return "The field 'type' is missing."
    if not isinstance(fields["type"], str):
        return "The field 'type' must be a string."
    return f"The field 'type' names no known command: '{_shown(fields['type'])}'."


def _shown(text: str) -> str:
    """Return text of a client so that an error may repeat it."""
    shown = _FORBIDDEN.sub("\ufffd", text[:MOST_SHOWN])
    return shown if len(text) <= MOST_SHOWN else shown + "…"


def _refuse(reason: str) -> NoReturn:
    """Raise what msgspec found in the words of the wire; it never quotes a value."""
    missing = _MISSING.fullmatch(reason)
    if missing:
        field = missing["field"]
        raise ValidationError(f"The field '{field}' is missing.", field=field)
    place = _PLACE.fullmatch(reason)
    if place is None:
        raise ValidationError
    what = re.sub(r" \| null\b", "", place["what"])
    what = re.sub(r"`(\w+)`", lambda name: _WORDS.get(name[1], name[1]), what)
    what = what[0].lower() + what[1:]
    raise ValidationError(f"The field '{place['field']}': {what}.", field=place["field"])
