import asyncio
import gc

import pytest

from fastchat.errors import ServiceUnavailable
from fastchat.store.lookups import BatchedLookup


class Database:
    """Answers each key by ten times itself; holds its answers back while ``gate`` is closed."""

    def __init__(self):
        self.calls = []
        self.running = 0
        self.most_running = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.error = None

    async def fetch_many(self, keys):
        self.calls.append(keys)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        if self.error is not None:
            raise self.error
        return [10 * key for key in keys]


@pytest.fixture
async def database():
    return Database()


async def turn():
    """Let everything that is ready run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_asks_for_the_keys_of_one_turn_in_one_call(database):
    lookup = BatchedLookup(database.fetch_many)
    assert await asyncio.gather(*(lookup.get(key) for key in (3, 1, 2))) == [30, 10, 20]
    assert database.calls == [[3, 1, 2]]


async def test_asks_once_for_a_key_that_several_want(database):
    lookup = BatchedLookup(database.fetch_many)
    assert await asyncio.gather(*(lookup.get(7) for _ in range(5))) == [70] * 5
    assert database.calls == [[7]]


async def test_asks_again_in_a_later_turn(database):
    lookup = BatchedLookup(database.fetch_many)
    await lookup.get(1)
    await lookup.get(1)
    assert database.calls == [[1], [1]]


async def test_a_call_has_no_more_keys_than_allowed(database):
    lookup = BatchedLookup(database.fetch_many, max_batch=3)
    assert await asyncio.gather(*(lookup.get(key) for key in range(8))) == [
        10 * key for key in range(8)
    ]
    assert [len(call) for call in database.calls] == [3, 3, 2]


async def test_gathers_the_next_keys_while_as_many_calls_as_allowed_are_under_way(database):
    lookup = BatchedLookup(database.fetch_many, max_in_flight=2)
    database.gate.clear()
    waiting = []
    for key in range(10):
        waiting.append(asyncio.ensure_future(lookup.get(key)))
        await turn()
    assert database.calls == [[0], [1]]
    database.gate.set()
    assert await asyncio.gather(*waiting) == [10 * key for key in range(10)]
    assert database.calls == [[0], [1], [2, 3, 4, 5, 6, 7, 8, 9]]
    assert database.most_running == 2


async def test_refuses_at_once_when_too_many_wait(database):
    lookup = BatchedLookup(database.fetch_many, max_waiting=2)
    database.gate.clear()
    waiting = [asyncio.ensure_future(lookup.get(key)) for key in range(2)]
    await turn()
    with pytest.raises(ServiceUnavailable):
        await lookup.get(2)
    assert lookup.refused == 1
    database.gate.set()
    assert await asyncio.gather(*waiting) == [0, 10]
    assert await lookup.get(2) == 20
    assert lookup.waiting == 0


async def test_a_cancelled_question_takes_nothing_from_others_with_the_same_key(database):
    lookup = BatchedLookup(database.fetch_many)
    database.gate.clear()
    first, second = (asyncio.ensure_future(lookup.get(1)) for _ in range(2))
    await turn()
    first.cancel()
    await turn()
    database.gate.set()
    assert await second == 10
    assert first.cancelled()
    assert lookup.waiting == 0


async def test_a_question_cancelled_before_its_call_is_not_asked(database):
    lookup = BatchedLookup(database.fetch_many, max_in_flight=1)
    database.gate.clear()
    under_way = asyncio.ensure_future(lookup.get(1))
    await turn()
    given_up = asyncio.ensure_future(lookup.get(2))
    await turn()
    given_up.cancel()
    await turn()
    database.gate.set()
    await under_way
    await turn()
    assert database.calls == [[1]]


async def test_a_question_cancelled_as_its_error_arrives_reports_nothing_to_the_loop():
    reports = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reports.append(context))

    asking = []

    async def fetch_many(keys):
        # Runs before the asker wakes up, and after his future got the error.
        loop.call_soon(asking[0].cancel)
        raise ServiceUnavailable

    lookup = BatchedLookup(fetch_many)
    asking.append(asyncio.ensure_future(lookup.get(1)))
    await asyncio.wait(asking)
    assert asking.pop().cancelled()
    gc.collect()
    await turn()
    assert reports == []


async def test_every_question_of_a_failed_call_gets_an_error_of_its_own(database):
    lookup = BatchedLookup(database.fetch_many)
    database.error = ServiceUnavailable()
    first, second = await asyncio.gather(lookup.get(1), lookup.get(2), return_exceptions=True)
    assert isinstance(first, ServiceUnavailable)
    assert isinstance(second, ServiceUnavailable)
    assert first is not second
    database.error = None
    assert await lookup.get(1) == 10


async def test_a_bug_in_the_call_reaches_those_who_asked(database):
    lookup = BatchedLookup(database.fetch_many)
    database.error = KeyError("bug")
    with pytest.raises(KeyError):
        await lookup.get(1)


async def test_a_call_that_answers_too_few_keys_is_a_bug():
    async def fetch_many(keys):
        return []

    with pytest.raises(ValueError, match="shorter"):
        await BatchedLookup(fetch_many).get(1)


async def test_a_question_without_an_answer_ends_at_its_deadline(database):
    lookup = BatchedLookup(database.fetch_many, max_in_flight=1, deadline=0.05)
    database.gate.clear()
    loop = asyncio.get_running_loop()
    began = loop.time()
    first = asyncio.ensure_future(lookup.get(1))
    await turn()
    second = asyncio.ensure_future(lookup.get(2))
    outcomes = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ServiceUnavailable] * 2
    assert loop.time() - began < 1.0
    await turn()
    database.gate.set()
    # The hanging call is over too and does not keep its place.
    assert await asyncio.wait_for(lookup.get(3), 1.0) == 30


async def test_closing_ends_questions_and_calls(database):
    lookup = BatchedLookup(database.fetch_many, max_in_flight=1)
    database.gate.clear()
    under_way = asyncio.ensure_future(lookup.get(1))
    await turn()
    gathering = asyncio.ensure_future(lookup.get(2))
    await turn()
    await asyncio.wait_for(lookup.close(), 1.0)
    outcomes = await asyncio.gather(under_way, gathering, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ServiceUnavailable] * 2
    assert database.running == 0
