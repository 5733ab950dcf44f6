"""What becomes of measured figures on their way into a file."""

import csv
import json

import pytest

from loadtests import peers, table
from loadtests.offered_load import Look, middle


def look(offered, acknowledged, p50=1.0):
    return Look(offered, acknowledged, *[p50] * 6, 20.0, 10.0, 0.5, 0.0)


def turn(run, peer, **figures):
    found = {"id": run, "job": "j1", "peer": peer, "rate": 10.0, "srv_us": 20.0, "pg_us": 5.0}
    return found | {"lat_ms": {"p50": 1.0, "p99": 2.0}} | figures


def write(path, turns):
    path.write_text("".join(f"{json.dumps(one)}\n" for one in turns))


def test_a_file_has_a_line_of_names_and_rounds_what_was_measured(tmp_path):
    path = tmp_path / "folder" / "figures.csv"
    rows = [("ws", 2, 12.34567, 54321.9), ("nats", 3, 0.0012345, "")]
    table.write(path, ("server", "turns", "a_ms", "b_ms"), rows)
    assert path.read_text() == "server,turns,a_ms,b_ms\nws,2,12.35,54322\nnats,3,0.001234,\n"


def test_a_server_is_saturated_when_it_answers_less_than_nineteen_of_twenty():
    assert look(1000.0, 940.0).is_saturated
    assert not look(1000.0, 960.0).is_saturated


def test_one_disturbed_turn_of_three_leaves_no_trace():
    turns = [look(1000.0, 1000.0, 1.0), look(1000.0, 400.0, 900.0), look(1000.0, 990.0, 1.2)]
    assert middle(turns) == look(1000.0, 990.0, 1.2)


def test_peers_are_told_by_the_medians_of_the_last_run(tmp_path):
    path, target = tmp_path / "results.jsonl", tmp_path / "peers.csv"
    turns = [turn("a", "fastchat", srv_us=99.0)]
    turns += [turn("b", "fastchat", srv_us=value) for value in (23.0, 21.0, 90.0)]
    turns += [turn("b", "ws", pg_us=0.0, lat_ms={}), turn("b", "ws", job="j3:5000")]
    write(path, turns)
    table.write(target, peers.COLUMNS, peers.medians(peers.read(path, None)))
    with open(target, newline="") as file:
        fastchat, ws = csv.DictReader(file)
    assert fastchat["server_us_per_delivery"] == "23"
    assert (fastchat["turns"], fastchat["p99_ms"]) == ("3", "2")
    assert (ws["server"], ws["postgresql_us_per_delivery"], ws["p50_ms"]) == ("ws", "0", "")


def test_faults_are_told_and_a_server_that_delivered_nothing_is_left_out(capsys):
    found = peers.medians([turn("a", "ws", dup=2, wrong=1), turn("a", "synapse", srv_us=None)])
    assert [row[1] for row in found] == ["ws"]
    output = capsys.readouterr().out
    assert "ws in j1: 3 faults" in output
    assert "synapse delivered nothing in j1: left out" in output


def test_an_unknown_run_is_refused_with_those_that_are_there(tmp_path):
    path = tmp_path / "results.jsonl"
    write(path, [turn("a", "ws"), turn("b", "ws")])
    with pytest.raises(SystemExit, match=r"run c .* expected one of \['a', 'b'\]"):
        peers.read(path, "c")
