"""Encryption and decryption of 200 bytes, in both formats; and pages of them."""

import json
import os

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes

from fastchat.handlers.rows import RowEncoder
from fastchat.store.cipher import Cipher, KeyRing
from fastchat.store.messages import MessageRow
from fastchat.store.rooms import Room

TEXT = "x" * 200
IDS = ("conv_1001_1002", "1001", "5b0c2c0e-7f0c-4b8e-9c3f-0a9d5d0f6a11")


@pytest.fixture(scope="module")
def keys():
    return KeyRing("a key for benchmarks, of 32 chars")


@pytest.fixture(params=["cbc", "gcm"])
def cipher(request, keys):
    return Cipher(keys, request.param)


def row_of(sealed):
    return MessageRow(
        seq=3,
        rev=4,
        created_at=0.0,
        edited_at=None,
        old_id=None,
        sender_id=IDS[1],
        username="alice",
        reply_to=None,
        client_message_id=IDS[2],
        is_encrypted=sealed.is_encrypted,
        content=sealed.content,
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


def test_encrypt(benchmark, cipher):
    sealed = benchmark(cipher.seal, TEXT, *IDS)
    assert sealed.is_encrypted
    assert cipher.open(row_of(sealed), IDS[0]) == TEXT


def test_decrypt(benchmark, cipher):
    row = row_of(cipher.seal(TEXT, *IDS))
    assert benchmark(cipher.open, row, IDS[0]) == TEXT


def test_decrypt_50_together(benchmark, cipher):
    """What a page of history costs; CBC is opened in one go."""
    rows = [row_of(cipher.seal(TEXT, *IDS)) for _ in range(50)]
    assert benchmark(cipher.open_many, rows, IDS[0]) == [TEXT] * 50


def test_encode_50_rows(benchmark, cipher):
    """The same, and JSON of them."""
    rows = [row_of(cipher.seal(TEXT, *IDS)) for _ in range(50)]
    room = Room(7, IDS[0], "1001", "1002")
    messages = benchmark(RowEncoder(cipher).encode, room, rows)
    assert [json.loads(message)["content"] for message in messages] == [TEXT] * 50


def test_encrypt_with_a_new_encryptor(benchmark, keys):
    """What one encryptor for ever saves."""
    block_cipher = algorithms.AES(keys.keys[""])

    def encrypt():
        encryptor = BlockCipher(block_cipher, modes.CBC(os.urandom(16))).encryptor()
        return (encryptor.update(TEXT.encode() + b"\x08" * 8) + encryptor.finalize()).hex()

    assert len(benchmark(encrypt)) == 2 * 208
