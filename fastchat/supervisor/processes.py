"""Forking: children that end with their parent and report to it through a pipe."""

import ctypes
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass

PR_SET_PDEATHSIG = 1  # prctl(2)
EXIT_FAILED = 1
HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)

log = logging.getLogger("fastchat")

Report = Callable[[bytes], None]


class StartError(Exception):
    """The server cannot start; the text says why."""


@dataclass(frozen=True, slots=True)
class Child:
    """A forked process, and the end of the pipe that it reports to; who made it closes that."""

    pid: int
    reports: int


def fork(main: Callable[[Report], int]) -> Child:
    """Run a function in a child, which is killed when this process ends, however that ends.

    The child ignores the signals that a terminal sends to all; SIGTERM ends it until it handles
    that. Nothing of the parent is cleaned up when it ends. Only for a process with one thread: the
    kernel kills the child when the thread ends that forked.

    Args:
        main: Gets a function that reports; returns the exit code. An exception that it raises is
            logged, unless it is a ``StartError``, whose text is enough.

    Raises:
        OSError: the system has no process, memory or file left for it.
    """
    parent = os.getpid()
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    # A signal for the child that came before its own handlers would meet those of the parent.
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        pid = os.fork()
        if pid == 0:
            _run(main, parent, reading, writing)
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
    os.set_blocking(reading, False)
    return Child(pid, reading)


def _run(main: Callable[[Report], int], parent: int, reading: int, writing: int) -> None:
    """Be the child; never returns."""
    code = EXIT_FAILED
    try:
        _die_with(parent)
        os.close(reading)
        signal.set_wakeup_fd(-1)
        for number in HANDLED:
            signal.signal(number, signal.SIG_DFL)
        # A terminal sends these two to all processes; they are for the parent, which tells us.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        code = main(lambda report: _write(writing, report))
    except StartError as error:
        log.error("fastchat cannot start: %s", error)
    except BaseException:
        log.exception("a process of fastchat failed")
    finally:
        os._exit(code)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    if os.getppid() != parent:
        # It has ended before the kernel was asked.
        os._exit(EXIT_FAILED)
