import json

import pytest

from fastchat.errors import RateLimited, ResourceNotFound
from fastchat.handlers.answers import Answers

TEXT = "a secret"


class FakeConnection:
    def __init__(self):
        self.sent = []

    def send(self, payload):
        self.sent.append(json.loads(payload))

    send_reply = send


@pytest.fixture
def connection():
    return FakeConnection()


def test_errors_are_counted_by_code(connection):
    answers = Answers()
    for error in (ResourceNotFound(), ResourceNotFound(), RateLimited(retry_after=3)):
        answers.refuse(connection, error)
    assert answers.errors_by_code == {"RESOURCE_NOT_FOUND": 2, "RATE_LIMIT_EXCEEDED": 1}
    assert connection.sent[-1]["retryAfter"] == 3


def test_an_error_keeps_the_request_id_it_has(connection):
    error = ResourceNotFound()
    error.request_id = "own"
    Answers().refuse(connection, error, "other")
    assert connection.sent[0]["requestId"] == "own"


def test_a_bug_shows_where_but_not_what(connection, caplog):
    try:
        raise ValueError(TEXT)
    except ValueError as error:
        Answers().fail(connection, error, "r-1")
    assert "test_answers.py" in caplog.text
    assert TEXT not in caplog.text + json.dumps(connection.sent)
    assert connection.sent[0]["errorId"] in caplog.text
