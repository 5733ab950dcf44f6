"""A message's whole path in process: from a client's frame to all frames that come of it.

Through real sockets, and beside a database that answers at once; the kernels of the path compiled
and pure. One time is that of 16 messages from one user to another, or of 4 to a room of 50.
"""

import importlib
import sys

import pytest

from benchmarks.in_process import InProcess, fan_outs, relays
from fastchat import _speedups

MEMBERS = 50
EXCHANGES = 10  # of one round


@pytest.fixture(params=["compiled", "pure"])
def kernels(request, monkeypatch):
    """Let every module have the twins of this kind."""
    if request.param == "pure":
        for name in _speedups.__all__:
            compiled = getattr(_speedups, name, None)
            where = getattr(compiled, "__module__", None)
            if where is None or not where.endswith("_c"):
                continue
            pure = getattr(importlib.import_module(f"{where.removesuffix('_c')}_py"), name)
            for module in list(sys.modules.values()):
                if module.__name__.startswith("fastchat.") and vars(module).get(name) is compiled:
                    monkeypatch.setattr(module, name, pure)
    return request.param


@pytest.fixture
def server(kernels):
    opened = InProcess(MEMBERS)
    kind = type(opened.session(0).message_window).__module__
    assert kind.endswith("_c" if kernels == "compiled" else "_py")
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("make", "messages"), [(relays, 16), (fan_outs, 4)], ids=["relayed", "fanned_out"]
)
def test_whole_path(benchmark, server, make, messages):
    sends, events = make(server, messages)
    arrived = []

    async def exchange():
        for _ in range(EXCHANGES):
            await server.exchange(sends, events)

    benchmark.pedantic(
        lambda: server.run(exchange()),
        setup=lambda: arrived.append(server.drain()),
        rounds=50,
        warmup_rounds=3,
    )
    benchmark.extra_info["us_per_message"] = benchmark.stats.stats.min / EXCHANGES / messages * 1e6
    assert server.server.writer.messages == 53 * EXCHANGES * messages
    # Each frame has more in it than the text that was sent.
    assert min(arrived[1:]) > EXCHANGES * events * 200
