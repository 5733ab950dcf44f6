"""What the benchmarks of two trees are judged by."""

import json

import pytest

from benchmarks.compare import ROOT, Row, compare, files_of, merge, read_minima, run_python, table


def test_only_what_both_trees_have_is_compared():
    rows = compare({"a": 1.0, "gone": 1.0}, {"new": 1.0, "a": 2.0})
    assert rows == [Row("a", 1.0, 2.0)]


@pytest.mark.parametrize(("seconds", "is_slower"), [(0.5, False), (1.09, False), (1.11, True)])
def test_more_than_a_tenth_slower_is_too_slow(seconds, is_slower):
    assert Row("a", 1.0, seconds).is_slower is is_slower


def test_the_least_of_all_runs_counts():
    known = {"a": 2.0, "b": 1.0}
    merge(known, {"a": 1.5, "b": 3.0, "c": 4.0})
    assert known == {"a": 1.5, "b": 1.0, "c": 4.0}


def test_table_shows_both_times_and_marks_what_is_too_slow():
    shown = table(
        [
            Row("benchmarks/test_frame.py::test_parse[ascii]", 1e-6, 1.2e-6),
            Row("benchmarks/test_encode.py::test_encode", 2e-3, 1e-3),
        ]
    ).splitlines()
    assert " ".join(shown[1].split()) == "frame: parse[ascii] 1.000 µs 1.200 µs +20.0% too slow"
    assert " ".join(shown[2].split()) == "encode: encode 2,000.000 µs 1,000.000 µs -50.0%"


def test_nothing_to_compare_is_an_empty_table():
    assert len(table([]).splitlines()) == 1


def test_minima_are_read_from_a_report():
    one = {"fullname": "benchmarks/test_a.py::test_a", "stats": {"min": 0.25, "max": 1.0}}
    assert read_minima(json.dumps({"benchmarks": [one]})) == {one["fullname"]: 0.25}


def test_benchmarks_that_ask_a_server_are_left_out():
    files = files_of(ROOT)
    for name in ("batch_insert", "contention", "login_query", "redis_carrier", "sync"):
        assert (ROOT / f"benchmarks/test_{name}.py").exists()
        assert f"benchmarks/test_{name}.py" not in files
    for name in ("decode", "encrypt", "fanout", "lane", "limits", "whole_path"):
        assert f"benchmarks/test_{name}.py" in files


def test_keys_lie_in_the_same_places_in_both_trees():
    assert len({run_python(ROOT, "-c", "print(hash('a user'))") for _ in range(3)}) == 1
