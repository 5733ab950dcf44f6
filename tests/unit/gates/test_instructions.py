"""What the counts of instructions are judged by."""

import platform

import pytest

from benchmarks.instructions import count, interpreter, judge, per_message, read_total

NAME = "CPython 3.11.7"
COMMITTED = {"relayed": 200_000, "fanned out": 400_000}


def test_the_committed_counts_pass():
    verdict = judge(COMMITTED, COMMITTED, NAME)
    assert not verdict.is_failure
    assert verdict.lines[0].endswith("+0.0% of the committed 200,000")
    assert verdict.lines[1].endswith("+0.0% of the committed 400,000")


@pytest.mark.parametrize(("relayed", "is_failure"), [(204_000, False), (204_001, True)])
def test_two_percent_above_one_committed_count_is_the_most(relayed, is_failure):
    verdict = judge(COMMITTED | {"relayed": relayed}, COMMITTED, NAME)
    assert verdict.is_failure is is_failure
    assert ("at most +2% is allowed" in verdict.lines[0]) is is_failure
    assert "allowed" not in verdict.lines[1]


@pytest.mark.parametrize(("fanned_out", "asks"), [(392_000, False), (391_999, True)])
def test_a_count_two_percent_below_is_asked_for_and_passes(fanned_out, asks):
    verdict = judge(COMMITTED | {"fanned out": fanned_out}, COMMITTED, NAME)
    assert not verdict.is_failure
    assert ("commit the lower count" in verdict.lines[1]) is asks


def test_another_interpreter_is_shown_and_compared_with_nothing():
    verdict = judge(COMMITTED, None, NAME)
    assert not verdict.is_failure
    assert verdict.lines[0] == "relayed: 200,000 instructions per message"
    assert verdict.lines[-1] == f"Nothing is committed to compare with for {NAME}."


def test_a_load_that_is_new_fails_until_its_count_is_committed():
    verdict = judge(COMMITTED, {"relayed": 200_000}, NAME)
    assert verdict.is_failure
    assert "none committed" in verdict.lines[1]


def test_what_both_runs_have_in_common_costs_a_message_nothing():
    assert per_message(5_000_000, 5_000_000 + 64 * 1500, 64) == 1500


def test_total_is_read_from_what_cachegrind_writes():
    text = "desc: I1 cache: none\ncmd: python\nevents: Ir\nfl=a.c\nfn=f\n3 17\nsummary: 17\n"
    assert read_total(text) == 17


def test_a_cut_file_of_cachegrind_is_refused():
    with pytest.raises(ValueError, match="expected a line 'summary: COUNT'"):
        read_total("events: Ir\nfl=a.c\n")


def test_interpreter_is_named_with_its_compiler():
    assert platform.python_version() in interpreter()
    assert platform.python_compiler() in interpreter()


def test_without_valgrind_it_is_named_and_the_command_fails(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="valgrind was not found"):
        count()
