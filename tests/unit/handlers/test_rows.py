"""Stored messages as the wire shows them."""

import json
from itertools import permutations

import pytest

from fastchat.handlers.rows import UNREADABLE, RowEncoder
from fastchat.store.cipher import Cipher, KeyRing
from fastchat.store.messages import MessageRow
from fastchat.store.rooms import Group, Room

NOW = 1705314600.123
TIME = "2024-01-15T10:30:00.123Z"
ROOMS = [Room(7, "conv_1_2", "1", "2"), Group(7, "g-1")]


@pytest.fixture
def cipher():
    return Cipher(KeyRing("a key for tests, of 32 characters"))


def row_of(cipher, room, seq, **more):
    sealed = cipher.seal(f"text {seq}", room.conversation_id, "1", None)
    row = MessageRow(
        seq=seq,
        rev=seq + 1,
        created_at=NOW,
        edited_at=None,
        old_id=None,
        sender_id="1",
        username="alice",
        reply_to=None,
        client_message_id=None,
        is_encrypted=True,
        content=None,
        encrypted_content=sealed.encrypted_content,
        encryption_iv=sealed.encryption_iv,
        encryption_scheme=sealed.encryption_scheme,
        is_deleted=False,
        is_pinned=False,
        reactions=None,
        mentions=None,
        is_announcement=False,
        is_read=False,
    )
    return row._replace(**more)


@pytest.mark.parametrize("room", ROOMS)
def test_a_row_with_everything_is_a_message_with_everything(cipher, room):
    row = row_of(
        cipher,
        room,
        3,
        edited_at=NOW,
        old_id="old",
        username=None,
        reply_to="7-1",
        client_message_id="c-1",
        is_pinned=True,
        reactions='[["2", "bob", "👍"], ["3", null, "👎"]]',
        mentions='[["2", "bob"], ["3", null], [null, null]]',
        is_announcement=True,
        is_read=True,
    )
    (message,) = RowEncoder(cipher).encode(room, [row])
    to = {"groupId": "g-1"} if room.is_group else {"recipientId": "2"}
    assert list(json.loads(message).items()) == list(
        {
            "id": "old",
            "conversationId": room.conversation_id,
            "senderId": "1",
            **to,
            "username": "1",
            "content": "text 3",
            "timestamp": TIME,
            "isRead": True,
            "replyToMessageId": "7-1",
            "reactions": [
                {"userId": "2", "username": "bob", "reaction": "👍"},
                {"userId": "3", "username": "3", "reaction": "👎"},
            ],
            "seq": 3,
            "rev": 4,
            "clientMessageId": "c-1",
            "editedAt": TIME,
            "mentions": [
                {"type": "user", "userId": "2", "username": "bob"},
                {"type": "user", "userId": "3", "username": "3"},
                {"type": "everyone"},
            ],
            "isPinned": True,
            "isAnnouncement": True,
        }.items()
    )


@pytest.mark.parametrize("room", ROOMS)
def test_each_row_of_a_page_keeps_its_own_text(cipher, room):
    rows = [
        row_of(cipher, room, 1),
        row_of(cipher, room, 2, is_deleted=True, encrypted_content="00"),
        row_of(cipher, room, 3, encrypted_content="00"),
        row_of(cipher, room, 4, sender_id="2", is_encrypted=False, content="plain"),
    ]
    encoder = RowEncoder(cipher)
    one_by_one = {row.seq: encoder.encode(room, [row])[0] for row in rows}
    contents = [json.loads(message)["content"] for message in one_by_one.values()]
    assert contents == ["text 1", "", UNREADABLE, "plain"]
    assert cipher.undecryptable == 1
    for page in permutations(rows):
        assert encoder.encode(room, page) == [one_by_one[row.seq] for row in page]
    # Nobody asks for the text of a deleted message.
    assert cipher.undecryptable == 1 + 24
