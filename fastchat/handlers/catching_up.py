"""What ``sync`` means: tell a client what it missed, in one reply or in several parts."""

import asyncio
from collections.abc import Mapping, Sequence

from fastchat.errors import ValidationError
from fastchat.handlers.rows import RowEncoder
from fastchat.interfaces import Session
from fastchat.protocol.commands import Sync
from fastchat.protocol.events import ROOM_IN_REPLY, cut_to_fit
from fastchat.protocol.group_events import describe_group, describe_member
from fastchat.protocol.sync_events import (
    encode_conversation_news,
    encode_left,
    encode_sync_result,
    encode_tombstone,
)
from fastchat.store.catching_up import (
    CatchingUp,
    Horizon,
    News,
    Place,
    RoomNews,
    parse_next,
    parse_state,
)
from fastchat.store.users import UserProfile, Users

MOST_PER_TURN = 100  # messages encoded in one turn of the loop, about a millisecond

Profiles = Mapping[str, UserProfile]


class SyncReplies:
    """Answers ``sync``."""

    def __init__(
        self,
        catching_up: CatchingUp,
        users: Users,
        encoder: RowEncoder,
        *,
        part_size: int = ROOM_IN_REPLY,
    ) -> None:
        """Take the neighbours, and how many bytes fill a part of the reply."""
        self._catching_up = catching_up
        self._users = users
        self._encoder = encoder
        self._part_size = part_size

    async def sync(self, session: Session, command: Sync, now: float) -> bytes:
        """Tell what is new since the positions and the state that the client remembers."""
        news = await self._catching_up.fetch(
            session.user_id,
            command.conversations,
            _read_state(command.state),
            _read_next(command.next),
            limit=command.limit,
            size=self._part_size,
        )
        profiles = await self._users.find_many(
            member.user_id for room in news.rooms for member in room.members
        )
        return await self._encode(news, profiles)

    async def _encode(self, news: News, profiles: Profiles) -> bytes:
        """Encode as many rooms as fit into a part, and at least one."""
        entries: list[bytes] = []
        left: list[bytes] = []
        last: RoomNews | None = None
        is_cut = news.is_cut
        free = self._part_size
        in_turn = 0
        for room in news.rooms:
            entry = self._encode_room(room, profiles)
            if len(entry) > free:
                if last is not None:
                    is_cut = True
                    break
                entry = self._encode_newest(room, profiles, free)
            (left if room.is_left else entries).append(entry)
            free -= len(entry) + 1
            last = room
            in_turn += len(room.messages) + len(room.changed)
            if in_turn >= MOST_PER_TURN:
                in_turn = 0
                await asyncio.sleep(0)
        place = None
        if is_cut and last is not None:
            place = Place(news.horizon, last.room.room_id).encode()
        return encode_sync_result(entries, left, news.horizon.encode(), place)

    def _encode_room(self, news: RoomNews, profiles: Profiles) -> bytes:
        room = news.room
        if news.is_left:
            return encode_left(room.conversation_id)
        changed = [
            encode_tombstone(row.message_id(room.room_id), row.seq, row.rev)
            if row.is_deleted
            else self._encoder.encode(room, [row])[0]
            for row in news.changed
        ]
        return _frame(news, profiles, self._encoder.encode(room, news.messages), changed)

    def _encode_newest(self, news: RoomNews, profiles: Profiles, size: int) -> bytes:
        """Encode a room that alone is too large for a part: the newest messages that fit."""
        news = news._replace(is_complete=False, hidden_ids=[])
        size -= len(_frame(news, profiles, (), ()))
        messages = self._encoder.encode(news.room, news.messages)
        return _frame(news, profiles, cut_to_fit(messages, size=size), ())


def _read_state(text: str | None) -> Horizon | None:
    state = parse_state(text) if text is not None else None
    if text is not None and state is None:
        raise ValidationError("The field 'state' is not what a server has sent.", field="state")
    return state


def _read_next(text: str | None) -> Place | None:
    place = parse_next(text) if text is not None else None
    if text is not None and place is None:
        raise ValidationError("The field 'next' is not what a server has sent.", field="next")
    return place


def _frame(
    news: RoomNews, profiles: Profiles, messages: Sequence[bytes], changed: Sequence[bytes]
) -> bytes:
    """Encode what is new in a room around its encoded messages."""
    room, group = news.room, news.group
    return encode_conversation_news(
        room.conversation_id,
        seq=news.seq,
        rev=news.rev,
        messages=messages,
        changed=changed,
        is_complete=news.is_complete,
        read_up_to=news.read_up_to,
        unread_count=news.unread_count,
        hidden_ids=news.hidden_ids,
        hidden_seq=news.hidden_seq,
        is_hidden=news.is_hidden,
        group=group and describe_group(group),
        members=[describe_member(member, profiles.get(member.user_id)) for member in news.members],
        is_group=room.is_group,
    )
