"""The table of users and their connections, with 10 000 users in it."""

import pytest

from benchmarks.sockets import Sockets
from fastchat._speedups import routing
from fastchat._speedups.routing import RoutingTable


@pytest.fixture
def two():
    """Two connections."""
    opened = Sockets()
    opened.open(2)
    yield opened.connections
    opened.close()


@pytest.fixture
def table(two):
    assert routing.__file__.endswith(".so")
    table = RoutingTable()
    for number in range(10_000):
        table.add(str(number), two[0])
    return table


def test_add_and_remove_a_user(benchmark, table, two):
    def come_and_go():
        return table.add("new", two[1]), table.remove("new", two[1])

    assert benchmark(come_and_go) == (1, 0)


def test_add_and_remove_a_second_device(benchmark, table, two):
    def come_and_go():
        return table.add("5000", two[1]), table.remove("5000", two[1])

    assert benchmark(come_and_go) == (2, 1)


def test_look_up_a_user(benchmark, table, two):
    assert benchmark(table.connections, "5000") == [two[0]]
