"""A carrier that notes what happens to it, for tests."""

from dataclasses import replace

from fastchat.broker.redis import RedisCarrier
from fastchat.broker.redis_address import RedisAddress
from fastchat.broker.redis_connection import RedisTimings
from tests.functional.broker.redis_process import until

CALM = RedisTimings(  # gives up nobody, however busy the machine is
    ping_interval=0.05,
    patience=10.0,
    connect_timeout=10.0,
    first_delay=0.01,
    longest_delay=0.05,
    refresh_interval=0.2,
)
QUICK = replace(CALM, patience=0.5, connect_timeout=0.5)  # for servers that fall silent


class Noting:
    """A worker with a carrier; ``frames`` are those that came."""

    def __init__(self, address: RedisAddress | str, name: str, **options) -> None:
        if isinstance(address, str):
            address = RedisAddress.parse(address)
        self.name = name
        self.frames: list[bytes] = []
        self.ups = 0
        self.downs: list[str] = []
        options.setdefault("timings", CALM)
        self.carrier = RedisCarrier(
            address,
            name,
            on_frame=self.frames.append,
            on_up=self._came_up,
            on_down=self.downs.append,
            **options,
        )

    def _came_up(self) -> None:
        assert self.carrier.is_up
        self.ups += 1

    async def __aenter__(self) -> "Noting":
        await self.carrier.open()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.carrier.close()
        assert not self.carrier.is_up
        assert not self.carrier.send(self.name, b"after the end")

    async def until_up(self, ups: int = 1) -> None:
        await until(lambda: self.carrier.is_up and self.ups >= ups)

    async def until_down(self, downs: int = 1) -> None:
        # Not by is_up, which may be true again before one looks.
        await until(lambda: len(self.downs) >= downs)

    async def until_frames(self, *frames: bytes) -> None:
        await until(lambda: len(self.frames) >= len(frames))
        assert self.frames == list(frames)
