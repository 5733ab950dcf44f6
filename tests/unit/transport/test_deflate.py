"""Compression of single messages."""

import contextlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastchat._speedups.deflate import Deflater, TooLarge, inflate

PAYLOADS = st.binary(max_size=5000) | st.binary(max_size=50).map(lambda data: data * 100)


@given(st.lists(PAYLOADS, max_size=5), st.integers(9, 15))
def test_each_message_comes_back_whatever_came_before(payloads, bits):
    deflater = Deflater(bits)
    for payload in payloads:
        assert inflate(deflater.deflate(payload), len(payload)) == payload


def test_message_does_not_depend_on_those_before():
    deflater = Deflater(13)
    first, second = deflater.deflate(b"hello " * 100), deflater.deflate(b"hello " * 100)
    assert first == second


@given(st.binary(max_size=2000))
def test_any_bytes_are_inflated_or_refused(data):
    with contextlib.suppress(TooLarge, ValueError):
        assert len(inflate(data, 1000)) <= 1000


@pytest.mark.parametrize("size", [1000, 1001, 10**7])
def test_message_above_the_bound_is_refused(size):
    payload = Deflater(15).deflate(bytes(size))
    if size == 1000:
        assert inflate(payload, 1000) == bytes(1000)
    else:
        with pytest.raises(TooLarge):
            inflate(payload, 1000)


def test_bomb_of_a_gigabyte_costs_no_more_than_its_bound():
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(64)) * 16
    with pytest.raises(TooLarge):
        inflate(bomb, 2**20)


def test_stream_that_ends_with_a_final_block_is_accepted():
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    assert inflate(packer.compress(b"hello") + packer.flush(zlib.Z_FINISH), 100) == b"hello"


def test_blocks_after_the_final_one_are_refused():
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(b"hello") + packer.flush(zlib.Z_FINISH)
    with pytest.raises(ValueError, match="after the end"):
        inflate(block + block, 100)
