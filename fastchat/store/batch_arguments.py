"""The arguments of the statements that store messages. Hot path.

asyncpg looks at each element of an array for whether it is an array itself, which takes longer than
writing it: 0.2 to 0.35 µs. So what most messages do not have is NULL instead of an array of NULLs
(``unnest`` fills up), what cannot contain a comma is one text, and small numbers share one element.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from fastchat.store.batch import Batch, Entry, NewMessage
from fastchat.store.ids import to_native


def direct_arguments(batch: Batch, id_types: Sequence[str]) -> list[Any]:
    """Return what ``statements.BATCH`` takes, from ``$3`` on.

    Args:
        batch: Messages of conversations of two.
        id_types: Types, besides text, in which the statement takes the members.
    """
    rooms = batch.rooms
    firsts = [entries[0].message for entries in rooms.values()]
    users1 = [message.user1_id for message in firsts]
    users2 = [message.user2_id for message in firsts]
    messages = [entry.message for entry in batch.entries]
    arguments: list[Any] = [
        list(rooms),
        [len(entries) for entries in rooms.values()],
        [message.conversation_id for message in firsts],
        users1,
        users2,
        _places(rooms),
        *_contents(messages),
    ]
    for id_type in id_types:
        arguments.append([to_native(user, id_type) for user in users1])
        arguments.append([to_native(user, id_type) for user in users2])
    return arguments


def group_arguments(batch: Batch) -> list[Any]:
    """Return what ``group_send_statement.GROUP_BATCH`` takes, from ``$3`` on."""
    rooms = batch.rooms
    messages = [entry.message for entry in batch.entries]
    return [
        list(rooms),
        [len(entries) for entries in rooms.values()],
        [entries[0].message.conversation_id for entries in rooms.values()],
        _places(rooms),
        *_contents(messages),
        [message.sender_id for message in messages],
        _column(message.mentions for message in messages),
        _column(message.is_announcement or None for message in messages),
        _column(message.is_system or None for message in messages),
    ]


def single_arguments(message: NewMessage, continues: bool, id_types: Sequence[str]) -> list[Any]:
    """Return what ``single_statement.SINGLE`` takes, from ``$3`` on.

    Args:
        message: A message of a conversation of two.
        continues: It is not the first one of its transaction.
        id_types: Types, besides text, in which the statement takes the members.
    """
    user1, user2 = message.user1_id, message.user2_id
    arguments: list[Any] = [
        message.room_id,
        user1,
        user2,
        message.sender_id,
        message.recipient_id,
        message.client_message_id,
        message.reply_to,
        message.reply_seq,
        message.conversation_id,
        message.content,
        message.encrypted_content,
        message.encryption_iv,
        message.encryption_scheme,
        continues,
    ]
    for id_type in id_types:
        arguments += to_native(user1, id_type), to_native(user2, id_type)
    return arguments


def _places(rooms: dict[int, list[Entry]]) -> list[int]:
    """Return one number for each message: see ``statements.given``."""
    return [
        ord << 10 | rank << 1 | (entry.message.sender_id != entry.message.user1_id)
        for ord, entries in enumerate(rooms.values(), 1)
        for rank, entry in enumerate(entries, 1)
    ]


def _contents(messages: list[NewMessage]) -> list[Any]:
    """Return the columns that messages of all kinds have."""
    return [
        _column(message.reply_to for message in messages),
        _column(message.reply_seq for message in messages),
        _column(message.client_message_id for message in messages),
        _column(message.content for message in messages),
        ",".join([message.encrypted_content or "" for message in messages]),
        ",".join([message.encryption_iv or "" for message in messages]),
        _column(message.encryption_scheme for message in messages),
    ]


def _column(values: Iterable[Any]) -> list[Any] | None:
    """Return a column of values; None, where there are none."""
    column = list(values)
    return None if column.count(None) == len(column) else column
