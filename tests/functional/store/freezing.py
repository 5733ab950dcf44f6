"""Stop and continue a whole PostgreSQL, as a dead disk or a paused machine would."""

import os
import signal
from contextlib import contextmanager, suppress
from pathlib import Path


def family(pid):
    """The server and its processes, the server first."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


@contextmanager
def frozen(pid):
    members = family(pid)
    try:
        for member in members:
            os.kill(member, signal.SIGSTOP)
        yield
    finally:
        for member in members:
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGCONT)
