"""Both clients are in the same states, and wait and keep the same."""

import re

from fastchat.client import State, catching_up, client, link, outbox, pauses, tokens
from fastchat.protocol.command import MOST_PER_PAGE
from tests.source.test_documents import ROOT

NUMBER = re.compile(r"^(?:const|  )\s*(\w+)(?: =|:) ([\d_.]+)[,;]", re.MULTILINE)
STATE = re.compile(r'^  \| \{ name: "(\w+)"', re.MULTILINE)


def test_states_are_those_of_the_javascript_client():
    found = STATE.findall((ROOT / "clients/js/src/options.ts").read_text("utf-8"))
    assert found == [state.value for state in State]


def test_states_are_those_of_the_documents():
    page = (ROOT / "docs/javascript.md").read_text("utf-8").partition("**States.**")[2]
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == [state.value for state in State]
    figure = (ROOT / "docs/clients.md").read_text("utf-8").partition("## States")[2]
    assert {state.value for state in State} <= set(re.findall(r"[a-z]+", figure.split("```")[1]))


def test_numbers_are_those_of_the_javascript_client():
    sources = (ROOT / "clients/js/src").glob("*.ts")
    found = {}
    for source in sources:
        for name, value in NUMBER.findall(source.read_text("utf-8")):
            found[name] = float(value.replace("_", ""))
    expected = {
        "maxOutbox": outbox.MOST_WAITING,
        "firstLimit": MOST_PER_PAGE,
        "syncLimit": MOST_PER_PAGE,
        "LAST_PART": tokens.SHARE,
        "firstPause": 1000.0,
        "longestPause": 1000 * pauses.LONGEST,
        "CROWDED_PAUSE": 1000 * pauses.CROWDED_PAUSE,
        "heartbeat": 1000 * link.HEARTBEAT,
        "GAP_PATIENCE": 1000 * catching_up.GAP_PATIENCE,
        "STABLE": 1000 * client.STABLE,
        "TOKEN_RETRY": 1000 * client.TOKEN_RETRY,
        "EARLIEST": 1000 * tokens.MARGIN,
    }
    assert expected.items() <= found.items()
    # One setting there: of the handshake, a sign of life, an answer, and a token.
    seconds = (link.CONNECT_TIMEOUT, link.PONG_TIMEOUT, client.ANSWER_TIMEOUT, tokens.FETCH_TIMEOUT)
    assert {1000 * one for one in seconds} == {found["patience"]}
