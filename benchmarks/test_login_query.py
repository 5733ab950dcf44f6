"""What the database part of a log-in costs: one at a time, and 64 of the same turn.

Wall time per call is pytest-benchmark's; ``extra_info`` has the CPU time of one log-in in
microseconds, PostgreSQL's backend and this process apart. The check of the token is not in it.
"""

import asyncio
import itertools

import asyncpg
import pytest

from benchmarks.reading import Reader
from fastchat.store.backend import detect
from fastchat.store.users import UserProfile, Users

USERS = 50_000
ROUNDS = 200

FILL = """
INSERT INTO users_auth SELECT id, 'user' || id, 'user' || id || '@example.org'
    FROM generate_series(1, {users}) id ON CONFLICT DO NOTHING;
INSERT INTO user_profile_info (user_id, first_name, last_name)
    SELECT id, 'First' || id, 'Last' || id FROM generate_series(1, {users}) id;
INSERT INTO jwt_revocation SELECT gen_random_uuid()::text FROM generate_series(1, {users});
"""


@pytest.fixture
def runner():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def reader(runner, database):
    async def prepare():
        connection = await asyncpg.connect(database)
        await connection.execute(FILL.format(users=USERS))
        await connection.execute("VACUUM ANALYZE")
        tables = await detect(connection)
        await connection.close()
        return tables

    tables = runner.run(prepare())
    reader = Reader(runner, database)
    yield reader, Users(reader.pool, tables)
    reader.close()


@pytest.mark.parametrize("together", [1, 64])
def test_log_in(benchmark, reader, together):
    reader, users = reader
    numbers = itertools.count()

    async def log_in():
        return await asyncio.gather(
            *(
                users.authenticate(f"token-{number}", str(number * 7919 % USERS + 1))
                for number in itertools.islice(numbers, together)
            )
        )

    def run():
        return reader.run(log_in())

    for _ in range(10):
        run()
    with reader.costs(benchmark, lambda: ROUNDS * together):
        profiles = benchmark.pedantic(run, rounds=ROUNDS)
    assert len(profiles) == together
    assert all(isinstance(profile, UserProfile) for profile in profiles)
    assert users.lookups.batches == ROUNDS + 10
