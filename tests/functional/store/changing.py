"""What tests of changes share: sealed content, and conversations that the writer can store in."""

from dataclasses import dataclass

from fastchat.store.messages import MessageRef
from fastchat.store.rooms import Room, Rooms
from tests.functional.store.reading import open_pool, tables


@dataclass(frozen=True)
class Sealed:
    content: str | None = None
    encrypted_content: str | None = "c0de"
    encryption_iv: str | None = "1f"
    encryption_scheme: str | None = "gcm:k"


def at(room: Room, seq: int, old_id: str | None = None) -> MessageRef:
    return MessageRef(room.room_id, seq, old_id)


def members(room: Room) -> tuple[int, str, str]:
    """The room as ``make_message`` takes it."""
    return room.room_id, room.user1_id, room.user2_id


async def open_rooms(dsn: str, count: int) -> list[Room]:
    """Conversations of the users 1 and 2, 3 and 4, …, with their members' rows."""
    async with open_pool(dsn) as pool:
        rooms = Rooms(pool, tables("bigint"))
        return [
            await rooms.open_conversation(str(2 * index + 1), str(2 * index + 2))
            for index in range(count)
        ]
