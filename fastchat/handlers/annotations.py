"""What reactions and pins mean."""

from fastchat.errors import PermissionDenied, ResourceNotFound, UserBlocked
from fastchat.handlers.delivery import Delivery
from fastchat.handlers.finding import Finder
from fastchat.handlers.rows import RowEncoder
from fastchat.interfaces import Session
from fastchat.protocol.commands import (
    AddReaction,
    GetPinnedMessages,
    PinMessage,
    RemoveReaction,
    UnpinMessage,
)
from fastchat.protocol.conversation_events import (
    encode_message_pinned,
    encode_pinned_messages,
    encode_reaction_added,
    encode_reaction_removed,
)
from fastchat.store.annotations import Annotated, Annotations, Kind
from fastchat.store.changes import Refusal
from fastchat.store.history import History
from fastchat.store.messages import MessageRef
from fastchat.store.rooms import AnyRoom


class MessageAnnotations:
    """Reacts to messages, pins them, and tells both sides."""

    def __init__(
        self,
        annotations: Annotations,
        finder: Finder,
        history: History,
        encoder: RowEncoder,
        delivery: Delivery,
    ) -> None:
        """Take the neighbours."""
        self._annotations = annotations
        self._finder = finder
        self._history = history
        self._encoder = encoder
        self._delivery = delivery

    async def add_reaction(self, session: Session, command: AddReaction, now: float) -> bytes:
        """React to a message, or take the same reaction back."""
        room, ref = await self._finder.find_message(
            session, command.message_id, command.conversation_id
        )
        done = await self._annotate(Kind.REACT, room, ref, session, command.reaction)
        if done.taken_back:
            payload = encode_reaction_removed(
                command.message_id,
                room.conversation_id,
                session.user_id,
                done.rev,
                is_group=room.is_group,
            )
        else:
            payload = encode_reaction_added(
                command.message_id,
                room.conversation_id,
                session.user,
                command.reaction,
                done.rev,
                is_group=room.is_group,
            )
        return await self._tell(room, session, payload, done)

    async def remove_reaction(self, session: Session, command: RemoveReaction, now: float) -> bytes:
        """Take one's reaction back."""
        room, ref = await self._finder.find_message(
            session, command.message_id, command.conversation_id
        )
        done = await self._annotate(Kind.UNREACT, room, ref, session)
        payload = encode_reaction_removed(
            command.message_id,
            room.conversation_id,
            session.user_id,
            done.rev,
            is_group=room.is_group,
        )
        return await self._tell(room, session, payload, done)

    async def pin(self, session: Session, command: PinMessage, now: float) -> bytes:
        """Pin a message."""
        return await self._pin(Kind.PIN, session, command)

    async def unpin(self, session: Session, command: UnpinMessage, now: float) -> bytes:
        """Undo a pin."""
        return await self._pin(Kind.UNPIN, session, command)

    async def pinned(self, session: Session, command: GetPinnedMessages, now: float) -> bytes:
        """Show the pinned messages of a conversation."""
        room = await self._finder.find_room(session, command.conversation_id)
        rows = await self._history.pinned(room.room_id, session.user_id)
        messages = self._encoder.encode(room, rows)
        return encode_pinned_messages(room.conversation_id, messages, is_group=room.is_group)

    async def _pin(self, kind: Kind, session: Session, command: PinMessage | UnpinMessage) -> bytes:
        room, ref = await self._finder.find_message(
            session, command.message_id, command.conversation_id
        )
        done = await self._annotate(kind, room, ref, session)
        payload = encode_message_pinned(
            command.message_id,
            room.conversation_id,
            session.user_id,
            done.rev,
            is_pinned=kind is Kind.PIN,
            is_group=room.is_group,
        )
        return await self._tell(room, session, payload, done)

    async def _annotate(
        self,
        kind: Kind,
        room: AnyRoom,
        ref: MessageRef,
        session: Session,
        reaction: str | None = None,
    ) -> Annotated:
        done = await self._annotations.annotate(kind, room, ref, session.user_id, reaction)
        if done is Refusal.BLOCKED:
            raise UserBlocked
        if done is Refusal.NOT_ALLOWED:
            raise PermissionDenied
        if isinstance(done, Refusal):
            raise ResourceNotFound
        return done

    async def _tell(
        self, room: AnyRoom, session: Session, payload: bytes, done: Annotated
    ) -> bytes:
        if done.is_new:
            await self._delivery.publish_change(
                room, payload, session.connection, rev=done.rev, group_rev=done.group_rev
            )
        return payload
