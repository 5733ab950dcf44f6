"""Become a program of PostgreSQL: the last step before ``exec``, run as a script of its own.

PostgreSQL refuses to run as root, so the process first becomes somebody else; and it is tied to the
life of its parent, so that a killed fastchat leaves no database behind. A script, because code
between ``fork`` and ``exec`` in a process with threads may hang.
"""

import ctypes
import os
import signal
import sys

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
# What "nobody" is on every Linux; PostgreSQL wants an id with a name.
NOBODY = 65534


def main(identity: str, parent: int, program: str, arguments: list[str]) -> None:
    """Take the identity, tie the process to its parent, and become the program."""
    libc = ctypes.CDLL(None, use_errno=True)
    if identity == "nobody":
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    elif identity == "namespace":
        _enter_namespace(libc)
    # Only now: a change of the user clears it. SIGQUIT ends PostgreSQL at once; what was committed
    # is in its log and is there again at the next start.
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGQUIT) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        return  # the parent died before the signal was asked for
    # Python ignores it, and exec would pass that on.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.umask(0o077)
    os.execv(program, [program, *arguments])


def _enter_namespace(libc: ctypes.CDLL) -> None:
    """Keep all rights to one's own files, but be called nobody."""
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    for name, text in (
        ("uid_map", f"{NOBODY} {user} 1"),
        ("setgroups", "deny"),
        ("gid_map", f"{NOBODY} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:])
