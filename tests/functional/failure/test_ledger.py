"""The ledger finds what it is there for."""

import pytest

from tests.functional.failure.ledger import Ledger, Sent


def message(seq, name, **changed):
    return {
        "id": f"1-{seq}",
        "seq": seq,
        "clientMessageId": name,
        "senderId": "1",
        "recipientId": "2",
        "content": f"text of {name}",
    } | changed


def ack(seq, name):
    return {"messageId": f"1-{seq}", "message": message(seq, name), "clientMessageId": name}


def delivery(seq, name):
    return {"messageId": f"1-{seq}", "message": message(seq, name)}


@pytest.fixture
def ledger():
    ledger = Ledger()
    for name in ("a", "b", "c"):
        ledger.note_send(name, Sent("1", "2", f"text of {name}"))
    ledger.note_ack(ack(1, "a"), 0.1)
    return ledger


def test_a_history_with_every_acknowledged_message_passes(ledger):
    assert ledger.compare([message(1, "a"), message(2, "c")]) == {"a", "c"}


@pytest.mark.parametrize(
    "history",
    [
        pytest.param([message(1, "b")], id="an acknowledged message is lost"),
        pytest.param([message(1, "b"), message(2, "a")], id="it is at another place"),
        pytest.param([message(1, "a"), message(3, "b")], id="seq has a gap"),
        pytest.param([message(1, "a"), message(1, "b")], id="seq is there twice"),
        pytest.param([message(1, "a"), message(2, "b", id="1-1")], id="an id is there twice"),
        pytest.param([message(1, "a"), message(2, "a")], id="a message is stored twice"),
        pytest.param([message(1, "a"), message(2, "b", content="x")], id="a text was changed"),
        pytest.param([message(1, "a"), message(2, "z")], id="nobody sent it"),
    ],
)
def test_a_history_that_does_not_fit_is_found(ledger, history):
    with pytest.raises(AssertionError):
        ledger.compare(history)


@pytest.mark.parametrize(
    ("note", "frame"),
    [
        pytest.param(Ledger.note_ack, ack(2, "a"), id="acknowledged with another id"),
        pytest.param(Ledger.note_delivery, delivery(1, "a"), id="delivered twice"),
    ],
)
def test_a_contradiction_on_the_wire_is_found(ledger, note, frame):
    ledger.note_delivery("phone", delivery(1, "a"))
    ledger.note_delivery("laptop", delivery(1, "a"))
    assert not ledger.problems
    note(ledger, *(("phone", frame) if note is Ledger.note_delivery else (frame, 0.1)))
    with pytest.raises(AssertionError):
        ledger.compare([message(1, "a")])
