"""Which server has which slot of a cluster."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastchat.broker.redis_address import RedisAddress
from fastchat.broker.redis_connection import RedisRefusal
from fastchat.broker.redis_servers import SLOTS, Topology, slot_of

ASKED = RedisAddress(host="seed", port=7000, user="me", password="secret")


@pytest.mark.parametrize(
    ("channel", "slot"),
    [
        (b"123456789", 0x31C3),  # Redis Cluster specification, appendix A
        (b"foo", 12182),
        (b"{foo}.bar", 12182),
        (b"a{foo}b{bar}", 12182),
        (b"foo{}", slot_of(b"foo{}")),
        (b"", 0),
    ],
)
def test_slot_is_that_of_the_specification(channel, slot):
    assert slot_of(channel) == slot


def test_empty_tag_is_no_tag():
    assert slot_of(b"foo{}{bar}") != slot_of(b"bar")
    assert slot_of(b"foo{bar") != slot_of(b"bar")


def answer(*ranges):
    return [[first, last, [host, port, b"id", {}]] for first, last, host, port in ranges]


def test_owner_is_found_by_slot():
    found = Topology.of_slots(
        ASKED, answer((8000, SLOTS - 1, b"b", 2), (0, 99, b"a", 1), (100, 7999, b"c", 3))
    )
    assert [found.owner(slot).host for slot in (0, 99, 100, 7999, 8000, SLOTS - 1)] == list(
        "aaccbb"
    )
    assert found.is_whole
    assert {server.port for server in found.servers} == {1, 2, 3}


def test_slots_without_a_server_are_nobodys():
    found = Topology.of_slots(ASKED, answer((10, 19, b"a", 1), (30, SLOTS - 1, b"a", 1)))
    assert [found.owner(slot) is None for slot in (0, 9, 10, 19, 20, 29, 30, SLOTS - 1)] == [
        *(True, True, False, False),
        *(True, True, False, False),
    ]
    assert not found.is_whole
    assert not Topology.of_slots(ASKED, []).is_whole


@pytest.mark.parametrize("name", [None, b"", b"?"])
def test_server_without_a_name_is_the_one_that_was_asked(name):
    found = Topology.of_slots(ASKED, answer((0, SLOTS - 1, name, 7001)))
    assert found.owner(5) == ASKED.at("seed", 7001)


@pytest.mark.parametrize("wrong", [5, [5], [[0, 1]], [[0, 1, 2]], [[b"a", 1, [b"h", 1]]], [[None]]])
def test_senseless_answer_is_refused(wrong):
    with pytest.raises(RedisRefusal):
        Topology.of_slots(ASKED, wrong)


@given(st.sets(st.integers(1, SLOTS - 1), max_size=20))
def test_every_slot_has_the_owner_of_its_range(edges):
    starts = sorted({0, *edges})
    ends = [*(start - 1 for start in starts[1:]), SLOTS - 1]
    parts = [(s, e, b"host", 1000 + n) for n, (s, e) in enumerate(zip(starts, ends, strict=True))]
    found = Topology.of_slots(ASKED, answer(*parts))
    for start, end, _, port in parts:
        assert found.owner(start).port == found.owner(end).port == port
    assert found.is_whole
