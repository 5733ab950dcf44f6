"""How many workers, hosts and database cores some users need: the model of docs/scaling.md.

    python -m benchmarks.capacity --users 1000000 --messages 40

The constants were measured (docs/scaling.md says how); give those of your own machine to the
options of the same names.
"""

import argparse
import math
from dataclasses import dataclass, fields

DAY = 86_400.0  # seconds
KB = 1024
GB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What one of each costs; times in microseconds of one core, sizes in bytes."""

    message_server: float = 20.0  # decode, limits, encrypt, hand over, acknowledge
    message_database: float = 30.0  # in batches of about 16
    delivery: float = 2.5  # one event to one connection
    crossing: float = 8.0  # one event to one other worker, both ends
    crossing_redis: float = 40.0  # the same through Redis, the two workers
    redis: float = 20.0  # the same, Redis itself
    login_server: float = 300.0
    login_database: float = 150.0
    connection: float = 10.0 * KB  # memory of an idle one
    worker: float = 70.0 * 1024 * KB  # memory of a process without connections
    row: float = 450.0  # a stored message with its share of the indexes
    wal: float = 900.0  # written to the log of the database for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Who does what."""

    users: float  # registered
    messages: float  # that each sends on a day
    online: float = 0.1  # share that is connected at the busiest hour
    peak: float = 3.0  # busiest second against the mean
    receivers: float = 1.5  # connections that an event goes to
    logins: float = 4.0  # of each user on a day
    cores: int = 8  # of a host
    memory: float = 32.0  # of a host, GB
    load: float = 0.5  # share of a core that is used at the busiest moment
    most_connections: int = 20_000  # of one worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What that takes."""

    messages_per_second: float  # at the busiest moment
    connections: float
    server_cores: float  # busy ones
    database_cores: float
    redis_cores: float  # 0: one host, no Redis
    workers: int
    hosts: int
    memory_per_host: float  # GB
    stored_per_year: float  # GB
    log_per_second: float  # MB, at the busiest moment


def plan(demand: Demand, costs: Costs) -> Plan:
    """Work out what a demand takes.

    A worker more makes more events cross; how many workers are needed depends on that, so it is
    worked out again until it stays.
    """
    rate = demand.users * demand.messages / DAY * demand.peak
    logins = demand.users * demand.logins / DAY * demand.peak
    connections = demand.users * demand.online
    workers, hosts = 1, 1
    while True:
        # Of the other connections all but one in ``workers`` are elsewhere.
        crossings = demand.receivers * (1 - 1 / workers)
        crossing = costs.crossing_redis if hosts > 1 else costs.crossing
        per_message = (
            costs.message_server + demand.receivers * costs.delivery + crossings * crossing
        )
        server = (rate * per_message + logins * costs.login_server) / 1e6
        redis = rate * crossings * costs.redis / 1e6 if hosts > 1 else 0.0
        needed = max(
            math.ceil(server / demand.load), math.ceil(connections / demand.most_connections), 1
        )
        memory = needed * costs.worker + connections * costs.connection
        wanted = max(
            math.ceil(needed / demand.cores), math.ceil(memory / (demand.memory * GB / 2)), 1
        )
        if needed <= workers and wanted <= hosts:
            break
        workers, hosts = max(workers, needed), max(hosts, wanted)
    database = (rate * costs.message_database + logins * costs.login_database) / 1e6
    return Plan(
        messages_per_second=rate,
        connections=connections,
        server_cores=server,
        database_cores=database / demand.load,
        redis_cores=redis / demand.load,
        workers=workers,
        hosts=hosts,
        memory_per_host=(workers * costs.worker + connections * costs.connection) / hosts / GB,
        stored_per_year=demand.users * demand.messages * 365 * costs.row / GB,
        log_per_second=rate * costs.wal / 1e6,
    )


def describe(demand: Demand, found: Plan) -> str:
    """Return the plan as a table."""
    databases = max(1, math.ceil(found.database_cores / demand.cores))
    lines = [
        ("messages per second, busiest", f"{found.messages_per_second:,.0f}"),
        ("connections, busiest", f"{found.connections:,.0f}"),
        ("workers", f"{found.workers:,}"),
        (f"hosts of {demand.cores} cores", f"{found.hosts:,}"),
        ("memory of a host", f"{found.memory_per_host:,.1f} GB"),
        ("database cores", f"{found.database_cores:,.1f}"),
        (f"database servers of {demand.cores} cores", f"{databases:,}"),
        ("Redis cores", f"{found.redis_cores:,.1f}" if found.hosts > 1 else "no Redis"),
        ("stored in a year", f"{found.stored_per_year:,.0f} GB"),
        ("log of the database, busiest", f"{found.log_per_second:,.1f} MB/s"),
    ]
    return "\n".join(f"{name:<36}{value:>16}" for name, value in lines)


def main(arguments: list[str] | None = None) -> None:
    """Read the demand and print the plan."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for kind in (Demand, Costs):
        group = parser.add_argument_group(kind.__name__.lower(), kind.__doc__)
        for field in fields(kind):
            name = "--" + field.name.replace("_", "-")
            default = field.default if isinstance(field.default, float | int) else None
            cast = int if field.type is int else float
            group.add_argument(name, type=cast, default=default, required=default is None)
    given = vars(parser.parse_args(arguments))
    wrong = [name for name, value in given.items() if not value > 0]
    if wrong:
        parser.error(f"--{wrong[0].replace('_', '-')}: expected a number above 0")
    demand = Demand(**{field.name: given[field.name] for field in fields(Demand)})
    costs = Costs(**{field.name: given[field.name] for field in fields(Costs)})
    print(describe(demand, plan(demand, costs)))


if __name__ == "__main__":
    main()
