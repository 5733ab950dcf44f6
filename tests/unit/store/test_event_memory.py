"""The copy of queued events in memory: bounded, and gone when nobody needs it."""

from fastchat.store.event_memory import ENTRY_SIZE, USER_SIZE, EventMemory


def test_remembers_an_event_for_each_of_its_users_in_order():
    memory = EventMemory()
    memory.keep(5, b"one", ["a", "b"], 0.0)
    memory.keep(7, b"two", ["a"], 0.0)
    assert (memory.event_ids("a"), memory.event_ids("b"), memory.event_ids("c")) == (
        [5, 7],
        [5],
        [],
    )
    assert (memory.get(5), memory.get(7), memory.get(6)) == (b"one", b"two", None)


def test_drops_an_event_when_the_last_of_its_users_has_got_it():
    memory = EventMemory()
    memory.keep(5, b"one", ["a", "b"], 0.0)
    memory.forget("a", [5, 6])
    assert (memory.event_ids("a"), memory.get(5)) == ([], b"one")
    memory.forget("a", [5])
    memory.forget("b", [5])
    assert memory.get(5) is None
    assert (len(memory), memory.size, memory.event_ids("b")) == (0, 0, [])


def test_drops_the_oldest_when_there_is_no_more_room():
    size = ENTRY_SIZE + USER_SIZE + 100
    memory = EventMemory(most_bytes=3 * size)
    for number in range(5):
        memory.keep(number, b"x" * 100, ["a"], 0.0)
    assert memory.event_ids("a") == [2, 3, 4]
    assert memory.size == 3 * size
    memory.keep(9, b"x" * 10_000, ["b"], 0.0)
    assert (len(memory), memory.size, memory.event_ids("a"), memory.event_ids("b")) == (
        0,
        0,
        [],
        [],
    )


def test_drops_what_is_a_day_old():
    memory = EventMemory()
    memory.keep(1, b"old", ["a", "b"], 0.0)
    memory.keep(2, b"new", ["a"], 10.0)
    assert sum(memory.sweep(86_400.0)) == 0
    assert sum(memory.sweep(86_401.0)) == 1
    assert (memory.get(1), memory.event_ids("a"), memory.event_ids("b")) == (None, [2], [])
    assert sum(memory.sweep(90_000.0)) == 1
    assert memory.size == 0
