"""The shared table: places, connections, and a process that dies at each of its stores."""

import pytest

from fastchat._speedups import shared_window_c, shared_window_py
from fastchat._speedups.shared_layout import SEATS, TAIL, TICKS, TURN_BITS
from fastchat.admission.table import LEAST_ENTRIES, MOST_ENTRIES, WAYS, WindowTable
from tests.unit.admission.sharing import (
    SMALL,
    DeadlyWords,
    Killed,
    TwinLedger,
    assert_sound,
    entries,
    stamps,
)

TWINS = [shared_window_py, shared_window_c]
LENGTH = 60.0  # seconds of a window
LIMIT = 40


@pytest.fixture
def table():
    """One bucket, so that its end is near."""
    table = WindowTable(seats=4, entries=WAYS, arena=SMALL)
    yield table
    assert_sound(table)
    table.close()


@pytest.fixture(params=TWINS, ids=["pure", "compiled"])
def twin(request):
    return request.param


@pytest.fixture
def ledger(twin, table):
    return TwinLedger(twin, table, seat=1, run=1)


@pytest.fixture
def other(twin, table):
    return TwinLedger(twin, table, seat=2, run=2)


def fill(ledger, now=0.0):
    """Count once under as many names as there are places."""
    windows = [ledger.open_window("test", f"name {n}", LIMIT, LENGTH) for n in range(WAYS)]
    for window in windows:
        assert window.take(now) == 0.0
    return windows


def test_names_of_different_kinds_are_different_and_keys_are_secret(table):
    keys = {table.key_of(kind, name) for kind in ("message", "command") for name in ("1", "2")}
    other = WindowTable(seats=2, entries=WAYS, arena=SMALL)
    keys.add(other.key_of("message", "1"))
    other.close()
    assert len(keys) == 5
    assert table.key_of("message", "\udc80") != table.key_of("message", "")


def test_full_table_lets_a_worker_decide_alone_and_counts_that(table, ledger, other):
    fill(ledger)
    window = other.open_window("test", "one more", 2, LENGTH)
    assert [window.take(0.0) for _ in range(3)] == [0.0, 0.0, LENGTH]
    assert other.misses == 3
    assert other.connections_elsewhere(window, 0.0) == 0
    other.set_connections(window, 1)
    assert other.misses == 4
    assert ledger.misses == 0


def test_place_is_taken_from_who_is_not_held_and_has_left_the_window(table, ledger, other):
    windows = fill(ledger, now=10.0)
    for window in windows[1:]:
        ledger.close_window(window, 10.0)
    late = other.open_window("test", "late", LIMIT, LENGTH)
    assert late.take(69.0) == 0.0
    assert other.misses == 1
    assert late.take(70.0) == 0.0
    assert other.misses == 1
    # What is held stays, however long ago it was used.
    held = windows[0].entry
    for number in range(3 * WAYS):
        window = other.open_window("test", str(number), LIMIT, LENGTH)
        assert window.take(200.0) == 0.0
    assert held in entries(table).values()
    assert windows[0].take(300.0) == 0.0


def test_what_was_counted_is_known_to_who_comes_back(ledger, other):
    window = ledger.open_window("test", "alice", LIMIT, LENGTH)
    for _ in range(LIMIT):
        assert window.take(0.0) == 0.0
    ledger.close_window(window, 0.0)
    assert window.entry == 0
    for process in (ledger, other):
        assert process.open_window("test", "alice", LIMIT, LENGTH).take(1.0) == LENGTH - 1.0


def test_place_of_a_large_ring_is_used_again_without_more_memory(table, ledger):
    unused = []
    for number in range(5):
        now = number * 100.0
        for name in range(WAYS):
            window = ledger.open_window("test", f"{number}/{name}", 200, LENGTH)
            assert [window.take(now) for _ in range(201)] == [0.0] * 200 + [LENGTH]
            ledger.close_window(window, now)
        unused.append(table.words[0])
    assert len(set(unused)) == 1
    assert ledger.misses == 0


def test_large_ring_is_given_back_by_the_last_who_lets_go_when_it_is_idle(table, ledger, other):
    windows = [one.open_window("test", "alice", 200, LENGTH) for one in (ledger, other)]
    for window in windows:
        for _ in range(50):
            assert window.take(1.0) == 0.0
    ledger.close_window(windows[0], 61.0)
    assert len(entries(table)) == 1
    other.close_window(windows[1], 61.0)
    assert entries(table) == {}
    assert windows[0].take(61.0) == 0.0
    # Not before: what was counted is still known.
    for _ in range(99):
        assert windows[0].take(61.0) == 0.0
    ledger.close_window(windows[0], 120.0)
    assert len(entries(table)) == 1


def test_name_that_got_another_place_keeps_it_when_the_first_one_is_let_go(table, ledger, other):
    windows = fill(other)
    mine = ledger.open_window("test", "name 0", LIMIT, LENGTH)
    assert mine.take(0.0) == 0.0
    # As a process leaves it that is stopped in the middle of letting go.
    table.words[mine.entry + SEATS + 1] = 0
    for window in windows:
        other.close_window(window, 0.0)
    new = other.open_window("test", "new", LIMIT, LENGTH)
    again = other.open_window("test", "name 0", LIMIT, LENGTH)
    for _ in range(20):
        assert new.take(100.0) == 0.0
        assert again.take(100.0) == 0.0
    assert mine.entry == new.entry != again.entry
    other.close_window(new, 100.0)
    other.close_window(again, 100.0)
    known = entries(table)
    ledger.close_window(mine, 300.0)
    assert entries(table) == known


def test_without_memory_for_a_larger_ring_a_worker_decides_alone(twin):
    table = WindowTable(seats=2, entries=WAYS, arena=320)
    ledger = TwinLedger(twin, table, seat=1, run=1)
    window = ledger.open_window("test", "alice", 20, LENGTH)
    assert [window.take(0.0) for _ in range(8)] == [0.0] * 8
    assert ledger.misses == 0
    assert [window.take(0.0) for _ in range(9)] == [0.0] * 9
    assert ledger.misses == 1
    assert [window.take(0.0) for _ in range(20)] == [0.0] * 19 + [LENGTH]
    assert ledger.misses == 21
    assert window.take(LENGTH) == 0.0
    assert ledger.misses == 21
    assert_sound(table)
    table.close()


def test_connections_are_those_of_processes_that_live(table, ledger, other):
    mine, theirs = (one.open_window("address", "::1", 10, LENGTH) for one in (ledger, other))
    for process, window, elsewhere in ((ledger, mine, 0), (other, theirs, 3)):
        assert process.connections_elsewhere(window, 0.0) == elsewhere
        process.set_connections(window, 3)
    assert ledger.connections_elsewhere(mine, 0.0) == 3
    other.set_connections(theirs, 2)
    assert ledger.connections_elsewhere(mine, 0.0) == 2
    table.leave(2)
    assert ledger.connections_elsewhere(mine, 0.0) == 0
    # Its successor on the same seat has none of them.
    successor = TwinLedger(other.twin, table, seat=2, run=3)
    window = successor.open_window("address", "::1", 10, LENGTH)
    assert successor.connections_elsewhere(window, 0.0) == 3
    assert ledger.connections_elsewhere(mine, 0.0) == 0


def test_what_a_dead_process_held_is_free_again(table, ledger, other):
    fill(ledger)
    table.leave(1)
    window = other.open_window("test", "late", LIMIT, LENGTH)
    assert window.take(59.0) == 0.0
    assert other.misses == 1
    assert window.take(60.0) == 0.0
    assert other.misses == 1


def test_position_that_was_not_moved_on_is_moved_by_the_next(table, ledger, other):
    """As a process leaves it that is killed between its two stores."""
    window = ledger.open_window("test", "alice", LIMIT, LENGTH)
    theirs = other.open_window("test", "alice", LIMIT, LENGTH)
    for number in range(LIMIT - 1):
        assert window.take(number) == 0.0
        table.words[window.entry + TAIL] -= 1
        assert theirs.wait(number) == 0.0
        assert not theirs.is_idle(number + 59.0)
        assert len(stamps(table, window.entry)) == number + 1
    assert theirs.take(50.0) == 0.0
    assert theirs.take(50.0) == 10.0


@pytest.mark.parametrize(("workers", "connections"), [(2, 50), (4, 20_000), (1024, 10_000_000)])
def test_table_of_a_host_has_room_for_all_connections_within_bounds(workers, connections):
    table = WindowTable.for_host(workers + 2, workers, connections)
    places = table._buckets * WAYS
    assert LEAST_ENTRIES <= places <= MOST_ENTRIES
    assert places == MOST_ENTRIES or places >= 16 * workers * connections
    table.close()


def count(window, times, now=0.0):
    for _ in range(times):
        assert window.take(now) == 0.0


def count_in_larger_ring(ledger):
    """The ring of this name is full."""
    ledger.open_window("test", "name 0", LIMIT, LENGTH).take(1.0)


def count_in_place_of_another(ledger):
    """All places are taken; the first that can be had is one with several rings."""
    ledger.open_window("test", "new", LIMIT, LENGTH).take(100.0)


def connect_and_leave(ledger):
    window = ledger.open_window("test", "name 0", LIMIT, LENGTH)
    with ledger.exclusive():
        ledger.connections_elsewhere(window, 0.0)
        ledger.set_connections(window, 1)
    ledger.set_connections(window, 0)
    ledger.close_window(window, 0.0)


def give_back(ledger):
    """The only process with this name, whose rings are large, lets it go."""
    window = ledger.open_window("test", "name 1", LIMIT, LENGTH)
    window.wait(0.0)
    ledger.close_window(window, 100.0)


@pytest.mark.parametrize(
    ("work", "name", "before", "now"),
    [
        (count_in_larger_ring, "name 0", 8, 1.0),
        (count_in_place_of_another, "new", 0, 100.0),
        (connect_and_leave, "name 0", 8, 1.0),
        (give_back, "name 1", 0, 100.0),
    ],
)
def test_process_that_dies_at_any_store_has_counted_or_has_not(twin, work, name, before, now):
    stores = 0
    is_dead = True
    while is_dead:
        table = WindowTable(seats=4, entries=WAYS, arena=SMALL)
        survivor = TwinLedger(twin, table, seat=2, run=2)
        windows = fill(survivor)
        count(windows[0], 7)
        count(windows[1], 31)
        for window in windows[1:]:
            survivor.close_window(window, 0.0)
        words = table.words
        table.words = deadly = DeadlyWords(words)
        dying = TwinLedger(shared_window_py, table, seat=1, run=1)
        deadly.left = stores
        try:
            work(dying)
            is_dead = False
        except Killed:
            stores += 1
        table.words = words
        assert_sound(table)
        table.leave(1)
        successor = TwinLedger(twin, table, seat=1, run=3)
        found = [one.open_window("test", name, LIMIT, LENGTH) for one in (survivor, successor)]
        assert [found[0].wait(now), found[1].wait(now)] == [0.0, 0.0]
        assert successor.connections_elsewhere(found[1], now) == 0
        ticks = int(now * TICKS)
        counted = sum(
            ticks - (stamp >> TURN_BITS) < LENGTH * TICKS for stamp in stamps(table, found[0].entry)
        )
        assert counted in (before, before + 1)
        for number in range(LIMIT - counted):
            assert found[number % 2].take(now) == 0.0
        assert found[0].take(now) > 0.0
        assert found[1].take(now) > 0.0
        assert (survivor.misses, successor.misses) == (0, 0)
        assert_sound(table)
        table.close()
    assert stores >= 4
