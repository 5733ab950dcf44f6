"""Ids: the canonical text, and nothing else, is a value of the column's type."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastchat.store.ids import to_native

BOUNDS = {"integer": 1 << 31, "bigint": 1 << 63}


@pytest.mark.parametrize("id_type", BOUNDS)
@given(number=st.integers())
def test_decimal_text_is_its_number_exactly_within_the_range(id_type, number):
    bound = BOUNDS[id_type]
    expected = number if -bound <= number < bound else None
    assert to_native(str(number), id_type) == expected


@pytest.mark.parametrize("id_type", BOUNDS)
@given(text=st.text())
def test_a_text_is_a_number_only_when_it_is_that_numbers_own_text(id_type, text):
    number = to_native(text, id_type)
    assert number is None or str(number) == text


@pytest.mark.parametrize("id_type", BOUNDS)
@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "1\n",
        "01",
        "+1",
        "-0",
        "--1",
        "1_0",
        "1.0",
        "1e3",
        "0x1",
        "\uff11",
        "\u0661",
        "²",
    ],
)
def test_other_spellings_of_a_number_are_other_ids(id_type, text):
    assert to_native(text, id_type) is None


@given(value=st.uuids())
def test_lower_case_text_of_a_uuid_is_that_uuid(value):
    assert to_native(str(value), "uuid") == value


@given(value=st.uuids(version=4))
def test_other_spellings_of_a_uuid_are_other_ids(value):
    for text in (value.hex, f"{{{value}}}", f"urn:uuid:{value}", f" {value}", f"{value}\n"):
        assert to_native(text, "uuid") is None
    if str(value) != str(value).upper():
        assert to_native(str(value).upper(), "uuid") is None


@given(text=st.text())
def test_a_text_is_a_uuid_only_when_it_is_that_uuids_own_text(text):
    value = to_native(text, "uuid")
    assert value is None or (isinstance(value, UUID) and str(value) == text)


@given(text=st.text())
def test_text_is_itself(text):
    assert to_native(text, "text") == text


def test_an_unknown_type_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="expected integer, bigint, text or uuid"):
        to_native("1", "money")
