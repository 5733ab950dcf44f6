"""What the server should do, as plain Python: who may do what, and what each user sees.

Every method takes what a client would send and returns the code that the server should answer, or
None where it should agree; then it has changed the model.
"""

from dataclasses import dataclass, field

NOT_FOUND = "RESOURCE_NOT_FOUND"
DENIED = "PERMISSION_DENIED"
BLOCKED = "USER_BLOCKED"


@dataclass
class Message:
    seq: int
    sender: str
    content: str
    message_id: str
    reactions: dict[str, str] = field(default_factory=dict)
    removed_by: set[str] = field(default_factory=set)
    is_deleted: bool = False
    is_pinned: bool = False


@dataclass
class Room:
    """A conversation, or a group with a role for each member."""

    room_id: str
    members: dict[str, str]
    is_group: bool = False
    is_gone: bool = False
    messages: list[Message] = field(default_factory=list)
    read: dict[str, int] = field(default_factory=dict)
    hidden: dict[str, int] = field(default_factory=dict)
    last_at: int = 0

    def other(self, user: str) -> str:
        return next(member for member in self.members if member != user)

    def visible(self, user: str) -> list[Message]:
        return [
            message
            for message in self.messages
            if not message.is_deleted
            and user not in message.removed_by
            and message.seq > self.hidden.get(user, 0)
        ]

    def unread(self, user: str) -> int:
        return sum(
            message.sender != user and message.seq > self.read.get(user, 0)
            for message in self.visible(user)
        )


class Model:
    def __init__(self) -> None:
        self.rooms: list[Room] = []
        self.blocks: set[frozenset[str]] = set()
        self.clock = 0

    def is_blocked(self, one: str, other: str) -> bool:
        return frozenset((one, other)) in self.blocks

    def between(self, one: str, other: str) -> Room | None:
        for room in self.rooms:
            if not room.is_group and set(room.members) == {one, other}:
                return room
        return None

    def may_send(self, room: Room | None, user: str, other: str | None) -> str | None:
        if other is not None:
            return BLOCKED if self.is_blocked(user, other) else None
        assert room is not None
        return None if user in room.members else NOT_FOUND

    def add(self, room: Room, user: str, content: str, message_id: str) -> None:
        self.clock += 1
        room.last_at = self.clock
        room.messages.append(Message(len(room.messages) + 1, user, content, message_id))

    def touch(self, room: Room, message: Message, user: str, kind: str) -> str | None:
        """May the user do this to the message? Change it if he may."""
        role = room.members.get(user)
        if role is None:
            return NOT_FOUND
        if message.is_deleted:
            # Who could have deleted it is answered as if done.
            is_his = message.sender == user or (room.is_group and role != "member")
            return None if kind == "delete" and is_his else NOT_FOUND
        if kind == "remove":
            message.removed_by.add(user)
            return None
        if user in message.removed_by and kind != "delete":
            return NOT_FOUND
        blocked = not room.is_group and self.is_blocked(user, room.other(user))
        if kind in ("edit", "delete") and message.sender != user:
            if user in message.removed_by:
                return NOT_FOUND
            if not (kind == "delete" and room.is_group and role != "member"):
                return DENIED
        if kind == "delete" and user in message.removed_by:
            return NOT_FOUND
        if kind in ("pin", "unpin") and room.is_group and role == "member":
            return DENIED
        if kind in ("edit", "react", "pin") and blocked:
            return BLOCKED
        return None

    def list_for(self, user: str) -> list[Room]:
        mine = [room for room in self.rooms if user in room.members and room.visible(user)]
        return sorted(mine, key=lambda room: -room.last_at)
