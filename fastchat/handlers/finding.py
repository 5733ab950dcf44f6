"""From the ids in a command to what they name, if its sender may see it."""

from fastchat.errors import ResourceNotFound
from fastchat.interfaces import Session
from fastchat.store.history import History
from fastchat.store.messages import MessageRef
from fastchat.store.rooms import Room, Rooms


class Finder:
    """Finds conversations and messages; "not yours" and "not there" are the same answer."""

    def __init__(self, rooms: Rooms, history: History) -> None:
        """Take who knows rooms and the ids of messages."""
        self._rooms = rooms
        self._history = history

    async def find_room(self, session: Session, conversation_id: str) -> Room:
        """Return a conversation of this user.

        Raises:
            ResourceNotFound: he has none with this id.
            ServiceUnavailable: the database did not answer.
        """
        room = await self._rooms.find_by_conversation_id(conversation_id)
        if room is None or not room.has_member(session.user_id):
            raise ResourceNotFound
        return room

    async def find_message(
        self, session: Session, message_id: str, conversation_id: str | None
    ) -> tuple[Room, MessageRef]:
        """Return where a message of this user's conversations is; there may be none.

        Raises:
            ResourceNotFound: no message can have this id, or it is in another conversation than
                the one named, or in none of his.
            ServiceUnavailable: the database did not answer.
        """
        ref = await self._history.resolve(message_id)
        room = None if ref is None else await self._rooms.find_by_room_id(ref.room_id)
        if ref is None or room is None or not room.has_member(session.user_id):
            raise ResourceNotFound
        if conversation_id not in (None, room.conversation_id):
            raise ResourceNotFound
        return room, ref
