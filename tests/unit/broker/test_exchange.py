"""Numbers, beats and losses between workers, over a wire made for the purpose."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastchat.broker.exchange import MOST_PER_FRAME, Exchange
from fastchat.broker.messages import Beat, Event, EventKind, Frame, Left, Wake, decode, encode

TIMES = {"beat": 0.02, "silence": 0.06, "end": 0.2, "patience": 0.01}


class Wire:
    """Carries frames between exchanges, in order, unless it is told to lose them."""

    def __init__(self):
        self.callbacks = {}
        self.lost = set()  # names of receivers whose frames are lost
        self.refuses = False
        self.frames = []

    def open(self, own, callbacks):
        self.callbacks[own] = callbacks
        return Carrier(self, own)

    def deliver(self, to, frame):
        if to in self.callbacks and to not in self.lost:
            asyncio.get_running_loop().call_soon(self.callbacks[to].on_frame, frame)


class Carrier:
    def __init__(self, wire, own):
        self.wire = wire
        self.own = own
        self.is_up = True

    async def open(self):
        self.wire.callbacks[self.own].on_up()

    def send(self, to, frame):
        if self.wire.refuses:
            return False
        self.wire.frames.append((self.own, to, decode(frame)))
        self.wire.deliver(to, frame)
        return True

    def send_to_all(self, frame):
        for name in self.wire.callbacks:
            if name != self.own:
                self.wire.deliver(name, frame)
        return True

    async def close(self):
        del self.wire.callbacks[self.own]


class Ear:
    """Notes what an exchange tells."""

    def __init__(self):
        self.messages = []
        self.met = []
        self.ended = []
        self.losses = []

    def on_messages(self, peer, messages):
        self.messages += [(peer, message) for message in messages]

    def on_met(self, peer):
        self.met.append(peer)

    def on_ended(self, peer):
        self.ended.append(peer)

    def on_beat(self):
        pass

    def on_loss(self, peer, age):
        self.losses.append((peer, age))


@asynccontextmanager
async def exchanges(*names, **times):
    wire = Wire()
    opened = {}
    for name in names:
        ear = Ear()
        exchange = Exchange(name, wire.open, ear, **(TIMES | times))
        opened[name] = (exchange, ear)
        await exchange.start()
    await until(lambda: all(len(e.peers) == len(names) - 1 for e, _ in opened.values()))
    yield wire, opened
    for name, (exchange, _) in opened.items():
        if name in wire.callbacks:
            await exchange.stop()


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def wakes(ear):
    return [message.user_ids[0] for _, message in ear.messages]


async def test_what_is_said_in_one_turn_travels_in_one_frame_and_in_order():
    async with exchanges("a", "b", "c") as (wire, opened):
        exchange, _ = opened["a"]
        for number in range(100):
            exchange.post("b", Wake([str(number)]))
        exchange.post("c", Wake(["c"]))
        await until(lambda: len(opened["b"][1].messages) == 100 and opened["c"][1].messages)
        assert wakes(opened["b"][1]) == [str(number) for number in range(100)]
        frames = [(sender, to) for sender, to, frame in wire.frames if isinstance(frame, Frame)]
        assert frames == [("a", "b"), ("a", "c")]
        assert (exchange.messages_out, exchange.frames_out) == (101, 2)
        assert opened["b"][0].messages_in == 100
        assert not opened["b"][1].losses


async def test_all_hear_what_is_said_to_all_and_each_meets_each_once():
    async with exchanges("a", "b", "c") as (_, opened):
        opened["a"][0].post_all(Left(["1"]))
        for name in "bc":
            await until(lambda name=name: opened[name][1].messages == [("a", Left(["1"]))])
        assert {name: sorted(ear.met) for name, (_, ear) in opened.items()} == {
            "a": ["b", "c"],
            "b": ["a", "c"],
            "c": ["a", "b"],
        }


async def test_large_frames_are_cut():
    async with exchanges("a", "b") as (wire, opened):
        event = Event(1, 1, 0, EventKind.MESSAGE, [b"x" * (MOST_PER_FRAME // 3)], ["1"])
        for _ in range(7):
            opened["a"][0].post("b", event)
        await until(lambda: len(opened["b"][1].messages) == 7)
        sizes = [len(encode(f)) for _, _, f in wire.frames if isinstance(f, Frame)]
        assert len(sizes) == 4
        assert max(sizes) <= MOST_PER_FRAME


async def test_a_gap_is_noticed_at_the_next_message_which_is_heard():
    async with exchanges("a", "b") as (wire, opened):
        exchange, (_, ear) = opened["a"][0], opened["b"]
        exchange.post("b", Wake(["first"]))
        await until(lambda: ear.messages)
        wire.lost.add("b")
        exchange.post("b", Wake(["lost"]))
        exchange.flush()
        wire.lost.clear()
        exchange.post("b", Wake(["third"]))
        await until(lambda: len(ear.messages) == 2)
        assert wakes(ear) == ["first", "third"]
        assert [peer for peer, _ in ear.losses] == ["a"]
        await asyncio.sleep(3 * TIMES["beat"])
        assert len(ear.losses) == 1


@pytest.mark.parametrize("is_refused", [True, False])
async def test_the_last_message_before_a_silence_is_noticed_at_the_next_beat(is_refused):
    async with exchanges("a", "b") as (wire, opened):
        exchange, ear = opened["a"][0], opened["b"][1]
        wire.refuses = is_refused
        if not is_refused:
            wire.lost.add("b")
        exchange.post("b", Wake(["lost"]))
        exchange.flush()
        wire.refuses = False
        wire.lost.clear()
        await until(lambda: ear.losses)
        assert [peer for peer, _ in ear.losses] == ["a"]
        assert exchange.refused == is_refused
        exchange.post("b", Wake(["next"]))
        await until(lambda: wakes(ear) == ["next"])
        assert len(ear.losses) == 1


async def test_a_silent_worker_is_taken_for_lost_then_for_ended_and_met_anew():
    async with exchanges("a", "b") as (wire, opened):
        (exchange, ear), other = opened["b"], opened["a"][0]
        wire.lost.add("b")
        await until(lambda: ear.losses)
        assert not exchange.is_up
        assert not ear.ended
        await until(lambda: ear.ended == ["a"])
        known = len(ear.losses)
        await until(lambda: len(ear.losses) > known)  # it may still be storing something
        wire.lost.clear()
        await until(lambda: ear.met == ["a", "a"])
        other.post("b", Wake(["again"]))
        exchange.post("a", Wake(["hello"]))
        await until(lambda: wakes(ear)[-1:] == ["again"])
        await until(lambda: wakes(opened["a"][1])[-1:] == ["hello"])
        await until(lambda: exchange.is_up)


async def test_a_worker_that_says_good_bye_is_gone_at_once():
    async with exchanges("a", "b", end=60.0, silence=60.0) as (_, opened):
        opened["a"][0].post("b", Wake(["last"]))
        await opened["a"][0].stop()
        await until(lambda: opened["b"][1].ended == ["a"])
        assert wakes(opened["b"][1]) == ["last"]
        assert not opened["b"][0].peers
        opened["b"][0].post("a", Wake(["nobody hears it"]))


async def test_a_bus_that_is_down_counts_as_loss_until_it_is_up_and_ends_nobody():
    async with exchanges("a", "b", end=0.1) as (wire, opened):
        exchange, ear = opened["b"]
        wire.lost.update("ab")
        wire.callbacks["b"].on_down("the plug was pulled")
        await until(lambda: len(ear.losses) >= 8)
        assert {peer for peer, _ in ear.losses} == {None}
        assert list(exchange.peers) == ["a"]
        wire.lost.clear()
        wire.callbacks["b"].on_up()
        known = len(ear.losses)
        await asyncio.sleep(4 * TIMES["beat"])
        assert exchange.is_up
        assert len(ear.losses) <= known + 1


async def test_what_cannot_be_said_to_one_is_lost_to_that_one_alone_and_it_notices(caplog):
    async with exchanges("a", "b", "c") as (_, opened):
        exchange, _ = opened["a"]
        exchange.post("b", Wake(["\ud800"]))
        exchange.post("c", Wake(["1"]))
        await until(lambda: wakes(opened["c"][1]) == ["1"])
        await until(lambda: [peer for peer, _ in opened["b"][1].losses] == ["a"])
        exchange.post("b", Wake(["2"]))
        await until(lambda: wakes(opened["b"][1]) == ["2"])
        assert exchange.refused == 1
        assert not opened["c"][1].losses
    assert "could not be said" in caplog.text


async def test_what_is_no_frame_is_logged_without_its_contents(caplog):
    async with exchanges("a", "b") as (wire, opened):
        wire.callbacks["a"].on_frame(b"a secret, not a frame")
        assert not opened["a"][1].messages
    assert "21 bytes" in caplog.text
    assert "secret" not in caplog.text


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_none(data):
    frame = decode(data)
    assert frame is None or isinstance(decode(encode(frame)), type(frame))


def test_a_beat_is_what_it_was():
    beat = Beat("a", {"b": (1, 2)})
    assert decode(encode(beat)) == beat
