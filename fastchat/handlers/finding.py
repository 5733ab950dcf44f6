"""From the ids in a command to what they name, if its sender may see it."""

from fastchat.errors import ResourceNotFound
from fastchat.interfaces import Session
from fastchat.store.history import History
from fastchat.store.memberships import Member, Memberships
from fastchat.store.messages import MessageRef
from fastchat.store.rooms import AnyRoom, Group, Rooms


class Finder:
    """Finds conversations and messages; "not yours" and "not there" are the same answer."""

    def __init__(self, rooms: Rooms, memberships: Memberships, history: History) -> None:
        """Take who knows rooms, their members and the ids of messages."""
        self._rooms = rooms
        self._memberships = memberships
        self._history = history

    async def find_room(self, session: Session, conversation_id: str) -> AnyRoom:
        """Return a conversation or group of this user.

        Raises:
            ResourceNotFound: he has none with this id.
            ServiceUnavailable: the database did not answer.
        """
        room = await self._rooms.find_by_conversation_id(conversation_id)
        if room is None or not await self._is_member(room, session.user_id):
            raise ResourceNotFound
        return room

    async def find_message(
        self, session: Session, message_id: str, conversation_id: str | None
    ) -> tuple[AnyRoom, MessageRef]:
        """Return where a message of this user's conversations is; there may be none.

        Whether he is in a group is not asked: the statement that follows does.

        Raises:
            ResourceNotFound: no message can have this id, or it is in another conversation than
                the one named, or in none of his.
            ServiceUnavailable: the database did not answer.
        """
        ref = await self._history.resolve(message_id)
        room = None if ref is None else await self._rooms.find_by_room_id(ref.room_id)
        if ref is None or room is None:
            raise ResourceNotFound
        if not room.is_group and not room.has_member(session.user_id):
            raise ResourceNotFound
        if conversation_id not in (None, room.conversation_id):
            raise ResourceNotFound
        return room, ref

    async def find_group(self, session: Session, group_id: str) -> tuple[Group, Member]:
        """Return a group of this user, and what he may do there.

        Raises:
            ResourceNotFound: he is in none with this id.
            ServiceUnavailable: the database did not answer.
        """
        room = await self._rooms.find_by_conversation_id(group_id)
        if isinstance(room, Group):
            member = await self._memberships.find(room.room_id, session.user_id)
            if member is not None:
                return room, member
        raise ResourceNotFound

    async def _is_member(self, room: AnyRoom, user_id: str) -> bool:
        if room.is_group:
            return await self._memberships.find(room.room_id, user_id) is not None
        return room.has_member(user_id)
