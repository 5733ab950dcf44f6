"""What lies in the database: sealed text, and rows that the previous server wrote."""

import pytest
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fastchat.store.cipher import derive_key
from tests.functional.chat.conftest import ENVIRONMENT
from tests.functional.chat.talking import contents, page, run_sql, say, say_id, whole_table

SECRET_TEXT = "the treasure is under the oak"
OLD_ID = "3f0c1d7e-8a4b-4c7d-9e21-5b1f6a7c8d90"
OLD_IV = bytes(range(16))


def sealed_as_before(text):
    """Encrypt as the previous server did."""
    key = derive_key(ENVIRONMENT["CHAT_ENCRYPTION_KEY"], "salt")
    padder = padding.PKCS7(128).padder()
    padded = padder.update(text.encode()) + padder.finalize()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(OLD_IV)).encryptor()
    return (encryptor.update(padded) + encryptor.finalize()).hex()


async def store_old_message(chat, text):
    """Store what an import of the previous server's tables leaves: user 1 has written to 2."""
    room_id = (
        await run_sql(
            chat,
            "INSERT INTO chat_rooms (seq, rev, last_at) VALUES (1, 1, now()) RETURNING room_id",
        )
    )[0][0]
    await run_sql(
        chat, "INSERT INTO dm_conversations VALUES ('conv_1_2', $1, '1', '2', now())", room_id
    )
    await run_sql(chat, "INSERT INTO room_members VALUES ('1', $1), ('2', $1)", room_id)
    await run_sql(
        chat,
        "INSERT INTO chat_messages (room_id, seq, rev, created_at, message_id, conversation_id, "
        "sender_id, recipient_id, encrypted_content, encryption_iv) "
        "VALUES ($1, 1, 1, now(), $2, 'conv_1_2', '1', '2', $3, $4)",
        room_id,
        OLD_ID,
        sealed_as_before(text),
        OLD_IV.hex(),
    )


@pytest.mark.parametrize("format_name", ["cbc", "gcm"])
async def test_nothing_of_a_text_is_stored_readable(start_chat, format_name):
    chat = await start_chat(ENCRYPTION_FORMAT=format_name)
    alice, bob = await chat.join(1), await chat.join(2)
    message_id = await say_id(alice, "2", SECRET_TEXT, clientMessageId="c-1")
    assert await contents(bob, "1") == [SECRET_TEXT]
    await say_id(alice, "2", "x" * 100)
    edited = SECRET_TEXT.replace("oak", "elm")
    stored = [await whole_table(chat, "chat_messages")]
    await alice.request(type="edit_message", messageId=message_id, content=edited)
    assert await contents(bob, "1") == [edited, "x" * 100]
    stored.append(await whole_table(chat, "chat_messages"))
    for table in stored:
        for word in ("treasure", "oak", "elm", "xxxx", b"treasure".hex()):
            assert word not in table
    rows = await run_sql(chat, "SELECT * FROM chat_messages")
    assert all(row["is_encrypted"] and row["content"] is None for row in rows)


async def test_equal_texts_look_different_in_the_database(chat):
    alice = await chat.join(1)
    for _ in range(3):
        await say_id(alice, "2", SECRET_TEXT)
    rows = await run_sql(chat, "SELECT encrypted_content, encryption_iv FROM chat_messages")
    assert len({row[0] for row in rows}) == len({row[1] for row in rows}) == 3


async def test_the_default_format_is_what_the_previous_server_reads(chat):
    alice = await chat.join(1)
    await say_id(alice, "2", SECRET_TEXT)
    row = (await run_sql(chat, "SELECT * FROM chat_messages"))[0]
    assert row["encryption_scheme"] is None
    key = derive_key(ENVIRONMENT["CHAT_ENCRYPTION_KEY"], "salt")
    mode = modes.CBC(bytes.fromhex(row["encryption_iv"]))
    decryptor = Cipher(algorithms.AES(key), mode).decryptor()
    padded = decryptor.update(bytes.fromhex(row["encrypted_content"])) + decryptor.finalize()
    assert padded[: -padded[-1]].decode() == SECRET_TEXT


@pytest.mark.parametrize("format_name", ["cbc", "gcm"])
async def test_old_messages_can_be_read_answered_edited_and_deleted(start_chat, format_name):
    chat = await start_chat(ENCRYPTION_FORMAT=format_name)
    await store_old_message(chat, "from long ago \N{SNOWMAN}")
    alice, bob = await chat.join(1), await chat.join(2)
    old = (await page(bob, "1"))["messages"][0]
    assert (old["id"], old["content"], old["seq"]) == (OLD_ID, "from long ago \N{SNOWMAN}", 1)
    reply = await say(bob, "1", "an answer", replyTo=OLD_ID)
    assert reply["message"]["replyToMessageId"] == OLD_ID
    assert reply["message"]["seq"] == 2
    await alice.expect("new_private_message")
    read = await bob.request(type="mark_message_read", messageId=OLD_ID)
    assert (read["type"], read["messageId"]) == ("message_read", OLD_ID)
    edited = await alice.request(type="edit_message", messageId=OLD_ID, newContent="rewritten")
    assert (edited["type"], edited["messageId"]) == ("message_edited", OLD_ID)
    assert (await bob.expect("message_edited"))["message"]["content"] == "rewritten"
    assert await contents(bob, "1") == ["rewritten", "an answer"]
    deleted = await alice.request(type="delete_message", messageId=OLD_ID)
    assert (deleted["type"], deleted["messageId"]) == ("message_deleted", OLD_ID)
    assert await contents(bob, "1") == ["an answer"]


async def test_an_old_message_has_no_other_id(chat):
    await store_old_message(chat, "from long ago")
    bob = await chat.join(2)
    room_id = (await run_sql(chat, "SELECT room_id FROM chat_rooms"))[0][0]
    command = {"type": "mark_message_read", "messageId": f"{room_id}-1"}
    assert (await bob.request(**command))["code"] == "RESOURCE_NOT_FOUND"


async def test_rows_that_were_never_encrypted_are_shown(chat):
    await store_old_message(chat, "")
    await run_sql(
        chat,
        "UPDATE chat_messages SET is_encrypted = false, content = 'in the clear', "
        "encrypted_content = NULL, encryption_iv = NULL",
    )
    assert await contents(await chat.join(1), "2") == ["in the clear"]


async def test_keys_and_formats_can_be_changed_while_old_rows_stay_readable(chat):
    steps = [
        {},
        {"ENCRYPTION_FORMAT": "gcm"},
        {"CHAT_ENCRYPTION_KEYS": "k1:another key with 32 characters"},
        {
            "CHAT_ENCRYPTION_KEYS": "k2:the third key - longer than that,"
            "k1:another key with 32 characters",
            "ENCRYPTION_FORMAT": "gcm",
        },
    ]
    texts = []
    for number, settings in enumerate(steps):
        await chat.stop()
        await chat.start(**settings)
        texts.append(f"text {number}")
        async with await chat.guest() as alice:
            await alice.authenticate(chat.token(1))
            await say_id(alice, "2", texts[-1])
            assert await contents(alice, "2") == texts
    rows = await run_sql(chat, "SELECT encryption_scheme FROM chat_messages ORDER BY seq")
    assert [row[0] for row in rows] == [None, "gcm:", "cbc:k1", "gcm:k2"]


async def test_a_row_that_no_key_opens_does_not_hide_the_others(chat):
    alice = await chat.join(1)
    await say_id(alice, "2", "one")
    await say_id(alice, "2", "two")
    await run_sql(chat, "UPDATE chat_messages SET encryption_scheme = 'gcm:gone' WHERE seq = 1")
    assert await contents(alice, "2") == ["[This message cannot be decrypted]", "two"]
