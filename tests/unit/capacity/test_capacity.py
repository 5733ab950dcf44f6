"""The capacity model: what follows from what, whatever the constants are."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.capacity import Costs, Demand, main, plan

COSTS = Costs()
SMALL = Demand(users=1000, messages=20)
DEMANDS = st.builds(
    Demand,
    users=st.floats(1, 1e9),
    messages=st.floats(0.1, 1000),
    online=st.floats(0.001, 1),
    receivers=st.floats(1, 100),
    cores=st.integers(1, 128),
)


def test_few_users_need_one_worker_on_one_host_and_no_redis():
    found = plan(SMALL, COSTS)
    assert (found.workers, found.hosts, found.redis_cores) == (1, 1, 0.0)
    assert found.messages_per_second == pytest.approx(1000 * 20 / 86_400 * 3)


@given(DEMANDS)
def test_the_plan_bears_the_demand(demand):
    found = plan(demand, COSTS)
    assert found.server_cores <= found.workers * demand.load * (1 + 1e-9)
    assert found.connections <= found.workers * demand.most_connections
    assert found.workers <= found.hosts * demand.cores
    assert found.memory_per_host <= demand.memory / 2 * (1 + 1e-9)


@given(DEMANDS)
def test_more_messages_never_need_less(demand):
    less, more = plan(demand, COSTS), plan(replace(demand, messages=2 * demand.messages), COSTS)
    assert more.workers >= less.workers
    assert more.hosts >= less.hosts
    assert more.database_cores > less.database_cores
    assert more.stored_per_year == pytest.approx(2 * less.stored_per_year)


def test_what_crosses_between_hosts_costs_redis_something():
    found = plan(replace(SMALL, users=1e8), COSTS)
    assert found.hosts > 1
    assert found.redis_cores > 0


def test_the_command_prints_a_table(capsys):
    main(["--users", "1000000", "--messages", "40"])
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("workers") for line in lines)
    assert any(line.startswith("database cores") for line in lines)


@pytest.mark.parametrize("option", ["--users", "--load", "--row"])
def test_numbers_that_make_no_sense_are_refused(option, capsys):
    given_numbers = {"--users": "10", "--messages": "1", option: "0"}
    with pytest.raises(SystemExit):
        main([part for pair in given_numbers.items() for part in pair])
    assert f"{option}: expected a number above 0" in capsys.readouterr().err
