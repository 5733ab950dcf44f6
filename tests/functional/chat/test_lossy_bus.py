"""The bus between the workers loses, delays and stops: nobody misses anything for long."""

import asyncio
import random
import time

import pytest

from fastchat.broker.exchange import SILENCE
from fastchat.broker.messages import Frame, decode
from fastchat.host import Place
from tests.functional.chat.queued import until
from tests.functional.chat.talking import contents, say_id
from tests.functional.chat.test_queued_events import queued
from tests.functional.chat.test_several_workers import texts
from tests.functional.grouping import GROUP, make_group

LATEST = 5.0  # seconds; issue of what a bus that is down may cost
PATIENCE = 15.0  # seconds for the tests themselves, on a busy machine


class Wire:
    """What happens to the frames of all workers."""

    def __init__(self):
        self.is_cut = False
        self.loss = 0.0  # share of the frames with messages that are lost
        self.delay = 0.0  # seconds at most
        self.random = random.Random(7)
        self.lost = 0

    def loses(self, frame):
        lost = self.is_cut or (self.random.random() < self.loss and self._has_messages(frame))
        self.lost += lost
        return lost

    @staticmethod
    def _has_messages(frame):
        return isinstance(decode(frame), Frame)


class LossyCarrier:
    """A carrier with a bad wire."""

    def __init__(self, carrier, wire):
        self.carrier = carrier
        self.wire = wire

    def __getattr__(self, name):
        return getattr(self.carrier, name)

    def send(self, to, frame):
        if not self.wire.loses(frame):
            delay = self.wire.random.random() * self.wire.delay
            if delay:
                asyncio.get_running_loop().call_later(delay, self.carrier.send, to, frame)
            else:
                self.carrier.send(to, frame)
        return True

    def send_to_all(self, frame):
        return self.wire.loses(frame) or self.carrier.send_to_all(frame)


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
def start_lossy(start_workers, wire):
    """A function that starts workers with this wire between them."""

    class LossyPlace(Place):
        def open_carrier(self, own, callbacks, **options):
            return LossyCarrier(super().open_carrier(own, callbacks, **options), wire)

    async def start(count=2, **settings):
        return await start_workers(count, LossyPlace, **settings)

    return start


def seqs(client, kind="new_private_message"):
    return [frame["message"]["seq"] for frame in client.frames if frame["type"] == kind]


async def test_the_last_message_before_a_silence_is_missed_for_a_moment_only(start_lossy, wire):
    workers = await start_lossy()
    alice, bob = await workers.join(1, 2)
    await say_id(alice, "2", "first")
    await bob.expect("new_private_message")
    wire.loss = 1.0
    await say_id(alice, "2", "lost")
    wire.loss = 0.0
    started = time.monotonic()
    await until(lambda: texts(bob) == ["first", "lost"], PATIENCE)
    assert time.monotonic() - started < LATEST
    assert workers[1].server.others.losses >= 1


async def test_all_of_many_losses_is_made_good_in_order_and_once(start_lossy, wire):
    workers = await start_lossy(3)
    alice, bob = await workers.join(1, 2)
    other = await workers[2].join(2)
    wire.loss = 0.3

    async def talk(client, recipient):
        for number in range(60):
            await say_id(client, recipient, str(number))

    await asyncio.gather(talk(alice, "2"), talk(bob, "1"))
    wire.loss = 0.0
    await until(lambda: len(seqs(other)) == 120, PATIENCE)
    assert seqs(other) == list(range(1, 121))
    await until(lambda: len(seqs(alice)) == len(seqs(bob)) == 60, PATIENCE)
    assert seqs(alice) == sorted(seqs(alice))
    assert seqs(bob) == sorted(seqs(bob))
    assert wire.lost > 10


async def test_frames_that_overtake_each_other_change_no_order(start_lossy, wire):
    workers = await start_lossy(3)
    clients = await workers.join(1, 2)
    watcher = await workers[2].join(1)
    wire.delay = 0.03

    async def talk(client, recipient):
        for number in range(60):
            await say_id(client, recipient, str(number))

    await asyncio.gather(talk(clients[0], "2"), talk(clients[1], "1"))
    await until(lambda: len(seqs(watcher)) == 120, PATIENCE)
    assert seqs(watcher) == list(range(1, 121))


async def test_without_any_bus_messages_come_within_seconds(start_lossy, wire):
    workers = await start_lossy()
    alice, bob = await workers.join(1, 2)
    wire.is_cut = True
    await until(lambda: not workers[1].server.others.is_up, PATIENCE)
    for number in range(3):
        started = time.monotonic()
        await say_id(alice, "2", str(number))
        assert time.monotonic() - started < SILENCE  # the send path does not wait for the bus
        await until(lambda number=number: len(texts(bob)) == number + 1, PATIENCE)
        assert time.monotonic() - started < LATEST
    assert texts(bob) == ["0", "1", "2"]


async def test_a_change_that_was_lost_is_stored_and_delivered(start_lossy, wire):
    workers = await start_lossy()
    alice, bob = await workers.join(1, 2)
    message_id = await say_id(alice, "2")
    await bob.expect("new_private_message")
    wire.loss = 1.0
    edit = {"type": "edit_message", "messageId": message_id, "content": "better"}
    assert (await alice.request(**edit))["type"] == "message_edited"
    wire.loss = 0.0
    edited = await bob.expect("message_edited", PATIENCE)
    assert edited["message"]["content"] == "better"
    assert workers[0].server.others.unanswered == 1
    async with asyncio.timeout(PATIENCE):
        while await queued(workers[0]):
            await asyncio.sleep(0.02)


async def test_messages_of_a_group_that_were_lost_reach_its_members(start_lossy, wire, database):
    workers = await start_lossy(3)
    await make_group(database, {str(n): "owner" if n == 1 else "member" for n in range(1, 7)})
    members = await workers.join(*range(1, 7))
    wire.loss = 0.4
    for number in range(30):
        sent = await members[number % 6].request(
            type="send_group_message", groupId=GROUP, content=str(number)
        )
        assert sent["type"] == "group_message_sent"
    wire.loss = 0.0
    for member, client in enumerate(members):
        await until(lambda c=client: len(seqs(c, "new_group_message")) == 25, PATIENCE)
        others = [number for number in range(30) if number % 6 != member]
        assert [s - 1 for s in seqs(client, "new_group_message")] == others


async def test_a_page_is_not_served_from_memory_while_a_worker_cannot_be_heard(start_lossy, wire):
    workers = await start_lossy()
    alice, bob = await workers.join(1, 2)
    await say_id(alice, "2", "first")
    assert await contents(bob, "1") == ["first"]
    wire.is_cut = True
    await until(lambda: not workers[1].server.others.is_up, PATIENCE)
    await say_id(alice, "2", "second")
    assert await contents(bob, "1") == ["first", "second"]


async def test_a_client_is_answered_when_all_workers_know_of_it(start_lossy, wire):
    workers = await start_lossy()
    (alice,) = await workers.join(1)
    wire.loss = 1.0
    bob = await workers[1].guest()
    await bob.send(type="authenticate", token=workers[1].token(2))
    await bob.assert_nothing("connected", within=0.3)
    wire.loss = 0.0
    await bob.expect("connected", PATIENCE)
    await say_id(alice, "2", "seen at once")
    assert (await bob.expect("new_private_message"))["message"]["content"] == "seen at once"


async def test_without_any_bus_a_client_is_answered_at_once(start_lossy, wire):
    workers = await start_lossy()
    (alice,) = await workers.join(1)
    wire.is_cut = True
    await until(lambda: not workers[1].server.others.is_up, PATIENCE)
    bob = await workers[1].guest()
    started = time.monotonic()
    await bob.authenticate(workers[1].token(2))
    assert time.monotonic() - started < SILENCE  # nobody was waited for
    await say_id(alice, "2", "without a bus")
    await until(lambda: texts(bob) == ["without a bus"], PATIENCE)
    wire.is_cut = False
    await until(lambda: workers[0].server.hub.is_connected("2"), PATIENCE)
    await say_id(alice, "2", "with it")
    await until(lambda: texts(bob) == ["without a bus", "with it"], PATIENCE)


async def test_a_message_is_not_missed_by_one_of_whom_its_worker_was_not_known_to_have(
    start_lossy, wire, database
):
    workers = await start_lossy()
    await make_group(database, {str(n): "owner" if n == 1 else "member" for n in range(1, 4)})
    alice, bob = await workers.join(1, 2)
    wire.is_cut = True
    await until(lambda: not workers[1].server.others.is_up, PATIENCE)
    carol = await workers[1].join(3)
    wire.is_cut = False
    # The first worker knows of Bob on the second one, but not yet of Carol.
    for number in range(50):
        sent = await alice.request(type="send_group_message", groupId=GROUP, content=str(number))
        assert sent["type"] == "group_message_sent"
        await asyncio.sleep(0.04)
    for client in (bob, carol):
        await until(lambda c=client: len(seqs(c, "new_group_message")) == 50, PATIENCE)
        assert seqs(client, "new_group_message") == list(range(1, 51))
