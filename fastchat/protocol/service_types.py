"""What the main backend and fastchat say to each other over HTTP.

Bodies of requests are decoded as these Structs; answers and webhooks are written by hand and held
against them by tests. The OpenAPI document is generated from them.

Source: docs/backend-api.md.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from fastchat.protocol.command import MessageId, UserId
from fastchat.protocol.event import Count, Shape, Time
from fastchat.protocol.message_types import Message
from fastchat.protocol.system_types import PersonOnline

# A whole number is taken as its decimal text, as on the rest of the wire.
AnyId = Annotated[str, Meta(min_length=1, max_length=128)] | int
TokenId = Annotated[str, Meta(min_length=1, max_length=8192)] | int
LAST_MOMENT = 253_402_300_799  # the end of the year 9999
Moment = Annotated[
    float, Meta(ge=0, le=LAST_MOMENT, description="seconds since 1970, as `exp` of the token")
]


class SendBody(Shape, kw_only=True):
    """A message to a user or to a group; without a sender it is the system's."""

    sender_id: AnyId | UnsetType = UNSET
    recipient_id: AnyId | UnsetType = UNSET
    group_id: AnyId | UnsetType = UNSET
    content: str
    reply_to_message_id: str | UnsetType = UNSET
    client_message_id: Annotated[
        str | UnsetType,
        Meta(description="A second send with the same one stores nothing; always give one."),
    ] = UNSET
    is_announcement: Annotated[
        bool, Meta(description="In a group: pinned at once; the sender has to be an admin.")
    ] = False


class DisconnectBody(Shape, kw_only=True):
    """Whose connections to close: all, or one."""

    user_id: AnyId
    client_id: str | UnsetType = UNSET


class RevokeBody(Shape):
    """A token that is no longer good, from now on and for ever."""

    jti: TokenId
    expires_at: Annotated[
        Moment | UnsetType, Meta(description="Its expiry; after it the row is cleared away.")
    ] = UNSET


class InvalidateBody(Shape):
    """Whose names or picture changed."""

    user_id: AnyId


class Answer(Shape):
    """What every good answer has."""

    status: Literal["ok"]
    timestamp: Time


class Sent(Answer, kw_only=True):
    """The message, durably stored; ``duplicate``: by an earlier send."""

    message_id: MessageId
    message: Message
    duplicate: Literal[True] | UnsetType = UNSET


class Closed(Answer):
    """How many connections were closed."""

    closed: Count


class Invalidated(Answer):
    """The profile is read anew."""


class Connected(Shape):
    """One connection of a user."""

    client_id: str
    remote_ip: str
    worker: Count
    connected_at: Time
    expires_at: Time


class ConnectionList(Answer):
    """The connections of a user that have authenticated; none: he is offline."""

    user_id: str
    connections: list[Connected]


class Failure(Shape):
    """Why a request was refused."""

    status: Literal["error"]
    code: str
    message: str
    details: str


class OfflineMessage(Shape):
    """A message, and for whom it waits."""

    offline_user_ids: list[UserId]
    message: Message


class PresenceOf(Shape):
    """Who came or went."""

    user: PersonOnline


class Told(Struct, tag_field="type", rename="camel", kw_only=True, forbid_unknown_fields=True):
    """What every webhook has; ``id`` is the same for every try."""

    id: str
    timestamp: Time


class MessageOffline(Told, tag="message.offline"):
    """A message was stored for users without a connection: the moment for a push notification."""

    data: OfflineMessage


class UserOnline(Told, tag="user.online"):
    """A user came: his first connection."""

    data: PresenceOf


class UserOffline(Told, tag="user.offline"):
    """A user went: the grace period after his last connection ended."""

    data: PresenceOf


WEBHOOKS: tuple[type[Told], ...] = (MessageOffline, UserOnline, UserOffline)
