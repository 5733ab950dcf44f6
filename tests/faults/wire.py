"""What a device reads of the frames of the server, and how it writes its commands."""

from typing import Any, NamedTuple

import msgspec

LONG = 10_000  # characters of a long message
LONG_MARK = "L"  # at the end of its name


class WireMessage(msgspec.Struct, rename="camel"):
    """A message in an event or in an answer."""

    conversation_id: str
    sender_id: str
    content: str
    seq: int
    rev: int
    client_message_id: str = ""

    @property
    def name(self) -> str:
        """The name that sender and text agree on; else one that nobody has sent."""
        return self.client_message_id if text_of(self.client_message_id) == self.content else ""


class News(msgspec.Struct, rename="camel"):
    """What a ``sync_result`` says of one conversation."""

    conversation_id: str
    seq: int
    rev: int
    messages: list[WireMessage]
    complete: bool
    group_id: str = ""


class Pagination(msgspec.Struct, rename="camel"):
    """Whether there is more of the history."""

    has_more: bool


class Frame(msgspec.Struct, rename="camel"):
    """Any frame of the server; what it does not have is empty."""

    type: str
    request_id: str = ""
    client_message_id: str = ""
    code: str = ""
    message: WireMessage | str = ""
    queued_events: int = -1
    conversations: list[News] = []
    messages: list[WireMessage] = []
    pagination: Pagination | None = None
    left: list[str] = []
    state: str = ""
    next: str = ""


class Target(NamedTuple):
    """Whom messages go to; ``room`` is the id of the conversation."""

    room: str
    command: bytes  # the first part of the JSON
    is_pair: bool

    @classmethod
    def user(cls, user_id: str, own_id: str) -> "Target":
        room = "conv_" + "_".join(sorted((user_id, own_id)))
        command = b'{"type":"send_private_message","recipientId":"%b"' % user_id.encode()
        return cls(room, command, is_pair=True)

    @classmethod
    def group(cls, group_id: str) -> "Target":
        command = b'{"type":"send_group_message","groupId":"%b"' % group_id.encode()
        return cls(group_id, command, is_pair=False)

    def send(self, name: str) -> bytes:
        """The command that sends a message; its answer and an error have the name."""
        text = text_of(name).encode()
        return b'%b,"clientMessageId":"%b","requestId":"%b","content":"%b"}' % (
            self.command,
            name.encode(),
            name.encode(),
            text,
        )


decode = msgspec.json.Decoder(Frame).decode


def encode(**command: Any) -> bytes:
    """Write any other command."""
    return msgspec.json.encode(command)


def text_of(name: str) -> str:
    """The text of a message, by which it is known wherever it turns up."""
    text = f"This is the text of {name}, and of no other message. "
    return text.ljust(LONG, "-") if name.endswith(LONG_MARK) else text
