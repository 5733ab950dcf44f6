"""Events of a room in their order, with a database made for the purpose."""

import asyncio
import random
from types import SimpleNamespace

import pytest

from fastchat.broker.messages import EventKind
from fastchat.errors import ServiceUnavailable
from fastchat.handlers.ordering import MARGIN, RoomOrder
from fastchat.store.missed import PAGE, Gap, MissedMessage

ROOM = 7


class FakeMissed:
    """A room whose revs are messages, all but some, each with an age in seconds."""

    def __init__(self):
        self.revs = {}  # rev → age
        self.is_away = False
        self.asked = []

    def store(self, *revs, age=0.0):
        self.revs.update(dict.fromkeys(revs, age))

    async def first(self, room_id, after, before, age):
        await asyncio.sleep(0)
        if self.is_away:
            raise ServiceUnavailable
        self.asked.append((after, before))
        recent = [rev for rev, old in self.revs.items() if after < rev < before and old <= age]
        return Gap(min(recent, default=None), min(recent, default=None))

    async def messages(self, room_id, from_seq, before):
        await asyncio.sleep(0)
        if self.is_away:
            raise ServiceUnavailable
        found = sorted(rev for rev in self.revs if from_seq <= rev < before)
        rows = [SimpleNamespace(seq=rev, rev=rev) for rev in found]
        return [MissedMessage(row, row.seq, self.revs[row.seq]) for row in rows[:PAGE]]


class World:
    def __init__(self, patience=0.02, grace=0.001, long_grace=None):
        self.missed = FakeMissed()
        self.told = []
        self.present = 3600.0
        self.order = RoomOrder(
            self.publish,
            self.missed,
            self.tell,
            lambda user_ids: self.present,
            grace=grace,
            long_grace=grace if long_grace is None else long_grace,
            patience=patience,
        )

    def publish(self, user_ids, payload, skip):
        self.told.append(("published", int(payload)))
        return 1

    async def tell(self, room_id, messages):
        await asyncio.sleep(0)
        self.told += [("read", message.stored_rev) for message in messages]

    def come(self, *revs, name="came", kind=EventKind.MESSAGE):
        for rev in revs:
            self.order.offer(
                ROOM,
                rev,
                ["1"],
                lambda rev=rev: self.told.append((name, rev)),
                kind,
            )

    async def until(self, count):
        async with asyncio.timeout(5):
            while len(self.told) < count:
                await asyncio.sleep(0.001)

    @property
    def revs(self):
        return [rev for _, rev in self.told]


@pytest.fixture
async def world():
    made = World()
    yield made
    await made.order.stop()
    assert made.order.held == 0


async def test_what_comes_in_order_is_told_at_once(world):
    world.missed.store(1, 2, 3)
    world.come(1, 2, 3)
    assert world.revs == [1, 2, 3]
    assert world.missed.asked == []


async def test_what_has_no_place_is_told_at_once(world):
    world.come(0)
    assert world.revs == [0]


async def test_a_room_that_is_not_known_is_asked_for_once(world):
    world.missed.store(4, 5, age=100.0)
    world.missed.store(6, 7)
    world.come(6)
    await world.until(1)
    world.come(7)
    assert world.revs == [6, 7]
    assert world.missed.asked == [(-1, 6)]
    assert world.order.recovered == 0


async def test_what_overtakes_is_held_until_its_predecessor_comes(world):
    world.missed.store(1, 2, 3)
    world.come(1)
    world.come(3)
    await asyncio.sleep(0.005)
    assert world.revs == [1]
    world.come(2)
    await world.until(3)
    assert world.told == [("came", 1), ("came", 2), ("came", 3)]


async def test_the_database_is_not_asked_for_what_is_just_on_its_way():
    world = World(grace=60.0)
    world.missed.store(*range(1, 8))
    world.come(1)
    world.come(3)
    world.come(5)
    world.come(6)
    assert world.revs == [1]
    world.come(2)
    assert world.revs == [1, 2, 3]
    world.come(4)
    assert world.revs == [1, 2, 3, 4, 5, 6]
    assert world.order.held == 0
    world.come(7)
    assert world.revs == list(range(1, 8))
    assert world.missed.asked == []
    await world.order.stop()


async def test_a_room_that_caught_up_is_looked_at_again_when_something_else_is_held():
    world = World(grace=0.02)
    world.missed.store(*range(1, 6))
    world.come(1, 3, 2)
    assert world.revs == [1, 2, 3]
    world.come(5)
    await world.until(5)
    assert world.told[3:] == [("read", 4), ("came", 5)]
    assert world.missed.asked == [(3, 5)]


async def test_each_room_is_looked_at_in_its_time():
    world = World(grace=0.01)
    world.missed.store(1, 2, 3)
    told = {7: [], 8: [], 9: []}
    for room_id, came in told.items():
        for rev in (1, 3):
            world.order.offer(
                room_id, rev, ["1"], lambda rev=rev, came=came: came.append(rev), EventKind.MESSAGE
            )
        await asyncio.sleep(0.004)
    await world.until(len(told))
    async with asyncio.timeout(5):
        while world.order.held:
            await asyncio.sleep(0.001)
    assert world.revs == [2, 2, 2]
    assert set(map(tuple, told.values())) == {(1, 3)}


async def test_the_end_does_not_wait_for_what_is_on_its_way():
    world = World(grace=60.0)
    world.missed.store(1, 2, 3)
    world.come(1)
    world.come(3)
    await world.order.drain(5.0)
    assert world.revs == [1, 2, 3]
    world.missed.store(4, 5)
    world.come(5)
    await world.order.stop()
    assert world.order.held == 0


async def test_what_does_not_come_is_read(world):
    world.missed.store(*range(1, 6))
    world.come(1, 5)
    await world.until(5)
    assert world.told == [("came", 1), ("read", 2), ("read", 3), ("read", 4), ("came", 5)]
    world.come(2, 3)  # late
    assert len(world.told) == 5
    assert world.order.recovered == 3


async def test_many_that_do_not_come_are_read_in_pages(world):
    last = 2 * PAGE + 50
    world.missed.store(*range(1, last + 1))
    world.come(1, last)
    await world.until(last)
    assert world.revs == list(range(1, last + 1))


async def test_what_was_before_the_sessions_here_is_not_waited_for():
    world = World(patience=60.0)
    world.missed.store(1, 2, 3, age=5.0)
    world.missed.store(4)
    world.present = 1.0
    world.come(4)
    await world.until(1)
    assert world.revs == [4]
    await world.order.stop()


async def test_who_was_here_all_the_time_waits_longer_before_the_database_is_asked():
    world = World(grace=0.0, long_grace=3600.0)
    world.come(1)
    world.come(3)
    await asyncio.sleep(0.02)
    assert world.missed.asked == []
    world.come(2)
    assert world.revs == [1, 2, 3]


async def test_who_came_after_the_last_event_has_the_database_asked_soon():
    world = World(grace=0.0, long_grace=3600.0)
    world.come(1)
    world.present = 0.0
    await asyncio.sleep(0.001)
    world.come(3)
    await world.until(2)
    assert world.revs == [1, 3]
    assert world.missed.asked == [(1, 3)]


async def test_a_change_that_is_late_is_told_and_one_that_belongs_to_a_message_too(world):
    world.missed.store(1, 3)
    world.come(1)
    world.come(1, name="mention", kind=EventKind.MENTION)
    world.come(3)
    await world.until(3)
    world.come(2, name="edit", kind=EventKind.CHANGE)
    assert world.told == [("came", 1), ("mention", 1), ("came", 3), ("edit", 2)]


async def test_catching_up_reads_without_waiting():
    world = World(patience=60.0)
    world.missed.store(*range(1, 8), age=2.0)
    world.come(1, 2)
    world.order.catch_up(ROOM, 7, 5.0)
    await world.until(7)
    assert world.revs == list(range(1, 8))
    world.order.catch_up(ROOM, 7, 5.0)
    world.come(5)
    await asyncio.sleep(0.005)
    assert len(world.told) == 7
    await world.order.stop()


async def test_catching_up_in_a_room_that_is_not_known_reads_what_is_recent(world):
    world.missed.store(*range(1, 8), age=100.0)
    world.missed.store(8, 9, age=2.0)
    world.order.catch_up(ROOM, 9, 5.0)
    await world.until(2)
    assert world.told == [("read", 8), ("read", 9)]


async def test_the_database_is_waited_for(world):
    world.missed.store(1, 2, 3)
    world.come(1)
    world.missed.is_away = True
    world.come(3)
    await asyncio.sleep(0.05)
    assert world.revs == [1]
    world.missed.is_away = False
    await world.until(3)
    assert world.revs == [1, 2, 3]


async def test_what_grew_old_while_the_database_was_away_is_told_all_the_same(world):
    now = asyncio.get_running_loop().time
    world.present = 0.1 - MARGIN
    world.missed.store(1, 2, 3)
    stored_at = now()
    world.come(1)
    world.missed.is_away = True
    world.come(3)
    while now() < stored_at + 0.2:
        await asyncio.sleep(0.01)
    world.missed.store(1, 2, 3, age=now() - stored_at)
    world.missed.is_away = False
    await world.until(3)
    assert world.revs == [1, 2, 3]


async def test_a_mention_does_not_stand_for_its_message_that_has_to_be_read(world):
    world.come(1, 2, 3)
    world.missed.store(4)
    world.order.catch_up(ROOM, 4, 10.0)
    world.come(4, name="mention", kind=EventKind.MENTION)
    await world.until(5)
    assert world.told[3:] == [("read", 4), ("mention", 4)]
    assert world.order.held == 0


async def test_a_mention_of_a_row_that_has_to_be_read_is_told_behind_it(world):
    world.come(1, 2, 3)
    world.missed.store(4, 5, 6)
    world.order.catch_up(ROOM, 6, 10.0)
    world.come(6, name="mention", kind=EventKind.MENTION)
    await world.until(7)
    assert world.told[3:] == [("read", 4), ("read", 5), ("read", 6), ("mention", 6)]
    assert world.order.held == 0


async def test_a_mention_that_comes_while_its_message_is_read_is_told(world):
    world.come(1, 2, 3)
    world.missed.store(4, 5)
    read = world.missed.messages

    async def messages(room_id, from_seq, before):
        found = await read(room_id, from_seq, before)
        world.come(4)
        world.come(4, name="mention", kind=EventKind.MENTION)
        return found

    world.missed.messages = messages
    world.come(6)
    await world.until(7)
    assert sorted(world.told[3:]) == [("came", 6), ("mention", 4), ("read", 4), ("read", 5)]
    assert world.told[-1] == ("came", 6)
    assert world.order.held == 0


async def test_a_mention_whose_message_was_lost_waits_until_that_is_read(world):
    world.come(1, 2)
    world.missed.store(3)
    world.come(3, name="mention", kind=EventKind.MENTION)
    assert world.order.held == 1
    await world.until(4)
    world.come(4)
    assert world.told[2:] == [("read", 3), ("mention", 3), ("came", 4)]


async def test_a_mention_that_overtakes_its_message_is_told_behind_it():
    world = World(patience=60.0)
    world.missed.store(1, 2, 3)
    world.come(1)
    world.come(3, name="mention", kind=EventKind.MENTION)
    world.come(3)
    world.come(2)
    assert world.told[1:] == [("came", 2), ("came", 3), ("mention", 3)]
    world.come(5, name="mention", kind=EventKind.MENTION)
    world.come(4, 5)
    assert world.told[4:] == [("came", 4), ("came", 5), ("mention", 5)]
    await world.order.stop()


async def test_what_was_stored_before_anybody_came_is_read_soon():
    world = World(patience=60.0)
    world.present = 0.0
    world.missed.store(1, 2, 3, age=100.0)
    world.missed.store(4, age=1.0)
    world.come(5)
    await world.until(2)
    assert world.told == [("read", 4), ("came", 5)]
    await world.order.stop()


async def test_a_bug_in_telling_is_logged_and_tried_again(world, caplog):
    world.missed.store(1, 2, 3)
    tell = world.tell
    failures = iter([ValueError("a bug")])

    async def fail_once(room_id, messages):
        for failure in failures:
            raise failure
        await tell(room_id, messages)

    world.order._tell = fail_once
    world.come(1, 3)
    await world.until(3)
    assert world.revs == [1, 2, 3]
    assert "could not be told" in caplog.text


async def test_rooms_are_forgotten_but_those_in_which_something_is_held(world):
    world.order._most_rooms = 10
    world.missed.store(1, 2)
    for room_id in range(100, 200):
        world.order.offer(room_id, 1, ["1"], lambda: None, EventKind.MESSAGE)
    assert len(world.order) == 10


@pytest.mark.parametrize("seed", range(30))
async def test_whatever_is_lost_late_or_doubled_each_is_told_once_and_in_order(seed):
    chance = random.Random(seed)
    world = World(patience=0.01)
    last = 0
    arrivals = []
    for rev in range(1, 81):
        world.missed.store(rev)
        arrivals += [
            (rev + chance.choice((0, 0, 0, 1, 4)), rev)
            for _ in range(chance.choice((0, 1, 1, 1, 2)))
        ]
    mentioned = []
    for _, rev in sorted(arrivals, key=lambda arrival: arrival[0]):
        if chance.random() < 0.1:
            mentioned.append(rev)
            world.come(rev, name="mention", kind=EventKind.MENTION)
        world.come(rev)
        if chance.random() < 0.2:
            await asyncio.sleep(chance.choice((0, 0, 0.003)))
        if chance.random() < 0.05:
            world.order.catch_up(ROOM, rev, 60.0)
        last = max(last, rev)
    await world.until(last + len(mentioned))
    await asyncio.sleep(0.02)
    assert [rev for name, rev in world.told if name != "mention"] == list(range(1, last + 1))
    assert sorted(rev for name, rev in world.told if name == "mention") == sorted(mentioned)
    for rev in mentioned:
        assert next(name for name, told in world.told if told == rev) != "mention"
    await world.order.stop()


async def test_what_is_published_in_its_turn_is_followed_by_what_was_held():
    world = World(grace=60.0)
    world.come(1)
    assert world.order.steps.publish(ROOM, 3, ["1"], b"3", None, 0.0) == -1
    world.come(3, 4)
    assert world.order.steps.publish(ROOM, 2, ["1"], b"2", None, 0.0) == 1
    assert world.told == [("came", 1), ("published", 2), ("came", 3), ("came", 4)]
    assert world.order.steps.publish(ROOM, 5, ["1"], b"5", None, 0.0) == 1
    assert (world.order.held, world.order.last(ROOM)) == (0, 5)
    await world.order.stop()
