"""Who is mentioned in a text."""

import pytest

from fastchat.handlers.mentions import MOST_MENTIONS, encode_mentions, find_mentions

MEMBERS = {"1": "alice", "2": "Bob", "3": "bob.smith", "4": "Zoë", "5": "al-ex", "6": "BOB"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@alice", ["1"]),
        ("hi @ALICE!", ["1"]),
        ("@bob", ["2", "6"]),
        ("@bob.smith", ["3"]),
        ("@bob.smith.", ["3"]),
        ("@bob.jones", ["2", "6"]),
        ("@bob's", ["2", "6"]),
        ("@bobby", []),
        ("@zoË\n@alice", ["4", "1"]),
        ("@al-ex", ["5"]),
        ("x@alice", []),
        ("(@alice)", []),
        ("@ alice", []),
        ("@", []),
        ("@alice @alice", ["1"]),
        ("@everyone", [None]),
        ("@All, @alice", [None, "1"]),
        ("@allison", []),
        ("@nobody", []),
    ],
)
def test_finds_the_members_that_a_text_names(text, expected):
    assert find_mentions(text, MEMBERS, "9") == expected


def test_the_sender_does_not_mention_himself():
    assert find_mentions("@bob @alice", MEMBERS, "2") == ["6", "1"]


def test_a_text_mentions_no_more_than_the_bound():
    members = {str(n): f"u{n}" for n in range(MOST_MENTIONS + 10)}
    text = " ".join(f"@u{n}" for n in range(MOST_MENTIONS + 10))
    assert len(find_mentions(text, members, "x")) == MOST_MENTIONS


def test_a_long_word_is_looked_at_once():
    assert find_mentions("@" + "a" * 10_000, MEMBERS, "9") == []


def test_no_mentions_are_stored_as_nothing():
    assert encode_mentions([]) is None
    assert encode_mentions(["1", None]) == '["1",null]'
