import pytest

from fastchat.store.batch import Batch, Entry, NewMessage, group


def make_entry(room_id, text, *, sender="1", client_id=None):
    message = NewMessage(
        room_id=room_id,
        conversation_id=f"room {room_id}",
        user1_id="1",
        user2_id="2",
        sender_id=sender,
        recipient_id="2",
        content=None,
        encrypted_content=text,
        encryption_iv="00",
        encryption_scheme=None,
        client_message_id=client_id,
    )
    return Entry(message, lambda outcome: None, 0.0)


def texts(entries):
    return [entry.message.encrypted_content for entry in entries]


def test_rooms_keep_the_order_of_arrival():
    batch = group([make_entry(room, text) for room, text in ((2, "a"), (1, "b"), (2, "c"))])
    assert {room: texts(entries) for room, entries in batch.rooms.items()} == {
        2: ["a", "c"],
        1: ["b"],
    }
    assert texts(batch.entries) == ["a", "c", "b"]


def test_a_repeated_client_id_is_folded_into_the_first():
    first, *rest = entries = [make_entry(1, text, client_id="x") for text in "abc"]
    batch = group(entries)
    assert batch.entries == [first]
    assert first.repeats == rest


@pytest.mark.parametrize(
    "other",
    [
        make_entry(1, "b", client_id="y"),
        make_entry(2, "b", client_id="x"),
        make_entry(1, "b", client_id="x", sender="2"),
        make_entry(1, "b"),
    ],
)
def test_nothing_else_is_a_repeat(other):
    first = make_entry(1, "a", client_id="x")
    assert len(group([first, other]).entries) == 2
    assert not first.repeats


def test_two_messages_without_a_client_id_are_two():
    assert len(group([make_entry(1, "a"), make_entry(1, "a")]).entries) == 2


def test_grouping_again_keeps_what_was_folded():
    entries = [make_entry(1, text, client_id="x") for text in "abc"]
    batch = group(group(entries[:2]).entries + group(entries[2:]).entries)
    assert texts(batch.entries) == ["a"]
    assert texts(entries[0].repeats) == ["b", "c"]


def test_a_folded_repeat_brings_its_own_repeats_along():
    first, second, third = (make_entry(1, text, client_id="x") for text in "abc")
    group([second, third])
    group([first, second])
    assert (texts(first.repeats), second.repeats) == (["b", "c"], None)


def test_halves_have_everything_once_and_the_earlier_messages_of_a_room_first():
    batch = group([make_entry(number % 2, f"{number}") for number in range(7)])
    one, other = batch.split()
    assert texts(one.entries) + texts(other.entries) == texts(batch.entries)
    assert (len(one.entries), len(other.entries)) == (3, 4)
    assert texts(one.rooms[0]) + texts(other.rooms[0]) == ["0", "2", "4", "6"]


def test_an_empty_batch_has_no_entries():
    assert group([]) == Batch({}, [])
