"""Events made of stored messages, for those who were here and did not get the first ones."""

from collections.abc import Callable, Iterable

from fastchat.handlers.rows import RowEncoder
from fastchat.hub.sessions import Hub
from fastchat.protocol.events import (
    encode_message_deleted,
    encode_message_edited,
    encode_new_private_message,
)
from fastchat.protocol.group_message_events import encode_new_group_message
from fastchat.store.memberships import Memberships
from fastchat.store.missed import MissedChange, MissedMessage
from fastchat.store.rooms import AnyRoom, Group, Rooms

WasHere = Callable[[Iterable[str], float], list[str]]


class RoomEvents:
    """Tells the members of a room who are here of stored messages."""

    def __init__(
        self,
        rooms: Rooms,
        memberships: Memberships,
        encoder: RowEncoder,
        hub: Hub,
        was_here: WasHere,
    ) -> None:
        """Take the neighbours, and who of some users was here how many seconds ago."""
        self._rooms = rooms
        self._memberships = memberships
        self._encoder = encoder
        self._hub = hub
        self._was_here = was_here

    async def tell(self, room_id: int, messages: list[MissedMessage]) -> None:
        """Tell of messages, in their order, whoever was here when they were stored.

        Raises:
            ServiceUnavailable: the database did not answer; nothing was told.
        """
        room = await self._rooms.find_by_room_id(room_id)
        if room is None:
            return
        members = await self._members(room)
        for missed in messages:
            # Who has come into a group since then does not hear of what was before him.
            created_at = missed.row.created_at
            then = [user_id for user_id, joined_at in members.items() if joined_at <= created_at]
            receivers = self._was_here(then, missed.age)
            if receivers and not missed.row.is_deleted:
                (message,) = self._encoder.encode(room, [missed.row])
                message_id = missed.row.message_id(room_id)
                encode = encode_new_group_message if room.is_group else encode_new_private_message
                self._hub.publish(receivers, encode(message, message_id, room.conversation_id))

    async def tell_change(self, change: MissedChange) -> None:
        """Tell of a message that was deleted or edited.

        Raises:
            ServiceUnavailable: the database did not answer; nothing was told.
        """
        room = await self._rooms.find_by_room_id(change.room_id)
        if room is None:
            return
        row = change.row
        message_id = row.message_id(change.room_id)
        if row.is_deleted:
            payload = encode_message_deleted(
                message_id, room.conversation_id, row.rev, is_group=room.is_group
            )
        elif change.is_edited and row.edited_at is not None:
            payload = encode_message_edited(
                message_id,
                room.conversation_id,
                self._encoder.open(row, room.conversation_id),
                row.edited_at,
                row.rev,
                is_group=room.is_group,
            )
        else:
            return  # a reaction or a pin; which one, nobody knows
        self._hub.publish(await self._members(room), payload)

    async def _members(self, room: AnyRoom) -> dict[str, float]:
        """Return the members of a room, and since when they are (epoch seconds)."""
        if isinstance(room, Group):
            members = await self._memberships.find_all(room.room_id)
            return {member.user_id: member.joined_at for member in members}
        return {room.user1_id: 0.0, room.user2_id: 0.0}
