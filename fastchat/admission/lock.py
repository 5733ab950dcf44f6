"""A lock between the processes of a host, which the system takes back from one that ends."""

import fcntl
import os
import time

# Whoever has it works for microseconds, unless it has to wait for a processor, or is stopped.
PATIENCE = 0.25  # seconds
PAUSE = 20e-6  # seconds between two tries
EAGER = 5  # tries without a pause
ENOUGH = 1000  # tries at least: this process may have had to wait for a processor itself


class HostLock:
    """A record lock on a file in memory, inherited by all processes that are forked.

    One process may acquire it several times over. Whoever could not get it with patience (its owner
    is frozen) tries only once from then on, until it gets it again.
    """

    def __init__(self) -> None:
        """Make the file; to be called before the processes are forked."""
        self._file = os.memfd_create("fastchat-limits")
        self._depth = 0  # how often this process has it
        self._is_patient = True

    def acquire(self) -> bool:
        """Return whether it was got; then ``release`` must follow."""
        if self._depth or self._try():
            self._depth += 1
            return True
        return False

    def release(self) -> None:
        """Undo one ``acquire``."""
        self._depth -= 1
        if not self._depth:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)

    def _try(self) -> bool:
        tries = 0
        give_up = 0.0
        while True:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                # EAGAIN or EACCES: another process has it.
                tries += 1
            else:
                self._is_patient = True
                return True
            if not self._is_patient:
                return False
            if tries > EAGER:
                now = time.monotonic()
                give_up = give_up or now + PATIENCE
                if now >= give_up and tries > ENOUGH:
                    self._is_patient = False
                    return False
                time.sleep(PAUSE)
