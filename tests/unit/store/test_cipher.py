"""The cipher against its plain definition, rows of the previous server, and damage of all kinds."""

import logging
import traceback
from contextlib import suppress
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from fastchat.store import cipher as cipher_module
from fastchat.store.cipher import Cipher, EncryptionFailed, KeyRing, Undecryptable, derive_key

KEY = "super-secure-aes-encryption-key-32"
# scrypt(KEY, "salt", N 16384, r 8, p 1, 32 bytes), as OpenSSL's command line gives it.
DERIVED = "a0d019a279b3503d38d5530ea883c276fd8fbefe69dac964c3f8db757bd7773c"
IV = "000102030405060708090a0b0c0d0e0f"
ROOM, SENDER, CLIENT_ID = "conv_1_2", "1", "c-1"
IDS = (ROOM, SENDER, CLIENT_ID)
FORMATS = ["cbc", "gcm"]
DAMAGE = "cannot be decrypted"

KEYS = KeyRing(KEY)
CIPHERS = {name: Cipher(KEYS, name) for name in FORMATS}


@dataclass(frozen=True)
class Row:
    """A stored message."""

    encrypted_content: str | None
    encryption_iv: str | None
    encryption_scheme: str | None = None
    is_encrypted: bool = True
    content: str | None = None
    sender_id: str = SENDER
    client_message_id: str | None = CLIENT_ID


def row_of(sealed, **more):
    return Row(
        sealed.encrypted_content,
        sealed.encryption_iv,
        sealed.encryption_scheme,
        sealed.is_encrypted,
        sealed.content,
        **more,
    )


def plain_cbc(key, iv, text):
    """The definition of CBC with PKCS #7 padding, by an encryptor made for this text alone."""
    padder = padding.PKCS7(128).padder()
    encryptor = BlockCipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    padded = padder.update(text) + padder.finalize()
    return encryptor.update(padded) + encryptor.finalize()


@pytest.fixture(params=FORMATS)
def cipher(request):
    """Each format in turn."""
    return Cipher(KEYS, request.param)


def test_the_key_is_derived_as_the_previous_server_did():
    assert derive_key(KEY, "salt").hex() == DERIVED


# Made by crypto.scryptSync and crypto.createCipheriv of Node.
OLD_ROWS = [
    ("", "ec5bfe92868189d409d5467727d5df8d"),
    ("hello", "f81c02ec3100701464b8e48ec9584375"),
    ("0123456789abcdef", "d57d11cc5d6d886e4845e02ee8f559b23842ba4de453e4b48c442570b8b43f83"),
    (
        "Grüße 😀 from the previous server, thirty-two and more",
        "52a5dc1751fbf37cf2976008272c2efdaa992cd109c520e0a396852cba3402a9"
        "f0b2b0aa86f4a68a5496db7591052ecb0c5d6c011ac901c3ea606a2297128f9c",
    ),
]


@pytest.mark.parametrize(("text", "ciphertext"), OLD_ROWS)
def test_rows_of_the_previous_server_are_read(text, ciphertext):
    row = Row(ciphertext, IV, client_message_id=None)
    for cipher in CIPHERS.values():
        assert cipher.open(row, ROOM) == text
        assert cipher.open(replace(row, encrypted_content=ciphertext.upper()), ROOM) == text


def test_cbc_with_the_main_key_is_what_the_previous_server_can_read():
    sealed = CIPHERS["cbc"].seal("hello", *IDS)
    assert sealed.encryption_scheme is None
    assert (sealed.is_encrypted, sealed.content) == (True, None)
    assert len(sealed.encryption_iv) == 32
    key = bytes.fromhex(DERIVED)
    expected = plain_cbc(key, bytes.fromhex(sealed.encryption_iv), b"hello")
    assert sealed.encrypted_content == expected.hex()


@given(texts=st.lists(st.text(max_size=60), min_size=1, max_size=8))
def test_sealing_one_after_the_other_is_ordinary_cbc_with_each_vector(texts):
    for text in texts:
        sealed = CIPHERS["cbc"].seal(text, *IDS)
        iv = bytes.fromhex(sealed.encryption_iv)
        assert sealed.encrypted_content == plain_cbc(KEYS.keys[""], iv, text.encode()).hex()


@given(texts=st.lists(st.text(max_size=60), min_size=1, max_size=8), order=st.randoms())
def test_ordinary_cbc_is_opened_in_any_order(texts, order):
    iv = bytes.fromhex(IV)
    rows = [(Row(plain_cbc(KEYS.keys[""], iv, t.encode()).hex(), IV), t) for t in texts]
    order.shuffle(rows)
    for row, text in rows:
        assert CIPHERS["cbc"].open(row, ROOM) == text


@pytest.mark.parametrize("name", FORMATS)
@given(text=st.text(), client_id=st.none() | st.text(min_size=1, max_size=64))
def test_what_was_sealed_is_opened_whatever_the_text(name, text, client_id):
    cipher = CIPHERS[name]
    row = row_of(cipher.seal(text, ROOM, SENDER, client_id), client_message_id=client_id)
    assert cipher.open(row, ROOM) == text


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 31, 32, 40_000])
def test_every_length_round_a_block_comes_back(cipher, length):
    text = "é" * length
    for _ in range(3):
        assert cipher.open(row_of(cipher.seal(text, *IDS)), ROOM) == text


def test_the_same_text_is_never_the_same_ciphertext(cipher):
    sealed = [cipher.seal("hello", *IDS) for _ in range(1000)]
    assert len({one.encryption_iv for one in sealed}) == 1000
    assert len({one.encrypted_content for one in sealed}) == 1000


def test_gcm_opens_a_message_only_where_it_belongs():
    gcm = CIPHERS["gcm"]
    row = row_of(gcm.seal("hello", *IDS))
    assert row.encryption_scheme == "gcm:"
    assert gcm.open(row, ROOM) == "hello"
    for other, room in [
        (row, "conv_1_3"),
        (replace(row, sender_id="2"), ROOM),
        (replace(row, client_message_id="c-2"), ROOM),
        (replace(row, client_message_id=None), ROOM),
        (replace(row, sender_id="11", client_message_id="-1"), ROOM),
    ]:
        with pytest.raises(Undecryptable):
            gcm.open(other, room)


@given(
    one=st.tuples(st.text("ab_", max_size=3), st.text("ab_", max_size=3), st.text("ab_")),
    other=st.tuples(st.text("ab_", max_size=3), st.text("ab_", max_size=3), st.text("ab_")),
)
def test_different_ids_never_bind_to_the_same_bytes(one, other):
    assert (cipher_module._join(one) == cipher_module._join(other)) == (one == other)


def test_no_key_serves_both_formats():
    sealed = CIPHERS["gcm"].seal("hello", *IDS)
    nonce, ciphertext = map(bytes.fromhex, (sealed.encryption_iv, sealed.encrypted_content))
    raw = cipher_module.AESGCM(KEYS.keys[""])
    with pytest.raises(cipher_module.InvalidTag):
        raw.decrypt(nonce, ciphertext, cipher_module._join(IDS))


def test_gcm_is_what_its_definition_says():
    """Frozen: rows must be readable for ever."""
    sealed = CIPHERS["gcm"].seal("hello", *IDS)
    key = cipher_module.hmac.digest(bytes.fromhex(DERIVED), b"fastchat gcm 1", "sha256")
    opened = cipher_module.AESGCM(key).decrypt(
        bytes.fromhex(sealed.encryption_iv),
        bytes.fromhex(sealed.encrypted_content),
        b"1\0conv_1_2\0" + b"1\0c-1",
    )
    assert opened == b"hello"


@given(position=st.integers(0, 10_000), bit=st.integers(0, 7), in_iv=st.booleans())
def test_gcm_notices_every_changed_bit(position, bit, in_iv):
    gcm = CIPHERS["gcm"]
    row = row_of(gcm.seal("hello", *IDS))
    name = "encryption_iv" if in_iv else "encrypted_content"
    damaged = bytearray.fromhex(getattr(row, name))
    damaged[position % len(damaged)] ^= 1 << bit
    with pytest.raises(Undecryptable):
        gcm.open(replace(row, **{name: damaged.hex()}), ROOM)


@pytest.mark.parametrize("name", FORMATS)
def test_a_wrong_key_is_noticed(name):
    row = row_of(Cipher(KeyRing("another key"), name).seal("hello " * 20, *IDS))
    # By chance CBC finds a right padding once in 256 times, but never this text.
    with suppress(Undecryptable):
        assert CIPHERS[name].open(row, ROOM) != "hello " * 20
        assert name == "cbc"


def test_keys_are_changed_while_old_rows_stay_readable():
    old = Cipher(KeyRing(KEY), "cbc")
    new = Cipher(KeyRing(KEY, [("2025", "second"), ("2024", "first")]), "gcm")
    newest = Cipher(KeyRing("", [("2026", "third"), ("2025", "second")]), "cbc")
    first, second = row_of(old.seal("one", *IDS)), row_of(new.seal("two", *IDS))
    third = row_of(newest.seal("three", *IDS))
    schemes = [row.encryption_scheme for row in (first, second, third)]
    assert schemes == [None, "gcm:2025", "cbc:2026"]
    assert new.open(first, ROOM) == "one"
    assert newest.open(second, ROOM) == "two"
    with pytest.raises(Undecryptable, match="unknown format or key id"):
        newest.open(first, ROOM)
    with pytest.raises(Undecryptable, match="unknown format or key id"):
        new.open(third, ROOM)


def test_a_key_ring_needs_a_key():
    with pytest.raises(ValueError, match="expected at least one"):
        KeyRing("")


def test_another_salt_is_another_key():
    assert KeyRing(KEY, salt="pepper").keys[""] != KEYS.keys[""]


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match="expected 'cbc' or 'gcm'"):
        Cipher(KEYS, "rot13")


def test_plaintext_rows_are_read_as_they_are(cipher):
    row = Row(None, None, None, is_encrypted=False, content="plain")
    assert cipher.open(row, ROOM) == "plain"
    assert cipher.open(replace(row, content=None), ROOM) == ""


HEX = st.text("0123456789abcdefABCDEF xg\0é", max_size=80) | st.binary(max_size=80).map(bytes.hex)
SCHEMES = st.sampled_from([None, "", "cbc", "cbc:", "gcm:", "gcm:x", "gcm", ":"]) | st.text()


@given(
    row=st.builds(
        Row,
        encrypted_content=st.none() | HEX,
        encryption_iv=st.none() | HEX | st.sampled_from([IV, IV[:24]]),
        encryption_scheme=SCHEMES,
        client_message_id=st.none() | st.text(),
    )
)
def test_damaged_rows_are_undecryptable_and_nothing_else(row):
    for cipher in CIPHERS.values():
        # CBC notices only the padding, so some of these are texts.
        with suppress(Undecryptable):
            assert isinstance(cipher.open(row, ROOM), str)
            assert row.encryption_scheme in (None, "", "cbc:")


RING = KeyRing(KEY, [("2025", "second")])
SEALERS = [Cipher(RING, name) for name in FORMATS]
SEALERS += [CIPHERS["cbc"], Cipher(KeyRing("another key"), "cbc")]
HEX_DAMAGE = st.sampled_from(["", " ", "  ", "0", "00", "g", "é", "\0", "00" * 16, "\n" * 32])
MIXED_ROWS = st.one_of(
    st.builds(
        lambda cipher, text: row_of(cipher.seal(text, *IDS)),
        st.sampled_from(SEALERS),
        st.text(max_size=40),
    ),
    # Sealed with the right key, but padded wrongly or no UTF-8.
    st.builds(
        lambda text, count: Row(
            plain_cbc(RING.keys[""], bytes.fromhex(IV), text)[:count].hex(), IV
        ),
        st.binary(max_size=40),
        st.sampled_from([-16, None]),
    ),
    st.builds(
        Row,
        encrypted_content=st.none() | HEX,
        encryption_iv=st.none() | HEX | st.just(IV),
        encryption_scheme=SCHEMES,
        is_encrypted=st.booleans(),
        content=st.none() | st.text(max_size=5),
    ),
)


@st.composite
def damaged_rows(draw):
    """Rows of all kinds; some of them with letters put in place of others or in between."""
    rows = draw(st.lists(MIXED_ROWS, max_size=8))
    for place, row in enumerate(rows):
        name = draw(st.sampled_from([None, None, None, "encrypted_content", "encryption_iv"]))
        text = getattr(row, name) if name else None
        if text is not None:
            start = draw(st.integers(0, len(text)))
            damage = draw(HEX_DAMAGE)
            end = start + draw(st.sampled_from([0, len(damage)]))
            rows[place] = replace(row, **{name: text[:start] + damage + text[end:]})
    return rows


def open_each(cipher, rows):
    """The definition of ``open_many``."""
    texts = []
    for row in rows:
        try:
            texts.append(cipher.open(row, ROOM))
        except Undecryptable:
            texts.append(None)
    return texts


@given(rows=damaged_rows())
def test_rows_opened_together_are_what_they_are_one_by_one(rows):
    one_by_one, together = Cipher(RING), Cipher(RING)
    assert together.open_many(rows, ROOM) == open_each(one_by_one, rows)
    assert together.undecryptable == one_by_one.undecryptable
    assert together._warned == one_by_one._warned


@pytest.mark.parametrize("name", ["encrypted_content", "encryption_iv"])
@pytest.mark.parametrize("damage", ["gg", "  ", " ", "éé", "", None])
@pytest.mark.parametrize("place", range(3))
def test_a_damaged_row_among_many_is_told_alone(caplog, name, damage, place):
    cipher = Cipher(KEYS)
    rows = [row_of(cipher.seal(f"text {number}", *IDS)) for number in range(3)]
    whole = getattr(rows[place], name)
    broken = damage if damage is None else damage + whole[len(damage) or 2 :]
    rows[place] = replace(rows[place], **{name: broken})
    expected = [f"text {number}" for number in range(3)]
    expected[place] = None
    assert cipher.open_many(rows * 2, ROOM) == expected * 2
    assert cipher.undecryptable == 2
    assert [DAMAGE in record.getMessage() for record in caplog.records] == [True]


def test_many_rows_of_one_key_are_decrypted_in_one_go(monkeypatch):
    cipher = Cipher(KEYS)
    rows = [row_of(cipher.seal(f"text {number}", *IDS)) for number in range(50)]
    rows.insert(20, Row(None, None, None, is_encrypted=False, content="plain"))
    rows.insert(30, row_of(CIPHERS["gcm"].seal("bound", *IDS)))
    decrypted = []

    def decrypt(blocks):
        decrypted.append(len(blocks))
        return decryptor.update(blocks)

    decryptor = cipher._active._decryptor
    monkeypatch.setattr(cipher._active, "decrypt", decrypt)
    texts = cipher.open_many(rows, ROOM)
    assert (texts.pop(30), texts.pop(20)) == ("bound", "plain")
    assert texts == [f"text {number}" for number in range(50)]
    assert decrypted == [50 * 32]


def test_what_is_no_utf8_is_undecryptable_and_not_quoted():
    row = Row(plain_cbc(KEYS.keys[""], bytes.fromhex(IV), b"\xff\xfesecret").hex(), IV)
    with pytest.raises(Undecryptable, match="wrong key or damaged") as caught:
        CIPHERS["cbc"].open(row, ROOM)
    assert caught.value.__context__ is None
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_a_damaged_row_leaves_its_neighbours_readable(cipher):
    rows = [row_of(cipher.seal(f"text {number}", *IDS)) for number in range(3)]
    broken = replace(rows[1], encrypted_content="00" * 32)
    assert cipher.open(rows[0], ROOM) == "text 0"
    with pytest.raises(Undecryptable):
        cipher.open(broken, ROOM)
    assert cipher.open(rows[2], ROOM) == "text 2"


def test_undecryptable_rows_are_counted_and_logged_once_per_kind(caplog):
    cipher = Cipher(KEYS, "gcm")
    damaged = replace(row_of(cipher.seal("secret", *IDS)), sender_id="2")
    unknown = replace(damaged, encryption_scheme="gcm:lost")
    with caplog.at_level(logging.WARNING):
        for row in (damaged, damaged, unknown, unknown):
            with pytest.raises(Undecryptable):
                cipher.open(row, ROOM)
    assert cipher.undecryptable == 4
    assert [DAMAGE in record.getMessage() for record in caplog.records] == [True, True]
    assert "secret" not in caplog.text
    assert damaged.encrypted_content not in caplog.text


def test_the_log_is_not_flooded_by_schemes_that_somebody_wrote(caplog):
    cipher = Cipher(KEYS)
    for number in range(100):
        with pytest.raises(Undecryptable):
            cipher.open(Row("00", IV, f"x{number}\n" + "y" * 1000), ROOM)
    assert len(caplog.records) == cipher_module.MOST_WARNINGS
    assert all(len(record.getMessage()) < 200 for record in caplog.records)
    assert all("\n" not in record.getMessage() for record in caplog.records)


def test_a_text_that_cannot_be_encrypted_is_refused_without_being_quoted(cipher, caplog):
    text = "secret\ud800"
    with pytest.raises(EncryptionFailed) as caught:
        cipher.seal(text, *IDS)
    assert caught.value.__context__ is None
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    assert caplog.text == ""
    assert cipher.plaintext_fallbacks == 0


def test_plaintext_is_stored_only_when_that_was_asked_for(caplog):
    cipher = Cipher(KEYS, fallback_plaintext=True)
    sealed = cipher.seal("secret\ud800", *IDS)
    assert sealed == ("secret\ud800", None, None, None, False)
    assert cipher.open(row_of(sealed), ROOM) == "secret\ud800"
    cipher.seal("secret\ud800", *IDS)
    assert cipher.plaintext_fallbacks == 2
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text


def test_cbc_goes_on_after_an_interrupted_encryption(monkeypatch):
    cipher = Cipher(KEYS)
    cipher.seal("before", *IDS)

    class Broken:
        def update(self, text):
            raise MemoryError

    monkeypatch.setattr(cipher._active, "_encryptor", Broken())
    with pytest.raises(EncryptionFailed, match="MemoryError"):
        cipher.seal("lost", *IDS)
    row = row_of(cipher.seal("after", *IDS))
    assert CIPHERS["cbc"].open(row, ROOM) == "after"


def test_random_bytes_are_never_given_twice_and_are_forgotten_in_a_child():
    random = cipher_module._RandomBytes(reserve=64)
    taken = [random.take(count) for count in (16, 12, 16, 12, 16, 40)]
    assert [len(one) for one in taken] == [16, 12, 16, 12, 16, 40]
    assert len(set(taken)) == 6
    random.forget()
    assert random._bytes == b""
    assert len(random.take(16)) == 16
