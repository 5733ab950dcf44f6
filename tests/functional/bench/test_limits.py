"""The driving of the documented limits: it passes at their edges, and fails beside them."""

import pytest

from fastchat.bench.private_server import private_database, private_server
from loadtests import documented_limits as limits
from loadtests.documented_timeouts import edit_window

QUICK = (
    limits.other_commands,
    limits.requests_per_address,
    limits.connections_per_address,
    limits.payload_size,
    limits.message_length,
    limits.pages,
    limits.batches,
)
# Of a server each of whose limits is one more than documented.
BESIDE = {
    "MESSAGE_RATE_LIMIT": "241",
    "COMMAND_RATE_LIMIT": "1201",
    "IP_RATE_LIMIT": "3001",
    "MAX_CONNECTIONS_PER_IP": "11",
    "MAX_CONNECTIONS": "51",
    "MAX_PAYLOAD_SIZE": "1048577",
    "MAX_MESSAGE_LENGTH": "10001",
    "EDIT_WINDOW": "4000",
}
FOUND = {
    limits.short_messages: "message 241: found None, expected 'RATE_LIMIT_EXCEEDED'",
    limits.long_messages: "message 481: found None, expected 'RATE_LIMIT_EXCEEDED'",
    limits.other_commands: "command 1201: found None, expected 'RATE_LIMIT_EXCEEDED'",
    limits.requests_per_address: "request 3001: found 401, expected 429",
    limits.connections_per_address: "connection 11: found open, expected closed",
    limits.payload_size: ("1 048 577 bytes: found (['test_response'], 0), expected ([], 1009)"),
    limits.message_length: "10 001 characters: found None, expected 'VALIDATION_ERROR'",
    edit_window: "an edit after 3.1 s: found 'message_edited', expected 'EDIT_WINDOW_EXPIRED'",
}


@pytest.fixture(scope="module")
def start(postgres):
    """Start a server with such settings, on a database beside others."""
    with private_database(limits.USERS, postgres.dsn) as (dsn, _):
        yield lambda settings: private_server(dsn, limits.FEW | settings)


async def test_the_documented_limits_are_where_they_are_looked_for(start):
    with start({}) as server:
        outcomes = await limits.drive(server, QUICK, "defaults")
    assert [one.found for one in outcomes if not one.is_right] == []
    assert len({one.limit for one in outcomes}) == len(QUICK)


async def test_a_limit_beside_the_documented_one_is_found(start):
    with start(BESIDE) as server:
        outcomes = await limits.drive(server, FOUND, "one more")
    assert {one.found for one in outcomes if not one.is_right} == set(FOUND.values())


async def test_one_connection_more_than_the_most_is_found(start):
    with start({"MAX_CONNECTIONS": "51"}) as server:
        (outcome,) = await limits.drive(server, [limits.connections], "one more")
    assert (outcome.is_right, outcome.found) == (
        False,
        "connection 51: found open, expected closed",
    )


def test_each_check_belongs_to_one_server():
    checks = [check for _, some in limits.SERVERS for check in some]
    assert len(set(checks)) == len(checks)
    assert set(limits.SLOW) <= set(checks)
