"""Commands about the messages of groups. Hot path.

Edits, deletions and reactions are those of any conversation: their commands have other spellings.

Source: docs/protocol.md, "Groups".
"""

from typing import ClassVar

from fastchat.protocol.command import (
    LAST_OFFSET,
    MOST_PER_PAGE,
    Bounds,
    Command,
    Content,
    GroupId,
    Limit,
    MessageId,
    Offset,
    check_content,
)


class SendGroupMessage(Command, tag="send_group_message"):
    """Send a message to a group."""

    SPELLINGS: ClassVar[dict[str, str]] = {"replyTo": "replyToMessageId"}

    group_id: GroupId
    content: Content
    reply_to_message_id: MessageId | None = None
    client_message_id: MessageId | None = None
    # The other spelling. Any value fails here, so that the codec looks closer and moves it.
    reply_to: None = None

    def check(self, bounds: Bounds) -> None:
        """Refuse empty and too long content."""
        check_content(self.content, bounds.message_length)


class SendAnnouncement(Command, tag="send_announcement"):
    """Send a message that is pinned at once; admins may."""

    group_id: GroupId
    content: Content
    client_message_id: MessageId | None = None

    def check(self, bounds: Bounds) -> None:
        """Refuse empty and too long content."""
        check_content(self.content, bounds.message_length)


class GetGroupMessages(Command, tag="get_group_messages"):
    """Ask for a page of a group; ``before`` and ``after`` are values of ``seq``."""

    group_id: GroupId
    limit: Limit = 50
    offset: Offset = 0
    before: int | None = None
    after: int | None = None

    def check(self, bounds: Bounds) -> None:
        """Take numbers that are too large as the largest."""
        self.limit = min(self.limit, MOST_PER_PAGE)
        self.offset = min(self.offset, LAST_OFFSET)


GROUP_COMMANDS: tuple[type[Command], ...] = (SendGroupMessage, SendAnnouncement, GetGroupMessages)
