"""Hand-written sources of figures, each with its own number."""

from dataclasses import dataclass, field
from types import SimpleNamespace

from fastchat.telemetry.board import Board
from fastchat.telemetry.census import Census, Registrar
from fastchat.telemetry.figures import read_sources
from fastchat.telemetry.health import find_problems
from fastchat.telemetry.lag import LoopLag
from fastchat.telemetry.metrics import Metrics
from fastchat.telemetry.sources import Sources


@dataclass
class FakeHistogram:
    bounds: tuple[float, ...] = (0.001, 0.01, 0.1)
    counts: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    sum: float = 0.0

    @property
    def count(self) -> int:
        return sum(self.counts)


class FakeCache:
    def __init__(self, hits, misses):
        self.hits = hits
        self.misses = misses

    def __len__(self):
        return 2


def make_sources() -> Sources:
    return Sources(
        transport=SimpleNamespace(
            connections=7,
            peak_connections=9,
            opened=20,
            closed=13,
            messages_in=100,
            messages_out=200,
            bytes_in=1000,
            bytes_out=2000,
            ephemeral_sheds=3,
            slow_consumers=1,
            inactivity_timeouts=4,
            keep_alive_timeouts=5,
            authentication_timeouts=6,
            pinned_bytes=65536,
        ),
        limits=SimpleNamespace(message_refusals=1, command_refusals=2, misses=8),
        connections=SimpleNamespace(
            ip_refusals=3,
            connection_refusals=4,
            connections_by_ip={f"10.0.0.{n}": n for n in range(1, 8)},
        ),
        hub=SimpleNamespace(users_online=5, peak_users=6),
        writer=SimpleNamespace(
            batches=10,
            messages=40,
            duplicates=2,
            refused=3,
            retries=1,
            unknown_outcomes=0,
            block_check_fail_opens=0,
            commit_seconds=0.05,
            depth=8,
            batch_sizes=FakeHistogram((1.0, 16.0), [4, 5, 1], 40.0),
        ),
        pool=SimpleNamespace(
            queries=50,
            query_seconds=0.1,
            timeouts=1,
            errors=2,
            is_connected=True,
            size=4,
            idle=3,
            waiting=0,
            query_times={"login": FakeHistogram(counts=[1, 2, 0, 0], sum=0.02)},
        ),
        spine=SimpleNamespace(
            commands=90,
            errors_by_code={"VALIDATION_ERROR": 2, "AUTH_REQUIRED": 1},
            send_to_ack=FakeHistogram(counts=[1, 2, 1, 1], sum=0.5),
            send_to_delivery=FakeHistogram(),
        ),
        conversations=range(11),
        event_queue=SimpleNamespace(queued=21, dropped=1, waiting=2),
        event_store=SimpleNamespace(delivered=17, depth=4, oldest_age=90.5),
        webhooks=SimpleNamespace(stored=9, delivered=7, failures=3, given_up=1, dropped=2, depth=5),
        bus=SimpleNamespace(
            is_up=True,
            is_redis_connected=False,
            peers=3,
            messages_out=31,
            messages_in=32,
            frames_out=33,
            refused=34,
            losses=35,
            held=36,
            recovered=37,
            unanswered=38,
            recoveries=39,
        ),
        lag=LoopLag(),
        caches={"pages": FakeCache(hits=3, misses=1)},
        cleared={"pictures": 4},
    )


STARTED_AT = 1.7e9
LIMIT = 50  # connections of a worker


class FakeServer:
    """Some workers, their sources and one supervisor, all in this process."""

    def __init__(self, workers: int = 1, sources: Sources | None = None) -> None:
        self.board = Board(seats=workers + 2)
        self.registrar = Registrar(self.board, workers)
        self.registrar.record.started_at = STARTED_AT
        self.registrar.update()
        self.now = STARTED_AT
        self.sources: dict[int, Sources] = {}
        self.draining: set[int] = set()  # seats
        self.census: dict[int, Census] = {}
        for worker in range(1, workers + 1):
            self.join(worker, seat=worker, run=worker, sources=sources)
        self.metrics = self.metrics_of(1)

    def join(self, worker: int, seat: int, run: int, sources: Sources | None = None) -> Census:
        """A process of a worker takes a seat and tells its first figures."""
        self.sources[seat] = own = sources or make_sources()

        def read():
            snapshot = read_sources(own, worker, run)
            snapshot.problems = find_problems(own, LIMIT)
            snapshot.is_draining = seat in self.draining
            return snapshot

        self.census[seat] = Census(self.board, seat, read)
        self.census[seat].publish()
        return self.census[seat]

    def metrics_of(self, seat: int) -> Metrics:
        return Metrics(
            self.census[seat], compiled=True, version="1.2.3", wall_clock=lambda: self.now
        )
