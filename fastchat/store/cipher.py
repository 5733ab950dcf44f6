"""Messages at rest: encrypted before they reach the database, readable for ever. Hot path.

Two formats. ``cbc`` is what the previous server wrote, AES-256-CBC with PKCS #7 padding; ``gcm``
also notices when a row was changed, or copied to another place. Rows name their format and key in
``encryption_scheme``, so keys and formats can be changed while old rows stay readable.

Source: docs/protocol.md, "Tables".
"""

import hashlib
import hmac
import logging
import os
from binascii import unhexlify
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fastchat.store.messages import SealedContent

BLOCK = 16  # bytes
NONCE = 12  # bytes
_PADDINGS = tuple(bytes((BLOCK - n,)) * (BLOCK - n) for n in range(BLOCK))  # PKCS #7, by rest
MAIN_KEY = ""  # the id of CHAT_ENCRYPTION_KEY
GCM_PURPOSE = b"fastchat gcm 1"
MOST_WARNINGS = 16

# Of a message: its conversation, its sender, and the id the sender gave it, if any.
Ids = tuple[str, str, str | None]

log = logging.getLogger(__name__)


class EncryptionFailed(Exception):
    """The text could not be encrypted; nothing of it is in this exception."""


class Undecryptable(Exception):
    """The row cannot be read; ``str`` is the reason, without anything of its content."""


class OwnRow(NamedTuple):
    """The text of a row that is the server's own; encrypted as a message of nobody's."""

    content: str | None
    encrypted_content: str | None
    encryption_iv: str | None
    encryption_scheme: str | None
    sender_id: str = ""
    client_message_id: str | None = None

    @property
    def is_encrypted(self) -> bool:
        """False: the text is in ``content``."""
        return self.content is None


class Sealed(NamedTuple):
    """Content ready to be stored: the columns of ``chat_messages`` of the same names."""

    content: str | None
    encrypted_content: str | None
    encryption_iv: str | None
    encryption_scheme: str | None
    is_encrypted: bool


class SealedRow(SealedContent, Protocol):
    """A stored message, as far as its text is concerned; the previous server noted no scheme."""

    @property
    def sender_id(self) -> str:
        """Who sent it."""

    @property
    def client_message_id(self) -> str | None:
        """The id the sender gave it, if any."""

    @property
    def is_encrypted(self) -> bool:
        """False: the text is in ``content``."""


def derive_key(key: str, salt: str) -> bytes:
    """Return the 32 bytes that encrypt; takes 40 to 170 ms and 16 MiB, as scrypt is meant to."""
    return hashlib.scrypt(
        key.encode(errors="surrogateescape"),
        salt=salt.encode(errors="surrogateescape"),
        n=16384,
        r=8,
        p=1,
        maxmem=64 * 1024 * 1024,
        dklen=32,
    )


class KeyRing:
    """All keys that decrypt, derived once, and which of them encrypts."""

    __slots__ = ("active", "keys")

    def __init__(
        self, key: str, further: Sequence[tuple[str, str]] = (), *, salt: str = "salt"
    ) -> None:
        """Derive the keys.

        Args:
            key: ``CHAT_ENCRYPTION_KEY``; may be empty when there are others.
            further: ``CHAT_ENCRYPTION_KEYS`` as ``(id, key)``; the first one encrypts.
            salt: ``CHAT_ENCRYPTION_SALT``.

        Raises:
            ValueError: there is no key.
        """
        named = ([(MAIN_KEY, key)] if key else []) + list(further)
        if not named:
            raise ValueError("no encryption key: expected at least one")
        self.keys = {key_id: derive_key(text, salt) for key_id, text in named}
        self.active = further[0][0] if further else MAIN_KEY


class Cipher:
    """Seals new messages with the active key and opens all that a key is known for.

    For one thread. Attributes:
        plaintext_fallbacks: Messages stored readable because their encryption failed.
        undecryptable: Rows that could not be opened.
    """

    def __init__(
        self, keys: KeyRing, format_name: str = "cbc", *, fallback_plaintext: bool = False
    ) -> None:
        """Take the keys and the format of new rows.

        Args:
            keys: The keys.
            format_name: ``cbc`` or ``gcm``.
            fallback_plaintext: Let a message whose encryption fails be stored readable, with a
                warning and counted, instead of refusing it.

        Raises:
            ValueError: another format.
        """
        formats: dict[str, type[_Cbc] | type[_Gcm]] = {"cbc": _Cbc, "gcm": _Gcm}
        if format_name not in formats:
            raise ValueError(f"format={format_name!r}: expected 'cbc' or 'gcm'")
        random = _RandomBytes()
        self._formats = {
            f"{name}:{key_id}": formats[name](key, random)
            for name in formats
            for key_id, key in keys.keys.items()
        }
        scheme = f"{format_name}:{keys.active}"
        self._active = self._formats[scheme]
        self._vector_end = 2 * self._active.vector_size  # in hexadecimal
        # As the previous server wrote it, so that it can still read the row.
        self._scheme = None if scheme == f"cbc:{MAIN_KEY}" else scheme
        self._fallback_plaintext = fallback_plaintext
        self._warned: set[str] = set()
        self.plaintext_fallbacks = 0
        self.undecryptable = 0

    def seal(
        self, text: str, conversation_id: str, sender_id: str, client_message_id: str | None = None
    ) -> Sealed:
        """Encrypt the text of a message; with ``gcm``, bound to these three ids.

        An edit is sealed with the sender and the client id of the stored message.

        Raises:
            EncryptionFailed: and plaintext is not allowed.
        """
        try:
            sealed = self._active.seal(
                text.encode(), (conversation_id, sender_id, client_message_id)
            ).hex()
        except Exception as error:
            reason = type(error).__name__
        else:
            end = self._vector_end
            return Sealed(None, sealed[end:], sealed[:end], self._scheme, True)
        # Out here, what is raised has no context: that could quote the text in a traceback.
        return self._fall_back(text, reason)

    def open(self, row: SealedRow, conversation_id: str) -> str:
        """Return the text of a stored message of this conversation.

        Raises:
            Undecryptable: there is no such key, or the row is damaged. Each kind is logged once.
        """
        if not row.is_encrypted:
            return row.content or ""
        scheme = row.encryption_scheme or f"cbc:{MAIN_KEY}"
        try:
            return self._open(row, scheme, conversation_id)
        except Undecryptable as error:
            self.undecryptable += 1
            self._warn(f"stored messages cannot be decrypted ({scheme[:64]!r}): {error}")
            raise

    def open_many(self, rows: Sequence[SealedRow], conversation_id: str) -> list[str | None]:
        """Return the texts of messages of one conversation, None for each that ``open`` refuses.

        Rows of CBC and one key cost two fifths of what they cost one by one
        (benchmarks/test_encrypt.py).
        """
        if len(rows) < 2:
            return [self._open_or_none(row, conversation_id) for row in rows]
        # What is left is of another kind, or damaged: ``open`` knows.
        return [
            self._open_or_none(row, conversation_id) if text is None else text
            for row, text in zip(rows, self._open_together(rows), strict=True)
        ]

    def _open_or_none(self, row: SealedRow, conversation_id: str) -> str | None:
        try:
            return self.open(row, conversation_id)
        except Undecryptable:
            return None

    def _open_together(self, rows: Sequence[SealedRow]) -> list[str | None]:
        """Return the texts of the rows that have the scheme of the first one, if that is CBC.

        None for each that has not, or that is damaged, and for all if one is not in hexadecimal.
        """
        texts: list[str | None] = [None] * len(rows)
        scheme = rows[0].encryption_scheme
        opener = self._formats.get(scheme or f"cbc:{MAIN_KEY}")
        if not isinstance(opener, _Cbc):
            return texts
        pieces: list[str] = []
        ends: list[tuple[int, int]] = []  # of a row: its place, and where its text ends
        end = 0
        for place, row in enumerate(rows):
            iv, sealed = row.encryption_iv, row.encrypted_content
            if (
                iv
                and sealed
                and row.is_encrypted
                and row.encryption_scheme == scheme
                and len(iv) == 2 * BLOCK
                and len(sealed) % (2 * BLOCK) == 0
            ):
                pieces += iv, sealed
                end += BLOCK + len(sealed) // 2
                ends.append((place, end))
        try:
            # Not ``fromhex``, which skips spaces: the rows behind one would be out of step.
            padded = opener.decrypt(unhexlify("".join(pieces)))
        except ValueError:
            return texts
        start = BLOCK
        for place, end in ends:
            count = padded[end - 1]
            if 1 <= count <= BLOCK and padded.endswith(_PADDINGS[-count], start, end):
                try:
                    texts[place] = padded[start : end - count].decode()
                except UnicodeDecodeError:
                    texts[place] = None
            start = end + BLOCK
        return texts

    def _open(self, row: SealedRow, scheme: str, conversation_id: str) -> str:
        opener = self._formats.get(scheme)
        if opener is None:
            raise Undecryptable("unknown format or key id")
        if not row.encrypted_content or not row.encryption_iv:
            raise Undecryptable("ciphertext or initialisation vector is missing")
        try:
            iv, sealed = bytes.fromhex(row.encryption_iv), bytes.fromhex(row.encrypted_content)
        except ValueError:
            raise Undecryptable("not in hexadecimal") from None
        text = opener.open(iv, sealed, (conversation_id, row.sender_id, row.client_message_id))
        with suppress(UnicodeDecodeError):  # it quotes what it was given, so nothing is chained
            return text.decode()
        raise Undecryptable("wrong key or damaged")

    def _fall_back(self, text: str, reason: str) -> Sealed:
        if not self._fallback_plaintext:
            raise EncryptionFailed(reason)
        self.plaintext_fallbacks += 1
        self._warn(f"encryption failed ({reason}): messages are stored in plaintext")
        return Sealed(text, None, None, None, False)

    def _warn(self, sentence: str) -> None:
        if sentence not in self._warned and len(self._warned) < MOST_WARNINGS:
            self._warned.add(sentence)
            log.warning("%s", sentence)


class _RandomBytes:
    """Random bytes, asked of the system a few thousand at a time: 0.1 instead of 0.6 µs each."""

    def __init__(self, reserve: int = 4096) -> None:
        self._reserve = reserve
        self._bytes = b""
        self._used = 0
        # Two processes with the same bytes would use one nonce twice.
        os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        self._bytes = b""
        self._used = 0

    def take(self, count: int) -> bytes:
        start = self._used
        end = start + count
        if end > len(self._bytes):
            self._bytes = os.urandom(self._reserve)
            start, end = 0, count
        self._used = end
        return self._bytes[start:end]


class _Cbc:
    """AES-256-CBC with PKCS #7 padding, by one encryptor and one decryptor for ever.

    To make them for each message would cost more than the encryption. They go on from the last
    ciphertext block, where CBC would begin with an initialisation vector. So a block is put in
    front: random bytes when a message is sealed, whose ciphertext, as random as they are, is the
    vector of what follows; the vector when one is opened, behind which all opens as it should.
    """

    vector_size = BLOCK

    def __init__(self, key: bytes, random: _RandomBytes) -> None:
        self._cipher = BlockCipher(algorithms.AES(key), modes.CBC(bytes(BLOCK)))
        self._random = random
        self._start()

    def _start(self) -> None:
        self._encryptor = self._cipher.encryptor()
        self._decryptor = self._cipher.decryptor()

    def seal(self, text: bytes, ids: Ids) -> bytes:
        """Return the vector with the ciphertext behind it; CBC binds nothing."""
        padding = _PADDINGS[len(text) % BLOCK]
        try:
            return self._encryptor.update(self._random.take(BLOCK) + text + padding)
        except BaseException:
            self._start()  # nobody knows where it stopped
            raise

    def open(self, iv: bytes, sealed: bytes, ids: Ids) -> bytes:
        """Return the text.

        Raises:
            Undecryptable: wrong length or padding.
        """
        if len(iv) != BLOCK or not sealed or len(sealed) % BLOCK:
            raise Undecryptable("wrong length")
        padded = self.decrypt(iv + sealed)
        count = padded[-1]
        if not 1 <= count <= BLOCK or not padded.endswith(_PADDINGS[-count]):
            raise Undecryptable("wrong key or damaged")
        return padded[BLOCK:-count]

    def decrypt(self, blocks: bytes) -> bytes:
        """Decrypt any number of texts, each behind its vector, whose place then holds no text."""
        try:
            return self._decryptor.update(blocks)
        except BaseException:
            self._start()
            raise


class _Gcm:
    """AES-256-GCM; the tag is the end of the ciphertext.

    Its key is made from the one that CBC uses: a key serves one mode only. Nonces are random, so a
    key should be replaced before it has sealed 2^32 messages (NIST SP 800-38D, section 8.3).
    """

    vector_size = NONCE

    def __init__(self, key: bytes, random: _RandomBytes) -> None:
        self._cipher = AESGCM(hmac.digest(key, GCM_PURPOSE, "sha256"))
        self._random = random

    def seal(self, text: bytes, ids: Ids) -> bytes:
        """Return the nonce with the ciphertext behind it, bound to the ids."""
        nonce = self._random.take(NONCE)
        return nonce + self._cipher.encrypt(nonce, text, _join(ids))

    def open(self, iv: bytes, sealed: bytes, ids: Ids) -> bytes:
        """Return the text.

        Raises:
            Undecryptable: wrong key, damaged, or of another message.
        """
        if len(iv) != NONCE:
            raise Undecryptable("wrong length")
        try:
            return self._cipher.decrypt(iv, sealed, _join(ids))
        except InvalidTag:
            raise Undecryptable("wrong key, damaged, or copied from another message") from None


def _join(ids: Ids) -> bytes:
    """Return what a GCM ciphertext is bound to: the version of this format, then the ids."""
    # No id can hold U+0000, so different ids never give the same bytes.
    conversation_id, sender_id, client_message_id = ids
    return f"1\0{conversation_id}\0{sender_id}\0{client_message_id or ''}".encode()
