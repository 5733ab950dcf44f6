"""Conversations and groups: from the text of an id to the room, and back.

A room never changes once it exists, so what was found is kept, bounded. Membership is what the row
says; the text of an id proves nothing. Who is in a group changes: ``memberships`` knows.
"""

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from fastchat.errors import ResourceNotFound, ServiceUnavailable
from fastchat.store.cache import LruCache
from fastchat.store.ids import to_native
from fastchat.store.lookups import DEADLINE, BatchedLookup

if TYPE_CHECKING:
    from fastchat.store.backend import BackendTables
    from fastchat.store.pool import Pool

ROOMS_KEPT = 100_000
ATTEMPTS = 5


class Room(NamedTuple):
    """A conversation of two; ``user1_id`` sorts before ``user2_id``."""

    room_id: int
    conversation_id: str
    user1_id: str
    user2_id: str

    @property
    def is_group(self) -> Literal[False]:
        """Whether members come and go."""
        return False

    def has_member(self, user_id: str) -> bool:
        """Whether the user is one of the two."""
        return user_id in (self.user1_id, self.user2_id)

    def other(self, user_id: str) -> str:
        """Return the member who is not this one."""
        return self.user2_id if user_id == self.user1_id else self.user1_id


class Group(NamedTuple):
    """A group; its id is that of its conversation. One that was deleted has no members."""

    room_id: int
    conversation_id: str

    @property
    def is_group(self) -> Literal[True]:
        """Whether members come and go."""
        return True


AnyRoom = Room | Group


def conversation_id_of(one: str, other: str) -> str:
    """Return the conversation id of two users, whichever of them asks.

    Source: docs/protocol.md, "Conversation id".
    """
    first, second = (one, other) if one < other else (other, one)
    if not (first.isalnum() and second.isalnum()):
        first, second = _escape(first), _escape(second)
    return f"conv_{first}_{second}"


def _escape(user_id: str) -> str:
    return user_id.replace("%", "%25").replace("_", "%5F")


FIND = """
SELECT room_id, conversation_id, user1_id, user2_id FROM dm_conversations
WHERE {conversation}
UNION ALL
SELECT room_id, group_id, NULL, NULL FROM chat_groups
WHERE {group} AND deleted_at IS NULL
"""
FIND_BY_ROOM = FIND.format(
    conversation="room_id = ANY ($1::bigint[])", group="room_id = ANY ($1::bigint[])"
)
FIND_BY_CONVERSATION = FIND.format(
    conversation="conversation_id = ANY ($1::text[])", group="group_id = ANY ($1::text[])"
)


class Rooms:
    """Finds rooms, and makes conversations of two."""

    def __init__(
        self,
        pool: "Pool",
        tables: "BackendTables",
        *,
        deadline: float = DEADLINE,
        rooms_kept: int = ROOMS_KEPT,
    ) -> None:
        """Take the pool, what the backend's tables look like, and the bounds."""
        self._pool = pool
        self._users_id_type = tables.id_type
        self._deadline = deadline
        self._open_query = open_query(tables.id_type)
        self._by_conversation: LruCache[str, AnyRoom] = LruCache(rooms_kept)
        self._by_room: LruCache[int, AnyRoom] = LruCache(rooms_kept)
        self.openings: BatchedLookup[tuple[str, str], Room | None] = BatchedLookup(
            self._open, max_batch=64, deadline=deadline
        )
        self.lookups_by_room: BatchedLookup[int, AnyRoom | None] = BatchedLookup(
            self._fetch_by_room, deadline=deadline
        )
        self.lookups_by_conversation: BatchedLookup[str, AnyRoom | None] = BatchedLookup(
            self._fetch_by_conversation, deadline=deadline
        )

    def __len__(self) -> int:
        return len(self._by_room)

    def peek(self, one: str, other: str) -> Room | None:
        """Return the conversation of two users if it is in memory."""
        room = self._by_conversation.get(conversation_id_of(one, other))
        return room if isinstance(room, Room) else None

    def peek_group(self, group_id: str) -> Group | None:
        """Return the group with this id if it is in memory; it may have been deleted since."""
        room = self._by_conversation.get(group_id)
        return room if isinstance(room, Group) else None

    def forget(self, room: AnyRoom) -> None:
        """Drop a room that is no longer there."""
        self._by_conversation.forget(room.conversation_id)
        self._by_room.forget(room.room_id)

    async def open_conversation(self, user_id: str, other_id: str) -> Room:
        """Return the conversation of two users; make it when there is none.

        ``user_id`` is taken as known: he has a session.

        Raises:
            ResourceNotFound: nobody knows the other user, and there is no conversation with him.
            ServiceUnavailable: the database did not answer; the conversation may exist now.
        """
        room = self.peek(user_id, other_id) or await self.openings.get((user_id, other_id))
        if room is None:
            raise ResourceNotFound
        return room

    async def find_by_room_id(self, room_id: int) -> AnyRoom | None:
        """Return the conversation or group with this number, or None.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        return self._by_room.get(room_id) or await self.lookups_by_room.get(room_id)

    async def find_by_conversation_id(self, conversation_id: str) -> AnyRoom | None:
        """Return the conversation or group with this id, or None; it is not made.

        Raises:
            ServiceUnavailable: the database did not answer.
        """
        return self._by_conversation.get(conversation_id) or await self.lookups_by_conversation.get(
            conversation_id
        )

    def _remember(self, row: Any) -> AnyRoom:
        room = Group(*row[:2]) if row[2] is None else Room(*row)
        self._by_conversation.put(room.conversation_id, room)
        self._by_room.put(room.room_id, room)
        return room

    async def _fetch_by_room(self, keys: list[int]) -> list[AnyRoom | None]:
        rooms = {room.room_id: room for room in await self._find(FIND_BY_ROOM, keys)}
        return [rooms.get(key) for key in keys]

    async def _fetch_by_conversation(self, keys: list[str]) -> list[AnyRoom | None]:
        rooms = {
            room.conversation_id: room for room in await self._find(FIND_BY_CONVERSATION, keys)
        }
        return [rooms.get(key) for key in keys]

    async def _find(self, query: str, keys: list[Any]) -> list[AnyRoom]:
        rows = await self._pool.fetch(query, keys, timeout=self._deadline, name="rooms")
        return [self._remember(row) for row in rows]

    async def _open(self, keys: list[tuple[str, str]]) -> list[Room | None]:
        rooms: dict[tuple[str, str], Room | None] = {}
        # In the order of the ids: two workers that make the same conversations then wait for each
        # other in the same order.
        left = sorted(keys, key=lambda key: conversation_id_of(*key))
        for _ in range(ATTEMPTS):
            pairs = [sorted(key) for key in left]
            others = [other for _, other in left]
            arrays: list[list[Any]] = [
                [conversation_id_of(*pair) for pair in pairs],
                [pair[0] for pair in pairs],
                [pair[1] for pair in pairs],
                others,
            ]
            if self._users_id_type not in (None, "text"):
                arrays.append([to_native(other, self._users_id_type) for other in others])
            rows = await self._pool.fetch(
                self._open_query, *arrays, timeout=self._deadline, name="rooms"
            )
            again = []
            for key, (is_known, *row) in zip(left, rows, strict=True):
                if row[0] is not None:
                    room = self._remember(row)
                    assert isinstance(room, Room)
                    rooms[key] = room
                elif is_known:
                    again.append(key)
            if not again:
                return [rooms.get(key) for key in keys]
            # Another worker made them while this statement waited for it: it does not see
            # rows younger than its snapshot, the next one does.
            left = again
        raise ServiceUnavailable


def open_query(users_id_type: str | None) -> str:
    """Return the statement that finds or makes conversations: one row for each key, in order.

    Parameters: conversation ids, first users, second users, the users who must exist, and these
    once more in the type of ``users_auth.user_id`` where that is not text. Returned are whether
    the user exists, and the conversation's row or nulls.
    """
    arrays, names = "", ""
    is_known = "EXISTS (SELECT FROM chat_users c WHERE c.user_id = k.other_id)"
    if users_id_type is not None:
        own = "k.other_id"
        if users_id_type != "text":
            arrays, names, own = f", $5::{users_id_type}[]", ", native_id", "k.native_id"
        is_known = f"(EXISTS (SELECT FROM users_auth u WHERE u.user_id = {own}) OR {is_known})"
    return f"""
WITH wanted AS MATERIALIZED (
    SELECT k.conversation_id, k.user1_id, k.user2_id, k.position,
        {is_known} AS is_known, d.room_id
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]{arrays}) WITH ORDINALITY
        AS k (conversation_id, user1_id, user2_id, other_id{names}, position)
    LEFT JOIN dm_conversations d ON d.conversation_id = k.conversation_id
), made AS (
    INSERT INTO dm_conversations (conversation_id, room_id, user1_id, user2_id)
    SELECT conversation_id, nextval('chat_rooms_room_id_seq'), user1_id, user2_id
    FROM (SELECT * FROM wanted WHERE room_id IS NULL AND is_known ORDER BY position) w
    ON CONFLICT (conversation_id) DO NOTHING
    RETURNING conversation_id, room_id, user1_id, user2_id
), numbered AS (
    INSERT INTO chat_rooms (room_id) SELECT room_id FROM made
), joined AS (
    INSERT INTO room_members (user_id, room_id)
    SELECT user1_id, room_id FROM made UNION ALL SELECT user2_id, room_id FROM made
)
SELECT w.is_known, coalesce(w.room_id, m.room_id), w.conversation_id, w.user1_id, w.user2_id
FROM wanted w LEFT JOIN made m ON m.conversation_id = w.conversation_id
ORDER BY w.position
"""
