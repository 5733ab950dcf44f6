"""What ``instructions`` counts; runs under valgrind, with the same hashes each time.

Everything is imported once. Then each load runs in a process of its own, forked from that one, so
that valgrind writes a count for each; its number goes to standard output.
"""

import gc
import os
import sys
import traceback

from benchmarks.in_process import InProcess, fan_outs, relays
from fastchat import _speedups
from fastchat._speedups import connection_core, routing

MEMBERS = 50
WARM_UP = 10  # exchanges
READ_EVERY = 8  # exchanges; the clients are no part of what is counted
# What one exchange is made of, how many messages that is, and of how many workers.
LOADS = {
    "relayed": (relays, 16, 1),
    "fanned out": (fan_outs, 4, 1),
    "relayed across": (relays, 16, 2),
}


def run(load: str, exchanges: int) -> None:
    """Exchange messages."""
    make, messages, workers = LOADS[load]
    server = InProcess(MEMBERS, workers)
    sends, events = make(server, messages)

    async def exchange() -> None:
        for number in range(WARM_UP + exchanges):
            await server.exchange(sends, events)
            if number % READ_EVERY == 0:
                assert server.drain() > 0

    # Its turns come by the number of all objects, which is another thing.
    gc.collect()
    gc.disable()
    server.run(exchange())
    assert server.stored == (WARM_UP + exchanges) * messages
    assert not any(worker.answers.errors_by_code for worker in server.workers)


def run_forked(load: str, exchanges: int) -> int:
    """Do that in another process; return its id.

    Raises:
        SystemExit: it failed.
    """
    pid = os.fork()
    if not pid:
        try:
            run(load, exchanges)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if status:
        raise SystemExit(f"{load}, {exchanges} exchanges: ended with status {status}, expected 0")
    return pid


def main() -> None:
    """Run each load so many times as the arguments say."""
    assert _speedups.COMPILED, "build the extensions first: make build"
    assert all(module.__file__.endswith(".so") for module in (connection_core, routing))
    for load in LOADS:
        for exchanges in map(int, sys.argv[1:]):
            print(f"{load}\t{exchanges}\t{run_forked(load, exchanges)}", flush=True)


if __name__ == "__main__":
    main()
