import pytest

from fastchat.store.messages import MessageRef, make_message_id, parse_reference


def test_an_id_that_was_made_points_back():
    assert parse_reference(make_message_id(12, 345)) == MessageRef(12, 345)


def test_the_largest_position_has_an_id():
    largest = (1 << 63) - 1
    assert parse_reference(f"{largest}-{largest}") == MessageRef(largest, largest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1-",
        "-1",
        "0-1",
        "1-0",
        "01-1",
        "1-01",
        "+1-1",
        " 1-1",
        "1-1 ",
        "1-1\n",
        "1--1",
        "1-1-1",
        "\u0661-\u0661",
        "\uff11-\uff11",
        "9223372036854775808-1",
        "1-9223372036854775808",
        "00000000-0000-4000-8000-000000000000",
    ],
)
def test_only_the_canonical_text_points_anywhere(text):
    assert parse_reference(text) is None
