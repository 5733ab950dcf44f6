"""What happened in the conversations, each thing told once and in order.

Live events that come while it is still being read what was missed wait until that was told.
"""

import asyncio
from collections.abc import Callable

from msgspec import UNSET

from fastchat.client.positions import Positions, SavedPositions
from fastchat.client.signals import CaughtUp, LeftGroup, Resync
from fastchat.protocol.group_types import NewGroupMessage
from fastchat.protocol.message_types import Message, NewPrivateMessage
from fastchat.protocol.sync_types import ConversationNews, SyncResult


class News:
    """Between the connection and those who listen."""

    def __init__(
        self,
        emit: Callable[[object], None],
        is_own: Callable[[Message], bool],
        saved: SavedPositions | None = None,
    ) -> None:
        """Take who is told, and what takes a message that was sent by this very client."""
        self._emit = emit
        self._is_own = is_own
        self.positions = Positions(saved)
        self.gap = asyncio.Event()  # something is missing before what came
        self._held: list[object] | None = None

    def hold(self) -> None:
        """Keep what comes, until ``release``."""
        self._held = []

    def release(self) -> None:
        """Tell what was kept, and from now on everything at once."""
        held, self._held = self._held or [], None
        for event in held:
            self.take(event)

    def take(self, event: object) -> None:
        """Tell an event, unless it was told before."""
        if self._held is not None:
            self._held.append(event)
        elif self.note(event):
            self._emit(event)

    def note(self, event: object) -> bool:
        """Move the position of the event's conversation; false when it was told before."""
        if isinstance(event, NewPrivateMessage | NewGroupMessage):
            return self._note_message(event.message)
        rev = getattr(event, "rev", UNSET)
        if rev is UNSET:
            return True
        conversation_id = getattr(event, "conversation_id", "")
        is_new = self.positions.note_change(conversation_id, rev)
        self._look_for_gap(conversation_id)
        return is_new

    def note_message(self, message: Message) -> bool:
        """Move the position of a message's conversation; false when it was told before."""
        is_new = self.positions.note_message(message.conversation_id, message.seq, message.rev)
        self._look_for_gap(message.conversation_id)
        return is_new

    def begin(self, result: SyncResult) -> None:
        """Take a part of the very first sync: each conversation, with its latest messages.

        They are old: none of them is told as an event.
        """
        for news in result.conversations:
            for message in news.messages:
                self._is_own(message)
            self.positions.reach(news)
            self._emit(CaughtUp(news))

    def tell_first(self) -> None:
        """Tell what came during the very first sync, all of it: nobody heard of it before."""
        held, self._held = self._held or [], None
        for event in held:
            self.note(event)
            self._emit(event)

    def catch_up(self, result: SyncResult) -> None:
        """Tell a part of what was missed."""
        for news in result.conversations:
            self._tell_conversation(news)
        for group_id in result.left:
            self.positions.forget(group_id)
            self._emit(LeftGroup(group_id))

    def settle(self) -> None:
        """Take note that a sync has told all; there may be gaps from what came after it."""
        self.positions.settle()
        self.gap.clear()
        if self.positions.has_gaps:
            self.gap.set()

    def _look_for_gap(self, conversation_id: str) -> None:
        position = self.positions.of(conversation_id)
        if position.seq.ahead or position.rev.ahead:
            self.gap.set()

    def _note_message(self, message: Message) -> bool:
        is_new = self.note_message(message)
        return not self._is_own(message) and is_new

    def _tell_conversation(self, news: ConversationNews) -> None:
        was_known = self.positions.knows(news.conversation_id)
        for message in news.messages:
            if not news.complete:
                self._is_own(message)
            elif self._note_message(message):
                self._emit(_event(message))
        self.positions.reach(news)
        self._emit(CaughtUp(news))
        if was_known and not news.complete:
            self._emit(Resync(news))


def _event(message: Message) -> NewPrivateMessage | NewGroupMessage:
    """Return the event that a live client has got for a message."""
    if message.group_id is UNSET:
        return NewPrivateMessage(
            message=message, message_id=message.id, conversation_id=message.conversation_id
        )
    return NewGroupMessage(
        message=message,
        message_id=message.id,
        conversation_id=message.conversation_id,
        group_id=message.group_id,
    )
