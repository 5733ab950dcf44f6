"""What a user missed while he was away: every room that has news, folded to its latest state.

A client remembers a position per room, ``seq`` and ``rev``, and one opaque state for what has
neither. A reply comes in parts: the rooms come in the order of their numbers, so that the next part
begins behind the last one of this part, whatever happens in between. The state of all parts is that
of the first: what happened since then is news the next time.
"""

import re
from collections.abc import Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from fastchat.protocol.commands import Position
from fastchat.store.groups import GroupInfo
from fastchat.store.lookups import DEADLINE, BatchedLookup
from fastchat.store.memberships import Member
from fastchat.store.messages import LAST_SEQ, MessageRow, message_columns
from fastchat.store.rooms import AnyRoom, Group, Room
from fastchat.store.sync_query import CHANGED, ROOM, ROOM_COLUMNS, sync_query

if TYPE_CHECKING:
    from fastchat.store.backend import BackendTables
    from fastchat.store.pool import Pool

MOST_AT_ONCE = 4  # queries under way; after an outage everybody comes back at the same moment
LAST_XID = (1 << 64) - 1
_STATE = re.compile(r"([0-9A-F-]{1,64})\.([0-9]{1,20})", re.ASCII)
_NEXT = re.compile(r"([0-9A-F-]{1,64})\.([0-9]{1,20})\.([0-9]{1,19})", re.ASCII)


class Horizon(NamedTuple):
    """All that was committed before ``xid`` in this history of the database has been seen."""

    history: str
    xid: int

    def encode(self) -> str:
        """Return the text that a client keeps."""
        return f"{self.history}.{self.xid}"


class Place(NamedTuple):
    """Where a reply goes on: behind a room, with the horizon of its first part."""

    horizon: Horizon
    room_id: int

    def encode(self) -> str:
        """Return the text that a client sends back."""
        return f"{self.horizon.encode()}.{self.room_id}"


def parse_state(text: str) -> Horizon | None:
    """Return the horizon in a text, or None for whatever is none."""
    match = _STATE.fullmatch(text)
    if match is None or int(match[2]) > LAST_XID:
        return None
    return Horizon(match[1], int(match[2]))


def parse_next(text: str) -> Place | None:
    """Return the place in a text, or None for whatever is none."""
    match = _NEXT.fullmatch(text)
    if match is None or int(match[2]) > LAST_XID or int(match[3]) > LAST_SEQ:
        return None
    return Place(Horizon(match[1], int(match[2])), int(match[3]))


class RoomNews(NamedTuple):
    """What is new in one room, as its reader sees it; messages with the oldest first.

    ``is_left``: it is a group that he is no longer in, and nothing else is said. Where
    ``is_complete`` is false, ``messages`` are the newest, and what he holds is to be forgotten.
    ``read_up_to``: positions by user. ``hidden_seq``: he deleted everything up to there;
    ``is_hidden``: and there is nothing behind it. ``hidden_ids``: messages he removed for himself.
    ``group`` and ``members`` are there where they are news.
    """

    room: AnyRoom
    seq: int
    rev: int
    is_left: bool
    is_complete: bool
    read_up_to: dict[str, int]
    unread_count: int
    hidden_seq: int
    is_hidden: bool
    hidden_ids: list[str]
    group: GroupInfo | None
    members: list[Member]
    messages: list[MessageRow]
    changed: list[MessageRow]


class News(NamedTuple):
    """Rooms with news, in the order of a reply; ``is_cut``: there may be more behind the last."""

    rooms: list[RoomNews]
    horizon: Horizon
    is_cut: bool


class _Question:
    """One user's; it is nobody else's, so it equals no other."""

    __slots__ = ("arguments", "size", "user_id")

    def __init__(self, user_id: str, arguments: tuple[object, ...], size: int) -> None:
        self.user_id = user_id
        self.arguments = arguments
        self.size = size


class CatchingUp:
    """Tells users what they missed; one query each, few of them at a time."""

    def __init__(
        self, pool: "Pool", tables: "BackendTables", *, deadline: float = DEADLINE
    ) -> None:
        """Take the pool, what the backend's tables look like, and seconds until it is given up."""
        self._pool = pool
        self.query = sync_query(message_columns(tables))
        self._deadline = deadline
        self.questions: BatchedLookup[_Question, News] = BatchedLookup(
            self._fetch, max_batch=1, max_in_flight=MOST_AT_ONCE, deadline=deadline
        )

    async def fetch(
        self,
        user_id: str,
        positions: Mapping[str, Position],
        state: Horizon | None,
        place: Place | None,
        *,
        limit: int,
        size: int,
    ) -> News:
        """Return the rooms with news.

        Args:
            user_id: Who was away.
            positions: What he knows of each conversation. One that is not his is ignored; a
                position that the room has not reached is as if he had not named it.
            state: The horizon of an earlier reply; None, or one of another history: all rooms.
            place: Where to go on; None, or one of another history: from the beginning.
            limit: Most messages of one room.
            size: Bytes, about, that are enough; the last room may go beyond.

        Raises:
            ServiceUnavailable: the database did not answer, or too many are waiting.
        """
        since = state or Horizon("", 0)
        begin = place or Place(Horizon("", 0), 0)
        arguments = (
            user_id,
            orjson.dumps({name: f"{at.seq}.{at.rev}" for name, at in positions.items()}).decode(),
            limit,
            since.history,
            str(since.xid),
            begin.horizon.history,
            str(begin.horizon.xid),
            begin.room_id,
        )
        return await self.questions.get(_Question(user_id, arguments, size))

    async def _fetch(self, keys: list[_Question]) -> list[News]:
        (question,) = keys
        rows = await self._pool.fetch(
            self.query,
            *question.arguments,
            question.size,
            timeout=self._deadline,
            name="sync",
        )
        _, _, history, xid, *_ = rows[0]
        rooms: dict[int, RoomNews] = {}
        size = 0
        for row in rows[1:]:
            if row[1] == ROOM:
                size = row[4]
                rooms[row[0]] = _read_room(row, question.user_id)
            else:
                room = rooms[row[0]]
                messages = room.changed if row[1] == CHANGED else room.messages
                messages.append(MessageRow._make(row[ROOM_COLUMNS:]))
        for room in rooms.values():
            room.messages.sort(key=attrgetter("seq"))
            room.changed.sort(key=attrgetter("seq"))
        return [News(list(rooms.values()), Horizon(history, int(xid)), size >= question.size)]


def _read_room(row: Any, user_id: str) -> RoomNews:
    (
        room_id,
        _,
        _,
        _,
        _,
        conversation_id,
        user1_id,
        user2_id,
        seq,
        rev,
        is_left,
        is_complete,
        own_read,
        other_read,
        unread_count,
        hidden_seq,
        is_hidden,
        hidden_ids,
        group,
        members,
    ) = row[:ROOM_COLUMNS]
    read_up_to = {user_id: own_read}
    room: AnyRoom
    if user1_id is None:
        room = Group(room_id, conversation_id)
    else:
        room = Room(room_id, conversation_id, user1_id, user2_id)
        read_up_to[room.other(user_id)] = other_read or 0
    people = [Member._make(member) for member in orjson.loads(members or "[]")]
    return RoomNews(
        room,
        seq,
        rev,
        is_left,
        is_complete,
        read_up_to,
        unread_count or 0,
        hidden_seq,
        is_hidden,
        hidden_ids or [],
        _read_group(conversation_id, orjson.loads(group), len(people)) if group else None,
        people,
        [],
        [],
    )


def _read_group(group_id: str, columns: list[Any], member_count: int) -> GroupInfo:
    name, description, created_by, max_members, created_at = columns
    return GroupInfo(group_id, name, description, created_by, max_members, member_count, created_at)
