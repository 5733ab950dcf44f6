"""The numbered exchange between workers, carried by a real Redis."""

from contextlib import asynccontextmanager

from fastchat.broker.exchange import Exchange
from fastchat.broker.messages import Left
from fastchat.broker.redis import RedisCarrier
from fastchat.broker.redis_address import RedisAddress
from tests.functional.broker.carrying import CALM
from tests.functional.broker.redis_process import until


class Worker:
    """Notes what the others say."""

    def __init__(self, url: str, name: str) -> None:
        address = RedisAddress.parse(url)

        def open_carrier(own, callbacks):
            return RedisCarrier(
                address,
                own,
                on_frame=callbacks.on_frame,
                on_up=callbacks.on_up,
                on_down=callbacks.on_down,
                timings=CALM,
            )

        self.name = name
        self.said: list[tuple[str, str]] = []
        self.met: list[str] = []
        self.ended: list[str] = []
        self.losses: list[str | None] = []
        self.exchange = Exchange(name, open_carrier, self, beat=0.05, silence=5.0, end=60.0)

    def on_messages(self, peer, messages):
        self.said += [(peer, user_id) for message in messages for user_id in message.user_ids]

    def on_met(self, peer):
        self.met.append(peer)

    def on_ended(self, peer):
        self.ended.append(peer)

    def on_beat(self):
        pass

    def on_loss(self, peer, age):
        self.losses.append(peer)

    def say(self, *user_ids):
        for user_id in user_ids:
            self.exchange.post_all(Left([user_id]))


@asynccontextmanager
async def working(url, name):
    worker = Worker(url, name)
    await worker.exchange.start()
    try:
        yield worker
    finally:
        await worker.exchange.stop()


async def test_workers_meet_talk_and_part(redis):
    async with working(redis.url, "a") as a:
        async with working(redis.url, "b") as b, working(redis.url, "c") as c:
            await until(lambda: len(a.met) == len(b.met) == len(c.met) == 2)
            frames = a.exchange.frames_out
            a.say("1", "2", "3")
            await until(lambda: len(b.said) == len(c.said) == 3)
            assert b.said == c.said == [("a", "1"), ("a", "2"), ("a", "3")]
            assert a.exchange.frames_out - frames == 2
            b.say("last words")
        await until(lambda: sorted(a.ended) == ["b", "c"])
        assert a.said == [("b", "last words")]
        assert a.losses == b.losses == c.losses == []


async def test_loss_is_noticed_when_the_server_is_back(redis):
    async with working(redis.url, "a") as a, working(redis.url, "b") as b:
        await until(lambda: a.met and b.met)
        redis.kill()
        await until(lambda: not a.exchange.is_up and not b.exchange.is_up)
        a.say("lost")
        await until(lambda: a.exchange.refused == 1)
        await redis.start()
        await until(lambda: a.exchange.is_up and b.exchange.is_up)
        await until(lambda: None in b.losses and "a" in b.losses)
        a.say("found")
        await until(lambda: b.said == [("a", "found")])
        assert a.ended == b.ended == []
