"""What editing, deleting and reading a message mean.

Each of them names a message; the conversation follows from it. A message that does not exist, that
is in another conversation than the one named, or in one of others: all are "not found" alike.
"""

from fastchat.errors import (
    CommandError,
    EditWindowExpired,
    PermissionDenied,
    ResourceNotFound,
    ServiceUnavailable,
    UserBlocked,
)
from fastchat.handlers.delivery import Delivery
from fastchat.handlers.finding import Finder
from fastchat.interfaces import Session
from fastchat.protocol.commands import DeleteMessage, EditMessage, MarkMessageRead
from fastchat.protocol.events import (
    encode_message_deleted,
    encode_message_edited,
    encode_message_read,
)
from fastchat.store.changes import Changes, Refusal
from fastchat.store.cipher import Cipher, EncryptionFailed
from fastchat.store.history import History
from fastchat.store.read_marks import ReadMarks

_ERRORS: dict[Refusal, type[CommandError]] = {
    Refusal.NOT_FOUND: ResourceNotFound,
    Refusal.NOT_AUTHOR: PermissionDenied,
    Refusal.BLOCKED: UserBlocked,
    Refusal.TOO_OLD: EditWindowExpired,
    Refusal.NOT_ALLOWED: PermissionDenied,
}


class MessageChanges:
    """Changes stored messages and tells both sides."""

    def __init__(
        self,
        changes: Changes,
        marks: ReadMarks,
        finder: Finder,
        history: History,
        cipher: Cipher,
        delivery: Delivery,
    ) -> None:
        """Take the neighbours."""
        self._changes = changes
        self._marks = marks
        self._finder = finder
        self._history = history
        self._cipher = cipher
        self._delivery = delivery

    async def edit(self, session: Session, command: EditMessage, now: float) -> bytes:
        """Replace the content of an own message."""
        room, ref = await self._finder.find_message(
            session, command.message_id, command.conversation_id
        )
        row = await self._history.fetch_message(room.room_id, ref.seq)
        if row is None:
            raise ResourceNotFound
        try:
            # Bound to the ids of the message that it replaces.
            sealed = self._cipher.seal(
                command.content, room.conversation_id, session.user_id, row.client_message_id
            )
        except EncryptionFailed:
            raise ServiceUnavailable("The message could not be encrypted.") from None
        edited = await self._changes.edit(room, ref, session.user_id, sealed)
        if isinstance(edited, Refusal):
            raise _ERRORS[edited]
        payload = encode_message_edited(
            command.message_id,
            room.conversation_id,
            command.content,
            edited.edited_at,
            edited.rev,
            is_group=room.is_group,
        )
        await self._delivery.publish_change(
            room, payload, session.connection, rev=edited.rev, group_rev=edited.group_rev
        )
        return payload

    async def delete(self, session: Session, command: DeleteMessage, now: float) -> bytes:
        """Erase an own message for everyone, or hide one from oneself."""
        room, ref = await self._finder.find_message(
            session, command.message_id, command.conversation_id
        )
        for_everyone = command.delete_for_everyone
        delete = (
            self._changes.delete_for_everyone if for_everyone else self._changes.remove_for_user
        )
        try:
            deleted = await delete(room, ref, session.user_id)
        except ServiceUnavailable:
            self._delivery.touch(room)  # it may be done all the same
            raise
        if isinstance(deleted, Refusal):
            raise _ERRORS[deleted]
        payload = encode_message_deleted(
            command.message_id,
            room.conversation_id,
            deleted.rev if for_everyone else None,
            is_group=room.is_group,
        )
        if deleted.is_new and for_everyone:
            await self._delivery.publish_change(
                room, payload, session.connection, rev=deleted.rev, group_rev=deleted.group_rev
            )
        elif deleted.is_new:
            self._delivery.publish_own(room, session, payload)
        return payload

    async def mark_read(self, session: Session, command: MarkMessageRead, now: float) -> bytes:
        """Mark a message and all before it as read."""
        room, ref = await self._finder.find_message(
            session, command.message_id, command.conversation_id
        )
        marked = await self._marks.mark(room, ref, session.user_id)
        if isinstance(marked, Refusal):
            raise _ERRORS[marked]
        payload = encode_message_read(
            command.message_id, room.conversation_id, session.user_id, is_group=room.is_group
        )
        if marked.moved and room.is_group:
            # It moves one's own unread count and nothing else.
            self._delivery.publish_own(room, session, payload)
        elif marked.moved:
            self._delivery.publish(room, payload, session.connection)
        return payload
