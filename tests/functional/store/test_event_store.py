"""Queued events as the store knows them: claimed by one at a time, read, marked, cleared away."""

import asyncio

import asyncpg
import pytest

from fastchat.store.cipher import Cipher
from fastchat.store.event_memory import EventMemory
from fastchat.store.event_statements import CLAIM
from fastchat.store.event_store import EventStore
from tests.functional.store.queueing import KEYS, make_queue, run_sql, stored
from tests.functional.store.reading import open_pool
from tests.functional.store.writing import make_writer

OLD = "UPDATE event_queue SET {column} = now() - interval '{age}' WHERE event_id = ANY ($1)"


@pytest.fixture
async def pool(database):
    async with open_pool(database, size=8) as pool:
        yield pool


@pytest.fixture
async def queue(database):
    writer = make_writer(database)
    yield make_queue(writer)
    await writer.stop(5.0)


@pytest.fixture
def memory():
    return EventMemory()


@pytest.fixture
def store(pool, memory):
    return EventStore(pool, Cipher(KEYS), memory, slice_size=10)


async def fill(queue, count, *users):
    """Queue numbered events; return the ids of all that there are."""
    await stored(*(queue.put(1, b"%d" % number, users) for number in range(count)))


async def test_a_claim_gives_the_oldest_events_in_order(store, queue):
    await fill(queue, 15, "1", "2")
    claim = await store.claim("1", 60.0, limit=10)
    assert len(claim.event_ids) == 10
    assert list(claim.event_ids) == sorted(claim.event_ids)
    texts = await store.read(claim.event_ids)
    assert list(texts) == list(claim.event_ids)
    assert list(texts.values()) == [b"%d" % number for number in range(10)]


async def test_a_claim_excludes_others_until_it_is_released_or_ends(store, queue):
    await fill(queue, 2, "1", "2")
    claim = await store.claim("1", 60.0)
    assert await store.claim("1", 60.0) is None
    assert await store.claim("2", 60.0) is not None
    again = await store.claim("1", 60.0, turn=claim.turn)
    assert again.event_ids == claim.event_ids
    assert await store.mark("1", claim.event_ids, claim.turn) == set(claim.event_ids)
    assert await store.claim("1", 60.0) is None, "an older turn has released it"
    await store.mark("1", (), again.turn)
    last = await store.claim("1", 0.01)
    assert list(last.event_ids) == []
    await asyncio.sleep(0.02)
    assert await store.claim("1", 60.0) is not None


async def test_events_are_marked_once(store, queue):
    await fill(queue, 3, "1")
    claim = await store.claim("1", 60.0)
    first, second, third = claim.event_ids
    assert await store.mark("1", [first, second], claim.turn) == {first, second}
    assert await store.mark("1", [second, third]) == {third}
    assert await store.mark("2", [first]) == set()
    assert store.delivered == 3


async def test_events_are_left_out_that_are_on_their_way(store, queue):
    await fill(queue, 3, "1")
    claim = await store.claim("1", 0.0)
    claim = await store.claim("1", 60.0, without=claim.event_ids[:2])
    assert len(claim.event_ids) == 1


async def test_one_who_waited_for_another_claim_does_not_see_what_that_one_delivered(
    store, queue, database
):
    await fill(queue, 3, "1")
    claim = await store.claim("1", 60.0)
    connection, slow = [await asyncpg.connect(database) for _ in range(2)]
    try:
        # The last step of the one who has the claim is under way, not committed yet.
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "UPDATE event_queue SET delivered_at = now() WHERE event_id = ANY ($1)",
            claim.event_ids,
        )
        await connection.execute(
            "UPDATE event_drains SET turn = turn + 1, claimed_until = '-infinity'"
        )
        waiting = asyncio.create_task(slow.fetchrow(CLAIM, "1", 60.0, -1, 10, []))
        other = asyncio.create_task(store.claim("1", 60.0))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        await transaction.commit()
        row = await waiting
        late = await other
    finally:
        await connection.close()
        await slow.close()
    # Whichever came first, the snapshot was that of before.
    assert row is None or not row[1] or row[2] == []
    assert late is None or list(late.event_ids) == []
    assert (row is None) != (late is None)


async def test_concurrent_drains_never_get_the_same_event(store, queue, memory):
    got = []

    async def drain():
        while len(got) < 100:
            claim = await store.claim("1", 60.0, limit=7)
            if claim is not None:
                got.extend(claim.event_ids)
                await store.mark("1", claim.event_ids, claim.turn)
            await asyncio.sleep(0)

    await fill(queue, 100, "1", "2")
    async with asyncio.timeout(20):
        await asyncio.gather(*(drain() for _ in range(6)))
    assert len(got) == len(set(got)) == 100
    assert got == sorted(got)


async def test_reading_takes_from_memory_what_it_can_and_the_rest_in_parts(
    store, queue, memory, monkeypatch
):
    monkeypatch.setattr("fastchat.store.event_store.MOST_BYTES", 100)
    await fill(queue, 12, "1")
    (*_, last) = ids = (await store.claim("1", 60.0)).event_ids
    memory.keep(ids[3], b"from memory", ["1"], 0.0)
    memory.keep(last, b"also", ["1"], 0.0)
    found = {}
    rest = list(ids)
    rounds = 0
    while rest:
        part = await store.read(rest)
        assert list(part) == rest[: len(part)]
        rest = rest[len(part) :]
        found |= part
        rounds += 1
    assert rounds >= 3
    expected = [b"%d" % number for number in range(12)]
    expected[3], expected[11] = b"from memory", b"also"
    assert list(found.values()) == expected


async def test_what_is_gone_reads_as_nothing(store, queue, database):
    await fill(queue, 3, "1")
    ids = (await store.claim("1", 60.0)).event_ids
    await run_sql(database, "DELETE FROM event_bodies WHERE event_id = ANY ($1)", ids[1:])
    assert await store.read(ids) == {ids[0]: b"0"}
    assert await store.read(ids[1:]) == {ids[1]: None, ids[2]: None}


async def test_memory_forgets_what_another_worker_delivered(store, queue, memory):
    await fill(queue, 3, "1")
    claim = await store.claim("1", 60.0)
    for event_id in claim.event_ids:
        memory.keep(event_id, b"x", ["1", "2"], 0.0)
    other = EventMemory()
    await EventStore(store._pool, Cipher(KEYS), other).mark("1", claim.event_ids[:2], claim.turn)
    assert list((await store.claim("1", 60.0)).event_ids) == list(claim.event_ids[2:])
    assert memory.event_ids("1") == list(claim.event_ids[2:])
    assert memory.event_ids("2") == list(claim.event_ids)


async def test_old_events_are_cleared_away_and_their_bodies_with_the_last_of_them(
    store, queue, database
):
    await fill(queue, 40, "1", "2")
    ids = [row[0] for row in await run_sql(database, "SELECT event_id FROM event_bodies")]
    ids.sort()
    await run_sql(database, "UPDATE event_bodies SET created_at = now() - interval '31 days'")
    mark = "UPDATE event_queue SET delivered_at = now() WHERE event_id = ANY ($1)"
    await run_sql(database, mark, ids[:20])
    await run_sql(database, OLD.format(column="delivered_at", age="7 days 1 minute"), ids[:12])
    await run_sql(database, OLD.format(column="delivered_at", age="6 days"), ids[12:20])
    await run_sql(database, OLD.format(column="created_at", age="30 days 1 minute"), ids[20:25])
    await run_sql(database, OLD.format(column="created_at", age="29 days"), ids[25:])
    # One of two users has yet to get it.
    await run_sql(
        database,
        "UPDATE event_queue SET delivered_at = NULL WHERE event_id = $1 AND user_id = '2'",
        ids[0],
    )
    cleared = await store.clean(0.0)
    left = await run_sql(database, "SELECT DISTINCT event_id FROM event_queue ORDER BY event_id")
    assert [row[0] for row in left] == [ids[0], *ids[12:20], *ids[25:]]
    bodies = await run_sql(database, "SELECT event_id FROM event_bodies ORDER BY event_id")
    assert [row[0] for row in bodies] == [row[0] for row in left]
    assert cleared == 2 * 17 - 1 + 16
    assert await store.clean(0.0) == 0


async def test_young_bodies_are_not_looked_at(store, queue, database):
    await fill(queue, 3, "1")
    await run_sql(database, "DELETE FROM event_queue")
    assert await store.clean(0.0) == 0
    await run_sql(database, "UPDATE event_bodies SET created_at = now() - interval '8 days'")
    assert await store.clean(0.0) == 3


async def test_cleaning_goes_on_where_the_last_round_ended(store, queue, database):
    await fill(queue, 250, "1")
    await run_sql(database, "UPDATE event_bodies SET created_at = now() - interval '8 days'")
    (newest,) = await run_sql(database, "SELECT max(event_id) FROM event_bodies")
    await run_sql(database, "DELETE FROM event_queue WHERE event_id = $1", newest[0])
    assert [await store.clean(0.0) for _ in range(4)] == [0, 0, 1, 0]


async def test_claims_that_nobody_needs_are_cleared_away(store, queue, database):
    await fill(queue, 1, "1", "2")
    for user in ("1", "2"):
        await store.claim(user, 60.0)
    await run_sql(
        database,
        "UPDATE event_drains SET claimed_until = now() - interval '25 hours' WHERE user_id = '1'",
    )
    assert await store.clean(0.0) == 1
    rows = await run_sql(database, "SELECT user_id FROM event_drains")
    assert [row[0] for row in rows] == ["2"]


async def test_depth_and_age_are_those_of_undelivered_events(store, queue, database):
    await store.measure()
    assert (store.depth, store.oldest_age) == (0, 0.0)
    await fill(queue, 3, "1", "2")
    claim = await store.claim("1", 60.0)
    await store.mark("1", claim.event_ids, claim.turn)
    await run_sql(
        database,
        "UPDATE event_queue SET created_at = now() - interval '1 hour' "
        "WHERE user_id = '2' AND event_id = $1",
        claim.event_ids[1],
    )
    await store.measure()
    assert store.depth == 3
    assert 3600 <= store.oldest_age < 3660
