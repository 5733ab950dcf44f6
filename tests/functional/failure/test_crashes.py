"""Kill -9 under load: what was acknowledged is there, once, whatever was killed."""

from tests.functional.failure.load import Crowd
from tests.functional.failure.process import is_alive, kill, until

USERS = ("1", "2", "3")
BEFORE = 300  # messages until the crash
AFTER = 300


async def test_nothing_acknowledged_is_lost_or_doubled_when_the_server_is_killed(embedded):
    async with Crowd(embedded, USERS) as crowd:
        await crowd.acknowledged(BEFORE)
        database = embedded.postgres_pid()
        assert database
        await embedded.kill()
        # No wait for the old database: the next start has to cope with one that goes down.
        await embedded.start()
        await crowd.acknowledged(AFTER)
        assert not is_alive(database)
        await crowd.settle()
        assert await crowd.verify() == set(crowd.ledger.sent)


async def test_nothing_acknowledged_is_lost_or_doubled_when_the_database_is_killed(embedded):
    async with Crowd(embedded, USERS) as crowd:
        await crowd.acknowledged(BEFORE)
        database = embedded.postgres_pid()
        kill(database)
        await until(lambda old=database: embedded.postgres_pid() not in (0, old))
        await crowd.acknowledged(AFTER)
        await crowd.settle()
        assert await crowd.verify() == set(crowd.ledger.sent)
        await crowd.everything_delivered()
    assert embedded.events("the embedded database had ended")


async def test_nothing_acknowledged_is_lost_or_doubled_when_both_are_killed(embedded):
    async with Crowd(embedded, USERS) as crowd:
        for round in range(2):
            await crowd.acknowledged(BEFORE // 2)
            killed = embedded.postgres_pid()
            kill(killed)
            if round:
                # In the middle of the recovery.
                await until(lambda: embedded.postgres_pid() not in (0, killed))  # noqa: B023
            await embedded.kill()
            await embedded.start()
        await crowd.acknowledged(AFTER)
        await crowd.settle()
        assert await crowd.verify() == set(crowd.ledger.sent)
