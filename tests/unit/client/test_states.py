"""Both clients are in the same states."""

import re

from fastchat.client import State
from tests.source.test_documents import ROOT

STATE = re.compile(r'^  \| \{ name: "(\w+)"', re.MULTILINE)


def test_states_are_those_of_the_javascript_client():
    found = STATE.findall((ROOT / "clients/js/src/options.ts").read_text("utf-8"))
    assert found == [state.value for state in State]


def test_states_are_those_of_the_documents():
    page = (ROOT / "docs/javascript.md").read_text("utf-8").partition("**States.**")[2]
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == [state.value for state in State]
    figure = (ROOT / "docs/clients.md").read_text("utf-8").partition("## States")[2]
    assert {state.value for state in State} <= set(re.findall(r"[a-z]+", figure.split("```")[1]))
